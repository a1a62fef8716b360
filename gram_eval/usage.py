"""What a run consumed: tokens, time and money."""

from __future__ import annotations

from dataclasses import dataclass

from .config import RunConfig
from .schema import Json, Judgment

MILLION = 1_000_000


def rates(timings: dict[str, Json], rows: int) -> dict[str, Json]:
    """What was done per second of asking in this session.

    Args:
        timings: Of this session; see `Asker`.
        rows: Samples of the run.
    """
    seconds = timings["judge_s"]
    if seconds <= 0:
        return {}
    return {
        "requests_per_s": timings["asked"] / seconds,
        "rows_per_s": rows / seconds if not timings["resumed"] else None,
        "prompt_tokens_per_s": timings["prompt_tokens"] / seconds,
        "completion_tokens_per_s": timings["completion_tokens"] / seconds,
    }


@dataclass(slots=True)
class Usage:
    """Tokens of a run's distinct requests, whichever process or session asked them.

    Attributes:
        requests: Distinct requests, those refused as too long among them.
        prompt_tokens: Tokens that were read.
        cached_tokens: Those of them that the engine or server took from its cache; None: nobody said.
        completion_tokens: Tokens that were written.
    """

    requests: int = 0
    prompt_tokens: int = 0
    cached_tokens: int | None = None
    completion_tokens: int = 0

    def add(self, judgment: Judgment) -> None:
        """Counts one answer."""
        self.requests += 1
        if judgment.status == "too_long":  # never read
            return
        self.prompt_tokens += judgment.prompt_tokens or 0
        self.completion_tokens += judgment.completion_tokens or 0
        if judgment.cached_tokens is not None:
            self.cached_tokens = (self.cached_tokens or 0) + judgment.cached_tokens

    def to_json(self, config: RunConfig, rows: int, timings: dict[str, Json]) -> dict[str, Json]:
        """For run.json, with the cost where the configuration has prices.

        Args:
            config: The run's.
            rows: Samples of the run.
            timings: Of this session; see `Asker`.
        """
        hits = None
        if self.cached_tokens is not None and self.prompt_tokens:
            hits = self.cached_tokens / self.prompt_tokens
        cost = self._cost(config, timings)
        return {
            "requests": self.requests,
            "prompt_tokens": self.prompt_tokens,
            "cached_tokens": self.cached_tokens,
            "completion_tokens": self.completion_tokens,
            "cache_hit_rate": hits,
            "cost": cost,
            "cost_per_1000_samples": None if cost is None else 1000 * cost / rows,
        }

    def _cost(self, config: RunConfig, timings: dict[str, Json]) -> float | None:
        """In the currency of the prices; None without prices, or where nothing was asked by which time is known.

        A resumed run's earlier hours are not on record: its asking is taken to have gone on at this session's speed.
        """
        if config.prompt_price is None and config.completion_price is None and config.hour_price is None:
            return None
        cost = self.prompt_tokens * (config.prompt_price or 0.0) / MILLION
        cost += self.completion_tokens * (config.completion_price or 0.0) / MILLION
        if config.hour_price is not None:
            if not timings["asked"]:
                return None
            asking = timings["judge_s"] * self.requests / timings["asked"]
            cost += config.hour_price * (timings["load_s"] + timings["check_s"] + asking) / 3600
        return cost
