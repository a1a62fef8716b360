"""A run survives whatever happens to it, and ends with the same bytes."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from fakes import FakeModel, Quiet, hashed, rewardbench_rows, write_rows

from gram_eval import asking, runner, store
from gram_eval.config import RunConfig
from gram_eval.errors import DataError, ModelError, RunError
from gram_eval.rescore import rescore
from gram_eval.schema import Judgment

WORKER = """
import os, signal, sys
sys.path.insert(0, sys.argv[1])
from fakes import FakeModel, Quiet
from gram_eval import asking, runner
from gram_eval.config import RunConfig
asking.WINDOW = 20
kill_at = int(sys.argv[4])

def after(count):
    if kill_at and count > kill_at:
        os.kill(os.getpid(), signal.SIGKILL)

config = RunConfig(task="rewardbench", data=sys.argv[2], results=sys.argv[3], allow_partial=True)
runner.run(config, lambda: FakeModel("prefer", after_batch=after), Quiet())
"""

FULL_DISK = """
import resource, signal, sys
sys.path.insert(0, sys.argv[1])
from fakes import FakeModel, Quiet
from gram_eval import asking, runner
from gram_eval.config import RunConfig
from gram_eval.errors import RunError
asking.WINDOW = 20
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)  # so that the write fails as it does on a full disk
resource.setrlimit(resource.RLIMIT_FSIZE, (6000, 6000))
config = RunConfig(task="rewardbench", data=sys.argv[2], results=sys.argv[3], allow_partial=True)
try:
    runner.run(config, FakeModel, Quiet())
except RunError as error:
    print(error)
    sys.exit(2)
"""


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return write_rows(tmp_path / "rows.jsonl", rewardbench_rows())


def config(data: Path, results: Path, **more: object) -> RunConfig:
    return RunConfig(task="rewardbench", data=data, results=results, allow_partial=True, **more)


def work(data: Path, results: Path, kill_at: int) -> int:
    arguments = [sys.executable, "-c", WORKER, str(Path(__file__).parent), str(data), str(results), str(kill_at)]
    return subprocess.run(arguments, cwd=Path(__file__).parent.parent, timeout=120).returncode


def only_folder(results: Path) -> Path:
    (folder,) = (path for path in (results / "runs").iterdir() if path.is_dir())
    return folder


def test_kill_at_several_points_then_the_same_command_gives_the_same_bytes(data: Path, tmp_path: Path) -> None:
    assert work(data, tmp_path / "whole", 0) == 0
    whole = only_folder(tmp_path / "whole")
    results = tmp_path / "killed"
    for kill_at in (5, 40, 70):
        assert work(data, results, kill_at) == -signal.SIGKILL
        folder = only_folder(results)
        assert not (folder / "run.json").exists()
        assert not (folder / "outcomes.parquet").exists()
    with (folder / "journal.jsonl").open("r+b") as journal:  # as if killed in the middle of a line
        journal.truncate(journal.seek(0, os.SEEK_END) - 11)
    assert work(data, results, 0) == 0
    for table in ("outcomes", "judgments", "samples"):
        assert (folder / f"{table}.parquet").read_bytes() == (whole / f"{table}.parquet").read_bytes(), table
    assert json.loads((folder / "run.json").read_text())["timings"]["resumed"] > 0


@pytest.mark.parametrize("cut", range(1, 60, 7))
def test_journal_cut_anywhere_resumes(data: Path, tmp_path: Path, cut: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(asking, "WINDOW", 16)
    first = runner.run(config(data, tmp_path / "a"), lambda: FakeModel(), Quiet())
    second = runner.run(config(data, tmp_path / "b"), lambda: FakeModel(), Quiet())
    (second.folder / "run.json").unlink()
    (second.folder / "outcomes.parquet").unlink()
    with (second.folder / "journal.jsonl").open("r+b") as journal:
        journal.truncate(journal.seek(0, os.SEEK_END) * cut // 60)
    again = runner.run(config(data, tmp_path / "b"), lambda: FakeModel(), Quiet())
    assert (again.folder / "outcomes.parquet").read_bytes() == (first.folder / "outcomes.parquet").read_bytes()
    assert again.record["metrics"] == first.record["metrics"]


def test_complete_runs_are_reused_and_fresh_makes_a_new_folder(data: Path, tmp_path: Path) -> None:
    first = runner.run(config(data, tmp_path), lambda: FakeModel(), Quiet())
    model = FakeModel()
    again = runner.run(config(data, tmp_path), lambda: model, Quiet())
    assert again.reused and again.folder == first.folder and not model.asked
    fresh = runner.run(config(data, tmp_path, fresh=True), lambda: model, Quiet())
    assert not fresh.reused and fresh.folder.name == f"{first.folder.name}-2" and model.asked
    third = runner.run(config(data, tmp_path, fresh=True), lambda: model, Quiet())
    assert third.folder.name == f"{first.folder.name}-3"


def test_another_model_or_protocol_is_another_run(data: Path, tmp_path: Path) -> None:
    folders = {
        runner.run(settings, lambda model=model: model, Quiet()).folder
        for settings, model in [
            (config(data, tmp_path), FakeModel()),
            (config(data, tmp_path), FakeModel(identity={"fake": 2})),
            (config(data, tmp_path), FakeModel("prefer")),
            (config(data, tmp_path, orders="one"), FakeModel("prefer")),
            (config(data, tmp_path, orders="one", seed=1), FakeModel("prefer")),
            (config(data, tmp_path, limit=5), FakeModel()),
        ]
    }
    assert len(folders) == 6


def test_batch_size_does_not_name_the_run(data: Path, tmp_path: Path) -> None:
    first = runner.run(config(data, tmp_path), lambda: FakeModel(), Quiet())
    assert runner.run(config(data, tmp_path, batch_tokens=17, device="cpu"), lambda: FakeModel(), Quiet()).reused, first


def test_identical_requests_are_asked_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(asking, "WINDOW", 2)
    rows = rewardbench_rows(1)
    for row in rows:
        row |= {"prompt": "same", "chosen": "yes", "rejected": "no"}
    model = FakeModel()
    runner.run(config(write_rows(tmp_path / "rows.jsonl", rows), tmp_path), lambda: model, Quiet())
    assert len(model.asked) == 2


def test_second_process_is_refused(data: Path, tmp_path: Path) -> None:
    folder = runner.run(config(data, tmp_path), lambda: FakeModel(), Quiet()).folder
    (folder / "run.json").unlink()
    code = (
        "import sys; from pathlib import Path; from gram_eval.store import locked\n"
        "with locked(Path(sys.argv[1])): print('held', flush=True); input()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code, str(folder)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        cwd=Path(__file__).parent.parent,
    ) as holder:
        assert holder.stdout and holder.stdin
        assert holder.stdout.readline() == b"held\n"
        with pytest.raises(RunError, match="another process"):
            runner.run(config(data, tmp_path), lambda: FakeModel(), Quiet())
        holder.kill()
    assert not runner.run(config(data, tmp_path), lambda: FakeModel(), Quiet()).reused


def test_full_disk_is_one_line_and_the_run_resumes(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    arguments = [sys.executable, "-c", FULL_DISK, str(Path(__file__).parent), str(data), str(tmp_path / "full")]
    done = subprocess.run(arguments, capture_output=True, text=True, cwd=Path(__file__).parent.parent)
    assert done.returncode == 2, done.stderr
    assert "no space left" in done.stdout and "same command" in done.stdout
    assert not (only_folder(tmp_path / "full") / "run.json").exists()
    monkeypatch.setattr(asking, "WINDOW", 20)
    again = runner.run(config(data, tmp_path / "full"), lambda: FakeModel(), Quiet())
    whole = runner.run(config(data, tmp_path / "whole"), lambda: FakeModel(), Quiet())
    assert again.record["timings"]["resumed"] > 0
    assert (again.folder / "outcomes.parquet").read_bytes() == (whole.folder / "outcomes.parquet").read_bytes()


def test_model_fault_leaves_no_result(data: Path, tmp_path: Path) -> None:
    def fail(count: int) -> None:
        if count > 30:
            raise ModelError("reward is NaN for request x")

    with pytest.raises(ModelError, match="NaN"):
        runner.run(config(data, tmp_path), lambda: FakeModel(after_batch=fail), Quiet())
    folder = only_folder(tmp_path)
    assert not list(folder.glob("*.parquet*")) and not (folder / "run.json").exists()
    assert not runner.run(config(data, tmp_path), lambda: FakeModel(), Quiet()).reused


def test_data_faults_write_nothing(tmp_path: Path) -> None:
    rows = rewardbench_rows(1)
    rows[3]["rejected"] = "  "
    with pytest.raises(DataError, match=r"line 4.*empty response"):
        runner.run(config(write_rows(tmp_path / "rows.jsonl", rows), tmp_path / "out"), lambda: FakeModel(), Quiet())
    assert not list((tmp_path / "out" / "runs").iterdir())


def test_missing_answers_are_counted_bounded_and_left_out(data: Path, tmp_path: Path) -> None:
    def answer(request) -> Judgment:
        if request.sample_id == "donotanswer/0":
            return Judgment(request.key, status="too_long", error="prompt of 9 tokens, context of 8")
        return Judgment(request.key, reward=float(request.indices[0] == 0))

    record = runner.run(config(data, tmp_path), lambda: FakeModel(answer=answer), Quiet()).record
    assert record["counts"] == {"ties": 0, "unparsed": 0, "truncated": 0, "too_long": 1, "errors": 0}
    subset = record["metrics"]["subset/donotanswer"]
    assert subset["value"] == 1.0 and subset["n"] == 2 and subset["missing"] == 1
    assert subset["bounds"] == pytest.approx([2 / 3, 1.0])


def test_rescore_reproduces_and_sees_a_changed_rule(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tied = FakeModel(answer=lambda request: Judgment(request.key, reward=1.0))
    found = runner.run(config(data, tmp_path), lambda: tied, Quiet())
    before = (found.folder / "outcomes.parquet").read_bytes()
    again = rescore(found.folder)
    assert again.changed == 0 and again.record["metrics"] == found.record["metrics"]
    assert (found.folder / "outcomes.parquet").read_bytes() == before
    from gram_eval.tasks import rewardbench

    monkeypatch.setitem(rewardbench.REWARDBENCH.tie_credit, "score", 0.5)
    changed = rescore(found.folder)
    assert changed.changed == found.record["n"]
    assert changed.record["metrics"]["overall"]["value"] == pytest.approx(0.5)
    assert store.read_record(found.folder)["metrics"] == changed.record["metrics"]


def test_limit_is_a_seeded_draw_and_marked(data: Path, tmp_path: Path) -> None:
    one = runner.run(config(data, tmp_path, limit=10), lambda: FakeModel(), Quiet())
    two = runner.run(config(data, tmp_path, limit=10, seed=1), lambda: FakeModel(), Quiet())
    assert one.record["n"] == two.record["n"] == 10
    assert one.record["data"]["partial"] and one.record["data"]["sample"] != two.record["data"]["sample"]


class Shaky(FakeModel):
    """A model behind a network: some requests fail at first."""

    asks_failed_again = True


def test_failed_requests_of_a_remote_model_are_asked_again_and_no_others(data: Path, tmp_path: Path) -> None:
    def failing(request) -> Judgment:
        if hashed(request.responses[0]) < 0.2:
            return Judgment(request.key, "error", error="no answer")
        return Judgment(request.key, reward=hashed(request.responses[0]))

    first = Shaky(answer=failing)
    run = runner.run(config(data, tmp_path), lambda: first, Quiet())
    failed = {request.key for request in first.asked if hashed(request.responses[0]) < 0.2}
    assert run.record["counts"]["errors"] > 0 and failed
    second = Shaky(answer=lambda request: Judgment(request.key, reward=hashed(request.responses[0])))
    again = runner.run(config(data, tmp_path), lambda: second, Quiet())
    assert again.folder == run.folder and not again.reused
    assert {request.key for request in second.asked} == failed and len(second.asked) == len(failed)
    assert again.record["counts"]["errors"] == 0
    whole = runner.run(config(data, tmp_path / "other"), lambda: Shaky(answer=second.answer), Quiet())
    assert (again.folder / "outcomes.parquet").read_bytes() == (whole.folder / "outcomes.parquet").read_bytes()
    third = Shaky(answer=second.answer)
    assert runner.run(config(data, tmp_path), lambda: third, Quiet()).reused and not third.asked


def test_failed_requests_of_other_models_stand(data: Path, tmp_path: Path) -> None:
    model = FakeModel(answer=lambda request: Judgment(request.key, "error", error="no answer"))
    runner.run(config(data, tmp_path), lambda: model, Quiet())
    assert runner.run(config(data, tmp_path), lambda: FakeModel(), Quiet()).reused
