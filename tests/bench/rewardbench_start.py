"""Starts rewardbench's own command line on a machine without a GPU, and takes its times.

    REWARDBENCH_TIMES=times.json python tests/bench/rewardbench_start.py --model FOLDER --dataset ROWS.jsonl --load_json

Runs in an environment with rewardbench, without gram-eval. rewardbench 0.1.4 sends its batches to "cuda" by name:
that one call is redirected where there is no GPU. Nothing else is changed; calls are timed and their tokens counted.
"""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path
from typing import Any

sys.path.pop(0)  # this folder: its modules (coverage, stats) would shadow packages

import torch  # noqa: E402
import transformers  # noqa: E402
from rewardbench import rewardbench as program  # noqa: E402
from rewardbench.models import REWARD_MODEL_CONFIG, RewardBenchPipeline  # noqa: E402

TIMES: dict[str, float] = {"prepare_s": 0.0, "tokens": 0, "rectangle": 0, "longest": 0}
"""Seconds of reading and rendering the rows, then of scoring from the first batch to the last; tokens without and
with padding, and the longest row."""


class TimedPipeline(RewardBenchPipeline):
    """rewardbench's pipeline, with the clock read around each batch."""

    def __call__(self, *inputs: Any, **options: Any) -> Any:
        TIMES.setdefault("began", time.perf_counter())
        TIMES.setdefault("used_before", time.process_time())
        rewards = super().__call__(*inputs, **options)
        TIMES["ended"], TIMES["used"] = time.perf_counter(), time.process_time()
        return rewards


def redirect_to_cpu() -> None:
    """Batches go where the model is: to the CPU if there is no GPU."""
    official = transformers.BatchEncoding.to

    def to(self: Any, device: Any, **options: Any) -> Any:
        mask = self["attention_mask"]
        rows, longest = mask.shape
        TIMES["tokens"] += int(mask.sum())
        TIMES["rectangle"] += rows * longest
        TIMES["longest"] = max(TIMES["longest"], longest)
        return official(self, device if torch.cuda.is_available() else "cpu", **options)

    transformers.BatchEncoding.to = to


def time_preparation() -> None:
    """Takes the time of reading the file and rendering the chats, which rewardbench does before it scores."""
    official = program.load_and_process_dataset

    def timed(*inputs: Any, **options: Any) -> Any:
        began = time.perf_counter()
        rows = official(*inputs, **options)
        TIMES["prepare_s"] = time.perf_counter() - began
        return rows

    program.load_and_process_dataset = timed


def main() -> None:
    """Patches, runs the program, and writes the times to the file that REWARDBENCH_TIMES names."""
    redirect_to_cpu()
    time_preparation()
    REWARD_MODEL_CONFIG["default"]["pipeline_builder"] = TimedPipeline
    program.main()
    TIMES["scoring_s"] = TIMES.pop("ended") - TIMES.pop("began")
    TIMES["scoring_processor_s"] = TIMES.pop("used") - TIMES.pop("used_before")
    versions = {"torch": torch.__version__, "transformers": transformers.__version__}
    Path(os.environ["REWARDBENCH_TIMES"]).write_text(json.dumps(TIMES | versions), encoding="utf-8")


if __name__ == "__main__":
    main()
