"""Where the ratio between rewardbench and gram-eval comes from: counts that no clock is needed for, and a plain
script whose parts are switched on one by one."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise, takewhile
from pathlib import Path

import scoring
import torch

from gram_eval.engines.batching import plan_batches
from gram_eval.engines.transformers import BATCH_TOKENS
from gram_eval.models.load import ModelOptions, load_model
from gram_eval.schema import Request

Rewards = dict[str, float]
"""By the keys of `scoring.ask`."""


@dataclass(frozen=True, slots=True)
class Work:
    """Arithmetic of one way to batch the same rows.

    Attributes:
        rectangle: Tokens with padding.
        flop: Multiply-adds x 2 over the whole rectangle, attention included.
    """

    rectangle: int
    flop: float


@dataclass(frozen=True, slots=True)
class Counts:
    """What the requests hold.

    Attributes:
        requests, distinct: Requests, and those that differ.
        tokens, distinct_tokens: Their tokens.
        shared: Tokens of distinct requests whose whole beginning another one has too: what computing every
            beginning once would save.
        longest: Tokens of the longest request.
        floor_flop: Arithmetic that no exact method avoids, for the distinct requests one by one.
        head_flop: Of the reward head on every token instead of the last.
        fixed, planned: Batches of 8 in the file's order with a mask; gram-eval's batches without one.
    """

    requests: int
    distinct: int
    tokens: int
    distinct_tokens: int
    shared: int
    longest: int
    floor_flop: float
    head_flop: float
    fixed: Work
    planned: Work


def count(checkpoint: Path, requests: Sequence[Request]) -> Counts:
    """Counts tokens and arithmetic of the requests of `scoring.ask`, chosen and rejected in turn."""
    model = load_model(f"scalar:{checkpoint}", ModelOptions(device="cpu", dtype="float32"))
    encoded = {
        request.key: tuple(row.tolist())
        for batch in model.plan(requests)
        for request, row in zip(batch.requests, batch.encoded, strict=True)
    }
    rows = [encoded[request.key] for request in requests]
    distinct = sorted(set(rows))
    lengths = [len(row) for row in rows]
    sides = [lengths[0::2], lengths[1::2]]
    fixed = [side[at : at + 8] for at in range(0, len(sides[0]), 8) for side in sides]
    once = [len(row) for row in distinct]
    planned = [[once[index] for index in batch] for batch in plan_batches(once, BATCH_TOKENS["cpu"])]
    return Counts(
        requests=len(rows),
        distinct=len(distinct),
        tokens=sum(lengths),
        distinct_tokens=sum(once),
        shared=sum(_common(*two) for two in pairwise(distinct)),
        longest=max(lengths),
        floor_flop=scoring.floor_flops("scalar", once),
        head_flop=2.0 * scoring.SHAPE["hidden_size"] * sum(lengths),
        fixed=_work(fixed, causal=False),
        planned=_work(planned, causal=True),
    )


def _common(first: Sequence[int], second: Sequence[int]) -> int:
    return sum(1 for _ in takewhile(lambda two: two[0] == two[1], zip(first, second, strict=False)))


def _work(batches: Sequence[Sequence[int]], *, causal: bool) -> Work:
    """With a mask attention runs over the whole square, without over its lower half."""
    shapes = [(len(batch), max(batch)) for batch in batches]
    padded = [longest for rows, longest in shapes for _ in range(rows)]
    flop = scoring.floor_flops("scalar", padded)
    if not causal:
        upper = sum(length * (length - 1) / 2 for length in padded)
        flop += scoring.SHAPE["num_hidden_layers"] * 4 * scoring.SHAPE["hidden_size"] * upper
    return Work(sum(padded), flop)


def steps(checkpoint: Path, requests: list[Request]) -> dict[str, Callable[[], Rewards]]:
    """The plain script of scoring.py with parts of ours switched on, and our model in this process; all float32."""
    plain = scoring.Plain("scalar", checkpoint)
    ours = load_model(f"scalar:{checkpoint}", ModelOptions(device="cpu", dtype="float32"))
    return {
        "plain script, batches of 8": lambda: plain.run(requests),
        "plain, no mask": lambda: plain.run(requests, mask=False),
        "plain, sorted, token budget": lambda: plain.run(requests, sort=True),
        "plain, sorted, budget, no mask": lambda: plain.run(requests, sort=True, mask=False),
        "gram-eval's model, nothing asked once": lambda: scoring.run_ours(ours, requests),
    }


@dataclass(frozen=True, slots=True)
class Timed:
    """One run of a step: seconds by the clock, seconds on a processor, and the rewards."""

    scoring_s: float
    processor_s: float
    rewards: Rewards


def timed(step: Callable[[], Rewards]) -> Timed:
    """Runs a step in this process."""
    used, started = time.process_time(), time.perf_counter()
    rewards = step()
    return Timed(time.perf_counter() - started, time.process_time() - used, rewards)


def peak_flops(size: int = 1024, rounds: int = 20) -> float:
    """FLOP/s of a square float32 matrix product with torch's threads: the best of some rounds."""
    left, right = torch.rand(size, size), torch.rand(size, size)
    best = min(timed(lambda: {"": float((left @ right)[0, 0])}).scoring_s for _ in range(rounds))
    return 2.0 * size**3 / best
