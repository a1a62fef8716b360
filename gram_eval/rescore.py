"""Outcomes and metrics once more from the judgments on disk, without the model."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from operator import attrgetter
from pathlib import Path
from typing import Any

from . import store
from .asking import WINDOW
from .errors import RunError
from .registry import KINDS
from .runner import scores
from .schema import Judgment, Request, Sample
from .subject import task_of
from .tables import TableWriter, outcome_row, outcome_schema, read_judgments, read_samples
from .task import Reading
from .verdicts import readers_of


@dataclass(frozen=True, slots=True)
class Rescored:
    """The new record, and how many samples changed their credit."""

    record: dict[str, Any]
    changed: int


def rescore(folder: Path, *, reading: Reading | None = None) -> Rescored:
    """Derives the outcomes of a complete run again, with the task as it is defined now.

    Args:
        reading: Reads texts this way; by default as the run did.

    Raises:
        RunError: The run is damaged or busy.
        UsageError: Its task is not known.
    """
    record = store.read_record(folder)
    task = task_of(record)
    kind = KINDS.get(task.kind)
    reading = reading or record["protocol"]["reading"]
    readers = readers_of(task, reading)
    with store.locked(folder):
        before = store.read_outcomes(folder) if (folder / "outcomes.parquet").is_file() else None
        with TableWriter(folder / "outcomes.parquet", outcome_schema(task.values)) as table:
            answered = _answered(folder)
            while window := list(itertools.islice(answered, WINDOW)):
                table.write([outcome_row(kind.outcome(task, *one, readers)) for one in window])
            table.publish()
        after = store.read_outcomes(folder)
        record |= scores(after, task)
        record["task"] |= {"name": task.name, "version": task.version, "kind": task.kind}
        record["protocol"] |= {"tie_credit": dict(task.tie_credit), "reading": reading}
        store.write_json(folder / "run.json", record)
    return Rescored(record, _changes(before, after))


def _answered(folder: Path) -> Iterator[tuple[Sample, list[Request], dict[str, Judgment]]]:
    """Each sample with what it asked and what was answered: both tables are in the order of the data."""
    groups = itertools.groupby(read_judgments(folder), key=attrgetter("sample_id"))
    for window in read_samples(folder, WINDOW):
        for sample in window:
            name, answers = next(groups, (None, iter(())))
            if name != sample.id:
                raise RunError(f"{folder} is damaged: sample '{sample.id}' has no judgment. Run it again with --fresh.")
            asked, judgments = [], {}
            for one in answers:
                responses = tuple(sample.candidates[index] for index in one.indices)
                asked.append(Request(one.judgment.key, sample.id, one.indices, sample.prompt, responses))
                judgments[one.judgment.key] = one.judgment
            yield sample, asked, judgments


def _changes(before: Any, after: Any) -> int:
    if before is None or len(before) != len(after):
        return len(after)
    no_answer = -1.0  # NaN would differ from itself
    return int((before["credit"].fillna(no_answer) != after["credit"].fillna(no_answer)).sum())
