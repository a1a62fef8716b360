"""Tokens, cache hits, rates and cost of runs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from fakes import FakeModel, Quiet, rewardbench_rows, write_rows
from hypothesis import given
from hypothesis import strategies as st

from gram_eval import runner
from gram_eval.asking import Share
from gram_eval.config import RunConfig
from gram_eval.schema import Judgment
from gram_eval.usage import Usage, rates


def answered(request: Any) -> Judgment:
    if request.responses[0].startswith("bad"):
        return Judgment(request.key, "too_long", error="long", prompt_tokens=10**6)
    return Judgment(request.key, reward=1.0, prompt_tokens=1000, completion_tokens=20, cached_tokens=250)


def result(tmp_path: Path, **settings: Any) -> runner.RunResult:
    data = write_rows(tmp_path / "rows.jsonl", rewardbench_rows(2))
    config = RunConfig(task="rewardbench", data=data, results=tmp_path, allow_partial=True, **settings)
    return runner.run(config, lambda: FakeModel(answer=answered), Quiet())


def test_a_run_counts_its_tokens(tmp_path: Path) -> None:
    record = result(tmp_path).record
    rows = record["n"]
    usage = record["usage"]
    assert usage["requests"] == 2 * rows
    assert usage["prompt_tokens"] == 1000 * rows  # what was too long was never read
    assert usage["completion_tokens"] == 20 * rows
    assert usage["cached_tokens"] == 250 * rows and usage["cache_hit_rate"] == 0.25
    assert usage["cost"] is usage["cost_per_1000_samples"] is None
    timings = record["timings"]
    assert timings["prompt_tokens"] == 1000 * rows and timings["asked"] == 2 * rows
    assert timings["prompt_tokens_per_s"] == pytest.approx(1000 * rows / timings["judge_s"])
    assert timings["completion_tokens_per_s"] == pytest.approx(20 * rows / timings["judge_s"])
    assert "check" not in timings and record["check"] is None


def test_prices_give_the_cost(tmp_path: Path) -> None:
    record = result(tmp_path, prompt_price=2.0, completion_price=10.0).record
    each = (1000 * 2.0 + 20 * 10.0) / 1e6
    assert record["usage"]["cost"] == pytest.approx(record["n"] * each)
    assert record["usage"]["cost_per_1000_samples"] == pytest.approx(1000 * each)


def test_prices_do_not_name_a_run(tmp_path: Path) -> None:
    first = result(tmp_path)
    assert result(tmp_path, prompt_price=2.0, replicas=None, stall_s=5.0).folder == first.folder


def test_hours_are_those_of_the_whole_run() -> None:
    """A resumed session asked a quarter of the requests, so that the rest took three times as long."""
    usage = Usage(requests=400, prompt_tokens=10)
    timings = {"asked": 100, "judge_s": 90.0, "load_s": 30.0, "check_s": 6.0}
    found = usage.to_json(RunConfig(hour_price=3.6), 200, timings)
    assert found["cost"] == pytest.approx((30.0 + 6.0 + 4 * 90.0) * 3.6 / 3600)
    assert found["cost_per_1000_samples"] == pytest.approx(5 * found["cost"])
    nothing = timings | {"asked": 0}
    assert usage.to_json(RunConfig(hour_price=3.6), 200, nothing)["cost"] is None


def test_a_resumed_run_has_no_rate_of_rows() -> None:
    timings = {"judge_s": 2.0, "asked": 10, "resumed": 3, "prompt_tokens": 8, "completion_tokens": 0}
    assert rates(timings, 20)["rows_per_s"] is None and rates(timings, 20)["requests_per_s"] == 5.0
    assert rates(timings | {"judge_s": 0.0}, 20) == {}


@given(st.integers(1, 9), st.integers(0, 200))
def test_every_batch_belongs_to_one_share(count: int, number: int) -> None:
    assert [Share(index, count).has(number) for index in range(count)].count(True) == 1
