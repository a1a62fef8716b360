"""Whether another engine gives the rewards of the transformers engine, tried on the rows that are judged first.

A scalar head can be served wrongly without any error: through a sigmoid, from another token, without its bias.
"""

from __future__ import annotations

import gc
from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from ..errors import ModelError
from ..schema import Json
from .batching import Ids
from .checkpoint import Checkpoint
from .loading import load_checkpoint
from .transformers import Engine

ROWS = 32
"""Rows that are compared."""

ALLOWED = {"float32": 1e-4, "float16": 1e-2, "bfloat16": 5e-2}
"""Median difference by dtype, as a share of the rewards' scale (see `compare_rewards`).

Rounding alone gives 1e-6, 2e-3 and 1.5e-2 on random models with weights larger than trained ones; a head that is not
computed as it was trained gives a good part of the scale.
"""

LARGEST = 10
"""The largest difference may be so many times the allowed median."""


@dataclass(frozen=True, slots=True)
class Agreement:
    """How two engines' rewards of the same rows differ.

    Attributes:
        rows: Rows that were compared.
        largest: Largest absolute difference.
        median: Median absolute difference.
        allowed: What the dtype allows for the median; the largest may be `LARGEST` times as large.
    """

    rows: int
    largest: float
    median: float
    allowed: float

    def to_json(self) -> dict[str, Json]:
        """For run.json."""
        return asdict(self)


def reference_rewards(
    checkpoint: Checkpoint, rows: Sequence[Ids], *, device: str, dtype: str, trust_remote_code: bool
) -> NDArray[np.float64]:
    """Rewards by the transformers engine, shape [rows]; its model is gone from memory afterwards.

    Raises:
        ModelError: The checkpoint cannot be loaded, or does not fit.
    """
    loaded = load_checkpoint(
        checkpoint, "scalar", device=device, dtype=dtype, attn=None, trust_remote_code=trust_remote_code
    )
    engine = Engine(loaded)
    rewards = np.empty(len(rows))
    for batch in engine.plan([len(row) for row in rows]):
        rewards[batch] = engine.rewards([rows[place] for place in batch])
    del loaded, engine
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    return rewards


def compare_rewards(name: str, found: NDArray[np.float64], expected: NDArray[np.float64], dtype: str) -> Agreement:
    """Compares an engine's rewards with the reference.

    The scale is the reference's standard deviation over the rows, and at least a hundredth of its largest
    absolute value, below which a dtype's own rounding lies.

    Args:
        name: The checkpoint's, for the message.
        found: Shape [rows].
        expected: The transformers engine's, shape [rows].
        dtype: float32, float16 or bfloat16.

    Raises:
        ModelError: They differ by more than the dtype allows.
    """
    differences = np.abs(found - expected)
    scale = max(float(np.std(expected)), float(np.abs(expected).max()) / 100, 1e-6)
    agreement = Agreement(len(found), float(differences.max()), float(np.median(differences)), ALLOWED[dtype] * scale)
    # Written so that it also fails where one is not a number.
    if not (agreement.median <= agreement.allowed and agreement.largest <= LARGEST * agreement.allowed):
        worst = int(np.argmax(np.nan_to_num(differences, nan=np.inf)))
        raise ModelError(
            f"{name}: vLLM's rewards are not those of transformers (median difference {agreement.median:.3g}, allowed "
            f"in {dtype} {agreement.allowed:.3g}; at worst {found[worst]:.4g} instead of {expected[worst]:.4g}), so "
            "vLLM does not run this reward head as it was trained; use --engine transformers."
        )
    return agreement
