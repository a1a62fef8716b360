"""Replicas answer what one process answers, to the last bit, whatever happens to them."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest
import tiny
from fakes import Quiet, rewardbench_rows, write_rows

from gram_eval import runner, store
from gram_eval.config import RunConfig
from gram_eval.errors import ModelError, UsageError
from gram_eval.opening import open_model
from gram_eval.replicas.fleet import Replicas
from gram_eval.replicas.process import Message

TABLES = ("samples", "judgments", "outcomes")


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a tiny scalar model and rows for it."""
    folder = tmp_path_factory.mktemp("fleet")
    tiny.save(folder / "model", "scalar", max_position_embeddings=512)
    write_rows(folder / "rows.jsonl", rewardbench_rows(6))
    return folder


@pytest.fixture(scope="module")
def whole(place: Path) -> runner.RunResult:
    """The run in one process."""
    return judged(place, place / "whole")


def config(place: Path, results: Path, **more: Any) -> RunConfig:
    common = {"task": "rewardbench", "data": place / "rows.jsonl", "allow_partial": True, "device": "cpu"}
    return RunConfig(
        **common, model=str(place / "model"), results=results, batch_tokens=600, engine="transformers", **more
    )


class Meddling(Quiet):
    """Does something to the replicas once they are at work, and keeps what is said."""

    def __init__(self, meddle: Callable[[Replicas], bool] | None = None) -> None:
        self.meddle, self.fleet, self.said = meddle, None, []

    def advance(self, done: int, total: int) -> None:
        if self.meddle and self.fleet and done and self.meddle(self.fleet):
            self.meddle = None

    def say(self, line: str) -> None:
        self.said.append(line)


def judged(place: Path, results: Path, progress: Meddling | None = None, **more: Any) -> runner.RunResult:
    settings, progress = config(place, results, **more), progress or Meddling()

    def load() -> Any:
        model = open_model(settings, progress)
        progress.fleet = model if isinstance(model, Replicas) else None
        return model

    return runner.run(settings, load, progress)


def same(one: runner.RunResult, other: runner.RunResult) -> None:
    for table in TABLES:
        assert (one.folder / f"{table}.parquet").read_bytes() == (other.folder / f"{table}.parquet").read_bytes(), table
    assert one.record["metrics"] == other.record["metrics"]
    assert one.folder.name == other.folder.name


@pytest.mark.parametrize("replicas", [1, 2, 3])
def test_any_number_of_replicas_gives_the_same_bytes(
    place: Path, whole: runner.RunResult, tmp_path: Path, replicas: int
) -> None:
    found = judged(place, tmp_path, replicas=replicas)
    same(found, whole)
    assert found.record["timings"]["asked"] == whole.record["timings"]["asked"] > 200
    assert found.record["timings"]["resumed"] == 0
    assert found.record["usage"] == whole.record["usage"]
    assert not list(found.folder.glob("journal.*.jsonl"))
    assert judged(place, tmp_path).reused


def kill(index: int) -> Callable[[Replicas], bool]:
    def meddle(fleet: Replicas) -> bool:
        os.kill(fleet.processes[index].popen.pid, signal.SIGKILL)
        return True

    return meddle


def test_a_killed_replica_is_started_again_and_goes_on(place: Path, whole: runner.RunResult, tmp_path: Path) -> None:
    progress = Meddling(kill(1))
    same(judged(place, tmp_path, progress, replicas=2), whole)
    assert any("replica 1 failed (killed by SIGKILL)" in line and "started again" in line for line in progress.said)


def test_a_replica_that_falls_silent_is_started_again(place: Path, whole: runner.RunResult, tmp_path: Path) -> None:
    def stop(fleet: Replicas) -> bool:
        os.kill(fleet.processes[0].popen.pid, signal.SIGSTOP)
        fleet.processes[0].patience = 1.0
        return True

    progress = Meddling(stop)
    same(judged(place, tmp_path, progress, replicas=2), whole)
    assert any("replica 0 failed (no sign of life for" in line for line in progress.said)


def test_silence_is_noticed_while_others_talk(place: Path, tmp_path: Path) -> None:
    fleet = open_model(config(place, tmp_path, replicas=2), Quiet())
    assert isinstance(fleet, Replicas)
    try:
        silent, talking = fleet.processes.values()
        silent.patience = 0.5
        deadline = time.monotonic() + 20
        while silent.popen.returncode is None and time.monotonic() < deadline:
            fleet._messages.put(Message(talking, {"done": 1, "of": 2, "judging": True}))
            fleet._hear(Quiet())
        assert silent.popen.returncode == -signal.SIGKILL and talking.popen.poll() is None
        assert silent.epitaph().startswith("no sign of life for")
    finally:
        fleet.close()


def test_a_replica_that_dies_twice_is_reported_and_the_rest_is_kept(
    place: Path, whole: runner.RunResult, tmp_path: Path
) -> None:
    progress = Meddling(kill(1))
    original = Replicas._start

    def dying(self: Replicas, index: int) -> None:
        original(self, index)
        if index in self._restarted:
            os.kill(self.processes[index].popen.pid, signal.SIGKILL)

    with pytest.MonkeyPatch.context() as patch, pytest.raises(ModelError, match="1 of 2 replicas failed twice"):
        patch.setattr(Replicas, "_start", dying)
        judged(place, tmp_path, progress, replicas=2)
    (folder,) = (tmp_path / "runs").iterdir()
    journal = store.Journal(folder / "journal.jsonl")
    kept = len(journal)
    journal.close()
    assert kept > 50
    again = judged(place, tmp_path)  # in this process
    same(again, whole)
    assert again.record["timings"]["resumed"] == kept


def test_the_starters_death_ends_the_replicas_and_nothing_is_asked_twice(
    place: Path, whole: runner.RunResult, tmp_path: Path
) -> None:
    command = [sys.executable, "-m", "gram_eval", "run", "--task", "rewardbench", "--data", place / "rows.jsonl"]
    command += ["--allow-partial", "--model", place / "model", "--results", tmp_path, "--replicas", "2"]
    file = tmp_path / "run.toml"
    file.write_text('batch_tokens = 600\ndevice = "cpu"\nengine = "transformers"\n', "utf-8")
    command += ["--config", file]
    starter = subprocess.Popen(list(map(str, command)), stderr=subprocess.PIPE, stdout=subprocess.PIPE)
    deadline = time.monotonic() + 90
    while time.monotonic() < deadline and not any(
        path.stat().st_size for path in (tmp_path / "runs").glob("*/journal.*.jsonl")
    ):
        time.sleep(0.01)
    workers = psutil.Process(starter.pid).children()
    starter.kill()
    starter.communicate()
    gone, alive = psutil.wait_procs(workers, timeout=20)
    assert not alive and len(gone) == 2
    (folder,) = (tmp_path / "runs").iterdir()
    parts = [len(path.read_bytes().splitlines()) for path in folder.glob("journal.*.jsonl")]
    again = judged(place, tmp_path, replicas=3)
    same(again, whole)
    lines = [json.loads(line)["key"] for line in (folder / "journal.jsonl").read_text("utf-8").splitlines()]
    assert len(lines) == len(set(lines)) == again.record["usage"]["requests"]
    assert again.record["timings"]["resumed"] >= sum(parts) - 2  # a line may have been cut
    assert again.record["timings"]["resumed"] + again.record["timings"]["asked"] == len(lines)


def test_the_warnings_of_a_replica_are_passed_on(place: Path, tmp_path: Path) -> None:
    policy = tiny.save(tmp_path / "policy", "label", template=tiny.THINKING)
    settings = config(place, tmp_path, replicas=1).model_copy(update={"model": f"implicit:{policy}"})
    progress = Meddling()
    fleet = open_model(settings, progress)
    assert isinstance(fleet, Replicas)
    fleet.close()
    assert any(line.startswith("replica 0: gram_eval.models.implicit: policy") for line in progress.said), progress.said


def test_a_model_that_cannot_be_loaded_is_one_line(place: Path, tmp_path: Path) -> None:
    broken = tiny.save(tmp_path / "model", "scalar")
    next(broken.glob("*.safetensors")).write_bytes(b"damaged")
    settings = config(place, tmp_path, replicas=2).model_copy(update={"model": str(broken)})
    with pytest.raises(ModelError, match="model cannot be loaded"):
        open_model(settings, Quiet())


def test_a_replica_that_dies_while_it_loads_is_reported(
    place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = Replicas._start

    def dying(self: Replicas, index: int) -> None:
        original(self, index)
        os.kill(self.processes[index].popen.pid, signal.SIGKILL)

    monkeypatch.setattr(Replicas, "_start", dying)
    with pytest.raises(ModelError, match=r"replica 0 died while it loaded the model \(killed by SIGKILL\)"):
        open_model(config(place, tmp_path, replicas=1), Quiet())


@pytest.mark.parametrize("spec", ["null:longest", "replay:x.jsonl", "openai:x@http://localhost:1/v1", "jury:a,b"])
def test_replicas_are_for_checkpoints(place: Path, tmp_path: Path, spec: str) -> None:
    settings = config(place, tmp_path, replicas=2).model_copy(update={"model": spec})
    with pytest.raises(UsageError, match="--replicas is for checkpoints"):
        open_model(settings, Quiet())


def test_the_faults_of_a_share_are_retried_like_a_death(
    place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Data that vanish between the parent's reading and a replica's."""
    rows = place / "rows.jsonl"
    copy = tmp_path / "rows.jsonl"
    copy.write_bytes(rows.read_bytes())
    settings = config(place, tmp_path, replicas=1).model_copy(update={"data": copy})
    progress = Meddling()

    def load() -> Any:
        model = open_model(settings, progress)
        copy.unlink()
        return model

    with pytest.raises(ModelError, match=r"1 of 1 replicas failed twice \(replica 0: .*rows.jsonl: no such file"):
        runner.run(settings, load, progress)
    assert any("started again" in line for line in progress.said)


def test_nothing_is_left_running(place: Path, tmp_path: Path) -> None:
    judged(place, tmp_path, replicas=2)
    children = psutil.Process().children(recursive=True)
    assert not [child for child in children if "gram_eval.replicas.worker" in " ".join(child.cmdline())]
