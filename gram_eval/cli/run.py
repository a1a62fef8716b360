"""gram-eval run: one model on one task."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..config import RunConfig
from ..sources import go_offline
from .options import build, file_option, with_options
from .progress import Display, display

if TYPE_CHECKING:
    from ..models.base import RewardModel
    from ..runner import Prepared, RunResult

NULLS = ("null:longest", "null:shortest", "null:random")


@with_options(RunConfig, {"task": "t", "model": "m"})
def run(
    given: dict[str, Any],
    config: Annotated[Path | None, file_option(RunConfig)] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object instead of a table.")] = False,
    markdown: Annotated[Path | None, typer.Option(help="Also write a Markdown report to this file.")] = None,
) -> None:
    """Run a reward model on a task.

    Interrupted runs go on when the same command is given again; complete ones are reused.

    Example: gram-eval run --task rewardbench --model ./my-checkpoint --with-null
    """
    from ..runner import prepare

    settings = build(RunConfig, given, config)
    if settings.offline:
        go_offline()
    with display() as shown:
        prepared = prepare(settings, shown)
        named = [settings, *(_null(settings, name) for name in NULLS if settings.with_null)]
        result, *nulls = [run_one(one, shown, prepared) for one in named]
    if as_json:
        print(json.dumps(summary(result), ensure_ascii=False))
    else:
        _print(settings, result, nulls)
    if markdown:
        _write_markdown(markdown, result, nulls)


def run_one(settings: RunConfig, shown: Display, prepared: Prepared | None = None) -> RunResult:
    """Runs one model on one task, loading it by its spec."""
    from ..opening import open_model
    from ..quickstart import demo_model
    from ..runner import run as run_task

    def load() -> RewardModel:
        named = settings if settings.model else settings.model_copy(update={"model": str(demo_model(shown))})
        return open_model(named, shown)

    return run_task(settings, load, shown, prepared=prepared)


def _null(settings: RunConfig, name: str) -> RunConfig:
    return settings.model_copy(update={"model": name, "replicas": None})


def summary(result: RunResult) -> dict[str, Any]:
    """What `--json` prints."""
    record = result.record
    return {
        "run": str(result.folder),
        "task": record["task"]["name"],
        "model": record["model"]["name"],
        "n": record["n"],
        "partial": record["data"]["partial"],
        "metrics": record["metrics"],
        "counts": record["counts"],
    }


def _print(settings: RunConfig, result: RunResult, nulls: list[RunResult]) -> None:
    from ..report.grid import run_grid
    from ..report.terminal import console, show

    out = console()
    show(run_grid(result.record, [null.record for null in nulls]), out)
    if settings.model is None:
        out.print(
            "demonstration model: 0.6 M parameters trained on a toy world; near chance on real text is expected",
            markup=False,
        )
    if result.reused:
        out.print("this run was complete already: reused (--fresh runs it again)", markup=False)
    out.print(f"run: {result.folder}", markup=False, soft_wrap=True)


def _write_markdown(path: Path, result: RunResult, nulls: list[RunResult]) -> None:
    from ..report.grid import run_grid
    from ..report.markdown import markdown
    from ..report.write import write_text

    grid = run_grid(result.record, [null.record for null in nulls], subsets=True)
    write_text(path, markdown([grid], f"gram-eval: {grid.title}"))
