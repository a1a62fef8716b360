"""The quickstart: train in the microworld, judge, compare, report. Also the default model of `run`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Protocol

from filelock import FileLock

from . import __version__
from .cache import cache_home
from .comparison import compare, headline_metrics
from .config import RunConfig
from .errors import UsageError
from .progress import Progress
from .registry import trainer
from .report.grid import Grid, board_grid, pair_grid
from .report.markdown import markdown
from .report.write import write_text
from .runner import RunResult
from .runner import run as run_task
from .schema import content_key
from .store import make_folder

TASKS = ("microworld", "microworld-ood")
NULLS = ("null:longest", "null:shortest", "null:random")
WHO = (
    "gram: pre-trained on unlabelled pairs, then labels; generative: the same judge, labels alone; "
    "discriminative: Bradley-Terry scalar model, the same labels",
)
DEMO_SEED = 0


class Watcher(Progress, Protocol):
    """Watches runs and trainings."""

    def watch(self, what: str, step: int, total: int, metrics: Mapping[str, float]) -> None:
        """A step of one of the trainings is done."""


@dataclass(frozen=True, slots=True)
class Quickstart:
    """What the quickstart made."""

    grids: Sequence[Grid]
    checkpoints: Mapping[str, Path]
    report: Path
    runs: Mapping[tuple[str, str], RunResult]


def quickstart(results: Path, *, seed: int, fast: bool, fresh: bool, shown: Watcher) -> Quickstart:
    """Trains the three models, runs them and the null baselines on both tasks, and writes a report.

    Finished checkpoints and runs of the same recipe are reused unless `fresh`.

    Raises:
        GramEvalError: torch is missing, or something cannot be written.
    """
    folder = results / "quickstart" / f"seed{seed}{'-fast' if fast else ''}"
    checkpoints = train_models(folder, seed=seed, fast=fast, fresh=fresh, shown=shown)
    specs = {**{name: str(path) for name, path in checkpoints.items()}, **{name: name for name in NULLS}}
    runs = {
        (task, name): _run(RunConfig(task=task, model=spec, results=results, device="cpu", fresh=fresh), shown)
        for task in TASKS
        for name, spec in specs.items()
    }
    grids = _grids(runs, list(checkpoints))
    note = "Trained with --fast: a check that everything works, not a measurement.\n" if fast else ""
    report = folder / "report.md"
    write_text(report, markdown(grids, f"gram-eval quickstart, seed {seed}") + note + _where(checkpoints))
    return Quickstart(grids, checkpoints, report, runs)


def train_models(folder: Path, *, seed: int, fast: bool, fresh: bool, shown: Watcher) -> dict[str, Path]:
    """The three trained checkpoints by name."""
    demo = _demo_trainer()
    recipe = demo.Recipe().tenth() if fast else demo.Recipe()
    shown.phase("training GRAM, the same without pre-training, and a Bradley-Terry baseline")
    made: dict[str, Path] = demo.train_all(folder, recipe=recipe, seed=seed, fresh=fresh, watch=shown.watch)
    return made


def demo_model(shown: Watcher) -> Path:
    """The default model of `run`: the microworld GRAM, trained once and kept in the user's cache."""
    demo = _demo_trainer()
    folder = cache_home() / f"microworld-{content_key(asdict(demo.Recipe()), DEMO_SEED, __version__)[:12]}"
    make_folder(folder)
    with FileLock(folder / ".lock"):
        if not (folder / "gram" / "training.json").is_file():
            shown.phase("training the demonstration model (once; then it is kept)")
            demo.train_gram(folder, recipe=demo.Recipe(), seed=DEMO_SEED, fresh=False, watch=shown.watch)
    return folder / "gram"


def _demo_trainer() -> Any:
    try:
        return trainer("demo")
    except ModuleNotFoundError as error:
        if error.name not in ("torch", "transformers", "tokenizers", "safetensors"):
            raise
        raise UsageError(f"the demonstration model needs {error.name}: pip install 'gram-eval[torch]'") from None


def _run(settings: RunConfig, shown: Watcher) -> RunResult:
    from .models.load import ModelOptions, load_model

    spec = settings.model or ""
    return run_task(settings, lambda: load_model(spec, ModelOptions(device="cpu")), shown)


def _grids(runs: Mapping[tuple[str, str], RunResult], trained: Sequence[str]) -> list[Grid]:
    titles = {"microworld": "in distribution (microworld)", "microworld-ood": "out of distribution (microworld-ood)"}
    grids = []
    for task in TASKS:
        names = [name for of, name in runs if of == task]
        board = board_grid(compare([runs[task, name].folder for name in names], names=names), ["accuracy"])
        grids.append(replace(board, title=titles[task], notes=[*WHO, *board.notes]))
    for task in TASKS:
        found = compare([runs[task, name].folder for name in trained], names=list(trained))
        grids.append(pair_grid(found, headline_metrics(found.metrics)))
    return grids


def _where(checkpoints: Mapping[str, Path]) -> str:
    return "\n".join(["", *(f"- checkpoint {name}: `{path}`" for name, path in checkpoints.items()), ""])
