"""The command line as a user meets it: whole processes, exit codes, one-line errors, pipes, Ctrl-C."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from fakes import rewardbench_rows, write_rows

from gram_eval.cli import VERBS

ROOT = Path(__file__).resolve().parents[2]


def call(*arguments: object, cwd: Path = ROOT, **more: object) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"PYTHONPATH": str(ROOT), "COLUMNS": "100"}
    return subprocess.run(
        [sys.executable, "-m", "gram_eval", *map(str, arguments)],
        capture_output=True,
        text=True,
        cwd=cwd,
        env=environment,
        timeout=120,
        **more,
    )


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return write_rows(tmp_path / "rows.jsonl", rewardbench_rows(2))


def run(data: Path, tmp_path: Path, model: str, *more: object) -> subprocess.CompletedProcess[str]:
    fixed = ("--task", "rewardbench", "--data", data, "--allow-partial", "--results", tmp_path / "results")
    return call("run", *fixed, "--model", model, *more)


HEAVY = ("torch", "transformers", "pandas", "scipy", "pyarrow", "datasets", "matplotlib")


@pytest.mark.parametrize("arguments", [["--help"], ["run", "--help"], ["--version"], ["train", "sft", "--help"]])
def test_help_imports_nothing_heavy(arguments: list[str]) -> None:
    code = (
        "import sys; sys.argv = ['gram-eval', *sys.argv[1:]]\n"
        "from gram_eval.cli import main\n"
        "try: main()\n"
        f"finally: print('HEAVY', [name for name in {HEAVY!r} if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    assert done.stdout.rstrip().endswith("HEAVY []")


def test_help_names_every_verb_and_says_what_the_verb_says() -> None:
    text = call("--help").stdout
    for verb, summary in VERBS.items():
        assert verb in text and summary[:60] in " ".join(call(verb, "--help").stdout.split())


@pytest.mark.parametrize(
    "verb",
    [
        *([name] for name in VERBS if name not in ("tasks", "train")),
        *(["tasks", name] for name in ("list", "show", "lint")),
        *(["train", name] for name in ("pretrain", "sft")),
    ],
    ids=" ".join,
)
def test_at_most_twenty_flags(verb: list[str]) -> None:
    text = call(*verb, "--help").stdout
    flags = {word for line in text.splitlines() for word in line.split() if word.startswith("--") and len(word) > 2}
    assert len({flag.strip(".,;`'") for flag in flags if not flag.startswith(("--no-", "--help"))}) <= 20


def test_run_json_and_compare(data: Path, tmp_path: Path) -> None:
    folders = []
    for model in ("null:longest", "null:random"):
        done = run(data, tmp_path, model, "--json")
        assert done.returncode == 0, done.stderr
        found = json.loads(done.stdout)
        assert found["task"] == "rewardbench" and found["n"] == 46 and found["partial"]
        assert {"overall", "micro", "Chat", "Chat Hard", "Safety", "Reasoning", "subset/hep-go"} <= set(
            found["metrics"]
        )
        assert set(found["metrics"]["overall"]) >= {"value", "ci", "n", "clusters"}
        assert set(found["counts"]) >= {"ties", "unparsed", "truncated", "errors"}
        folders.append(found["run"])
    done = call("compare", *folders, "--json", "--markdown", tmp_path / "report.md")
    assert done.returncode == 0, done.stderr
    pair = json.loads(done.stdout)["pairs"][0]
    assert {"a", "b", "metric", "difference", "ci", "p", "a_only", "b_only", "n", "verdict", "method"} <= set(pair)
    assert "null:longest" in (tmp_path / "report.md").read_text()


def test_table_with_nulls_in_a_pipe(data: Path, tmp_path: Path) -> None:
    done = run(data, tmp_path, "null:longest", "--with-null", "--markdown", tmp_path / "out" / "r.md")
    assert done.returncode == 0, done.stderr
    assert "PARTIAL DATA" in done.stdout and "\x1b" not in done.stdout
    header = next(line for line in done.stdout.splitlines() if line.startswith("metric"))
    assert header.split()[-3:] == ["longest", "shortest", "random"]
    assert "| overall |" in (tmp_path / "out" / "r.md").read_text()


def test_replay(data: Path, tmp_path: Path) -> None:
    rows = rewardbench_rows(2)
    scores = [{"id": f"{row['subset']}/{row['id']}", "scores": [1.0, 0.5]} for row in rows]
    done = run(data, tmp_path, f"replay:{write_rows(tmp_path / 's.jsonl', scores)}", "--json")
    assert json.loads(done.stdout)["metrics"]["overall"]["value"] == 1.0


def test_replay_must_be_complete(tmp_path: Path) -> None:
    from gram_eval.registry import TASKS
    from gram_eval.sources import read_samples

    ids = [sample.id for sample in read_samples(TASKS.get("microworld"))]
    rows = [{"id": name, "p_first": 0.75} for name in ids]
    cases = [
        (rows, 0, ""),
        (rows[1:], 2, "1 of 2000 samples have no"),
        ([*rows, {"id": "x", "p_first": 0.5}], 2, "'x'"),
    ]
    for recorded, code, message in cases:
        file = write_rows(tmp_path / "p.jsonl", recorded)
        done = call("run", "--task", "microworld", "--model", f"replay:{file}", "--results", tmp_path)
        assert done.returncode == code and message in done.stderr, done.stderr
    partial = call("run", "--task", "microworld", "--model", f"replay:{file}", "--results", tmp_path, "--allow-partial")
    assert partial.returncode == 0, partial.stderr


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["run", "--task", "rewardbnch"], 2, "Did you mean: rewardbench"),
        (["run", "--model", "null:longer", "--task", "microworld"], 2, "longest"),
        (["run", "--model", "nul:longest", "--task", "microworld"], 2, "null"),
        (["run", "--modle", "x"], 2, "--model"),
        (["run", "--limit", "0"], 2, "--limit"),
        (["run", "--limit", "many"], 2, "--limit"),
        (["run", "--engine", "vlm"], 2, "transformers"),
        (["run", "--orders", "one"], 2, "orders = ... in the file given by --config"),
        (["run", "--replicas", "2", "--model", "null:first", "--data", "rows.jsonl"], 2, "rows.jsonl"),
        (["run", "--data", "nowhere.jsonl", "--model", "null:first"], 2, "nowhere.jsonl: no such file"),
        (["run", "--model", "null:first"], 2, "--data PATH"),
        (["run", "--config", "nowhere.toml"], 2, "nowhere.toml"),
        (["compare", "nope", "neither"], 2, "no run at nope"),
        (["compare"], 2, "RUN"),
        (["rescore", "nope"], 2, "no run at nope"),
        (["tasks", "show", "microwrld"], 2, "Did you mean: microworld"),
        (["train", "sft", "--out", "x", "--model", "nowhere", "--data", "nowhere.jsonl"], 2, "nowhere"),
        (["train", "sft"], 2, "--out"),
    ],
)
def test_faults_are_one_line(arguments: list[str], code: int, message: str, tmp_path: Path) -> None:
    done = call(*arguments, cwd=tmp_path)
    assert done.returncode == code, done.stderr
    assert message in done.stderr and "Traceback" not in done.stderr
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


def test_not_comparable_is_three(data: Path, tmp_path: Path) -> None:
    one = json.loads(run(data, tmp_path, "null:first", "--json").stdout)["run"]
    file = tmp_path / "one.toml"
    file.write_text('orders = "one"\n', "utf-8")
    other = json.loads(run(data, tmp_path, "null:first", "--json", "--config", file).stdout)["run"]
    done = call("compare", one, other)
    assert done.returncode == 3 and "not comparable" in done.stderr


def test_toml_file_and_flags(data: Path, tmp_path: Path) -> None:
    file = tmp_path / "run.toml"
    file.write_text(f'task = "rewardbench"\ndata = "{data}"\nallow_partial = true\nmodel = "null:first"\nlimit = 5\n')
    done = call("run", "--config", file, "--limit", 7, "--results", tmp_path, "--json")
    assert json.loads(done.stdout)["n"] == 7
    file.write_text("modle = 'x'\n")
    done = call("run", "--config", file)
    assert done.returncode == 2 and "Did you mean: model" in done.stderr


def test_reader_of_the_pipe_leaves(data: Path, tmp_path: Path) -> None:
    run(data, tmp_path, "null:longest", "--json")
    command = f"{sys.executable} -m gram_eval tasks show rewardbench | true; exit ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0 and "Traceback" not in done.stderr and "BrokenPipe" not in done.stderr


def test_interrupt_is_130_and_resumes(tmp_path: Path) -> None:
    data = write_rows(tmp_path / "many.jsonl", rewardbench_rows(4000))
    command = [sys.executable, "-m", "gram_eval", "run", "--task", "rewardbench", "--data", str(data)]
    command += ["--allow-partial", "--model", "null:random", "--results", str(tmp_path / "results"), "--json"]
    worker = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    journals = tmp_path / "results" / "runs"
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and not any(p.stat().st_size for p in journals.glob("*/journal.jsonl")):
        time.sleep(0.02)
    worker.send_signal(signal.SIGINT)
    _, errors = worker.communicate(timeout=60)
    assert worker.returncode == 130 and "same command" in errors and "Traceback" not in errors
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    record = json.loads((Path(json.loads(done.stdout)["run"]) / "run.json").read_text())
    assert record["timings"]["resumed"] > 0


def test_doctor(tmp_path: Path) -> None:
    found = json.loads(call("doctor", "--json", "--results", tmp_path).stdout)
    assert {"gram-eval", "python", "torch", "memory", "results", "hub"} <= {one["what"] for one in found}
