"""One model on one task: plan, judge, outcomes, metrics; journalled, so that any interruption resumes."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from . import store
from .asking import Asker, Window, windows_of
from .config import RunConfig
from .errors import DataError
from .frame import combined
from .metrics import count_outcomes, measure, position_summary
from .models.base import Fleet, Recorded, Remote, RewardModel
from .progress import Progress
from .provenance import peak_memory, provenance
from .registry import KINDS
from .schema import Json, Judgment, content_key
from .subject import Subject, subject_of
from .survey import Survey, survey
from .tables import (
    JUDGMENTS,
    SAMPLES,
    TableWriter,
    judgment_row,
    outcome_row,
    outcome_schema,
    sample_row,
)
from .task import Task
from .usage import Usage, rates
from .verdicts import readers_of


@dataclass(frozen=True, slots=True)
class RunResult:
    """A complete run: its folder, the contents of run.json, and whether it was there already."""

    folder: Path
    record: Mapping[str, Any]
    reused: bool


@dataclass(frozen=True, slots=True)
class Prepared:
    """What a run is about, after one pass over its data; serves any number of models."""

    about: Subject
    found: Survey


def prepare(config: RunConfig, progress: Progress) -> Prepared:
    """Finds the task and reads its data once.

    Raises:
        GramEvalError: There is no such task, its data cannot be had or are faulty, or the disk is.
    """
    store.make_folder(config.results / "runs")
    progress.phase(f"reading {config.pairs or config.task}")
    about = subject_of(config)
    if about.said:
        progress.say(about.said)
    readers_of(about.task, config.reading)
    found = survey(about.task, about.data, limit=config.limit, allow_partial=config.allow_partial, seed=config.seed)
    return Prepared(about, found)


def run(
    config: RunConfig, load: Callable[[], RewardModel], progress: Progress, *, prepared: Prepared | None = None
) -> RunResult:
    """Runs a task, resuming or reusing what is on disk.

    Args:
        load: Makes the model; called after the data have been checked.
        prepared: The configuration's task and data, if they have been read already.

    Raises:
        GramEvalError: Faults of the user, the data, the model or the disk; the run can be resumed.
    """
    prepared = prepared or prepare(config, progress)
    progress.phase(f"loading {config.model or 'the model'}")
    started = time.perf_counter()
    model = load()
    try:
        return _run(config, model, prepared, progress, time.perf_counter() - started)
    finally:
        if isinstance(model, Fleet):
            model.close()


def _run(config: RunConfig, model: RewardModel, prepared: Prepared, progress: Progress, load_s: float) -> RunResult:
    about, found = prepared.about, prepared.found
    if isinstance(model, Recorded) and not config.allow_partial:
        _check_recorded(model, found)
    settings = _settings(config, about, found, model)
    key = content_key(settings)
    runs = config.results / "runs"
    folder = store.find_folder(runs, store.folder_name(about.task.name, model.name, key), fresh=config.fresh)
    if (folder / "run.json").is_file():
        record = store.read_record(folder)
        if not (isinstance(model, Remote) and record["counts"]["errors"]):
            return RunResult(folder, record, reused=True)
    store.make_folder(folder)
    with store.locked(folder):
        store.write_json(folder / "config.json", {"key": key, "config": config.model_dump(mode="json"), **settings})
        store.merge_journals(folder)
        progress.phase(f"{model.name} on {about.task.name}")
        started = time.perf_counter()
        filled = model.fill(folder, progress) if isinstance(model, Fleet) else {}
        judge = _Judge(config, about, found, model, folder, progress)
        judge.run()
        timings = judge.timings | filled | {"load_s": load_s, "total_s": time.perf_counter() - started}
        record = _record(config, folder, key, settings, prepared, timings, judge.usage)
        store.write_json(folder / "run.json", record)
    return RunResult(folder, record, reused=False)


def _check_recorded(model: Recorded, found: Survey) -> None:
    judged = found.chosen_ids or found.ids
    for what, ids, total in (
        ("samples have no recorded score", model.missing(judged), len(judged)),
        ("recorded ids are not in the data", model.extra(found.ids), len(found.ids)),
    ):
        if ids:
            raise DataError(f"{len(ids)} of {total} {what} (first: '{ids[0]}'). Complete the file, or --allow-partial.")


def _settings(config: RunConfig, about: Subject, found: Survey, model: RewardModel) -> dict[str, Json]:
    """Everything that changes answers or their meaning; its hash names the run."""
    task = about.task
    recorded = model.orders if isinstance(model, Recorded) else None
    orders = (recorded or config.orders) if model.ability == "prefer" else None
    ordered = model.ability == "choose" or (orders == "one" and recorded is None)
    return {
        "task": {"name": task.name, "version": task.version, "kind": task.kind, "code": about.code},
        "data": {
            "fingerprint": found.fingerprint,
            "rows": found.rows,
            "partial": found.partial,
            "sample": content_key(sorted(found.chosen_ids)) if found.chosen_ids else None,
            "subsets": dict(found.subsets),
        },
        "protocol": {
            "ability": model.ability,
            "orders": orders,
            "order_seed": config.seed if ordered else None,
            "reading": config.reading,
            "tie_credit": dict(task.tie_credit),
        },
        "model": {"name": model.name, "keyed_by": model.keyed_by, "identity": dict(model.identity)},
    }


class _Judge:
    """The loop of a run over windows of samples."""

    def __init__(
        self, config: RunConfig, about: Subject, found: Survey, model: RewardModel, folder: Path, progress: Progress
    ) -> None:
        self._config, self._about, self._found = config, about, found
        self._readers = readers_of(about.task, config.reading)
        self._model, self._folder, self._progress = model, folder, progress
        self._kind: ModuleType = KINDS.get(about.task.kind)
        self.usage = Usage()
        self.timings: dict[str, Json] = {}

    def run(self) -> None:
        """Judges what is not in the journal yet and writes the tables."""
        journal = store.Journal(self._folder / "journal.jsonl")
        resumed = len(journal)
        again = isinstance(self._model, Remote)
        asker = Asker(
            self._model,
            lambda key: key in journal and not (again and journal.failed(key)),
            lambda done: self._progress.advance(done, self._found.rows),
        )
        try:
            with ExitStack() as stack:
                tables = [
                    stack.enter_context(TableWriter(self._folder / f"{name}.parquet", schema))
                    for name, schema in (
                        ("samples", SAMPLES),
                        ("judgments", JUDGMENTS),
                        ("outcomes", outcome_schema(self._about.task.values)),
                    )
                ]
                for window in windows_of(self._config, self._about, self._found, self._model):
                    self._window(window, asker, journal, tables)
                for table in tables:
                    table.publish()
        finally:
            journal.close()
        self.timings = asker.timings | {"resumed": resumed}

    def _window(self, window: Window, asker: Asker, journal: store.Journal, tables: Sequence[TableWriter]) -> None:
        fresh: dict[str, Judgment] = {}
        for answered in asker.ask(window):
            journal.append(answered)
            fresh.update((judgment.key, judgment) for judgment in answered)
        answers = {key: fresh.get(key) or journal[key] for key in window.distinct}
        for key in window.new:
            self.usage.add(answers[key])
        samples, judgments, outcomes = tables
        samples.write([sample_row(sample) for sample in window.samples])
        judgments.write([judgment_row(one, answers[one.key]) for requests in window.asked for one in requests])
        outcomes.write(
            [
                outcome_row(self._kind.outcome(self._about.task, sample, requests, answers, self._readers))
                for sample, requests in zip(window.samples, window.asked, strict=True)
            ]
        )


def _record(
    config: RunConfig,
    folder: Path,
    key: str,
    settings: Mapping[str, Json],
    prepared: Prepared,
    timings: dict[str, Json],
    usage: Usage,
) -> dict[str, Json]:
    about, found = prepared.about, prepared.found
    task, outcomes = about.task, store.read_outcomes(folder)
    if len(outcomes) != found.rows:
        raise DataError(f"the data changed while {task.name} ran ({found.rows} rows, then {len(outcomes)}).")
    check = timings.pop("check")
    return {
        "schema_version": store.RECORD_SCHEMA,
        "key": key,
        **settings,
        "origin": dict(about.origin),
        "known_data": found.fingerprint == task.fingerprint if task.fingerprint else None,
        **scores(outcomes, task),
        "usage": usage.to_json(config, found.rows, timings),
        "timings": timings | rates(timings, found.rows),
        "check": check,
        "peak_memory_bytes": peak_memory(),
        "provenance": provenance(),
    }


def scores(outcomes: Any, task: Task) -> dict[str, Json]:
    """The part of run.json that is derived from the outcomes."""
    counts = outcomes["subset"].value_counts(sort=False).to_dict()
    outcomes = combined(outcomes, task)
    found = measure(outcomes, task.metrics(counts))
    return {
        "n": len(outcomes),
        "scoring": task.tie_rule,
        "metrics": {value.name: value.to_json() for value in found if value.value is not None or value.missing},
        "counts": count_outcomes(outcomes),
        "position": position_summary(outcomes),
    }
