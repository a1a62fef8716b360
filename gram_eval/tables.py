"""The Parquet tables of a run, written window by window so that memory does not grow with the rows."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from .errors import RunError
from .schema import Judgment, Message, Outcome, Request, Sample, content_key
from .store import disk_faults

SAMPLES = pa.schema(
    [
        ("id", pa.string()),
        ("subset", pa.string()),
        ("cluster", pa.string()),
        ("gold", pa.list_(pa.float64())),
        ("prompt", pa.string()),
        ("candidates", pa.list_(pa.string())),
        ("metadata", pa.string()),
    ]
)
JUDGMENTS = pa.schema(
    [
        ("sample_id", pa.string()),
        ("indices", pa.list_(pa.int16())),
        ("key", pa.string()),
        ("status", pa.string()),
        ("reward", pa.float64()),
        ("logprobs", pa.list_(pa.float64())),
        ("text", pa.string()),
        ("finish_reason", pa.string()),
        ("prompt_tokens", pa.int32()),
        ("completion_tokens", pa.int32()),
        ("mean_logprob", pa.float64()),
        ("cached_tokens", pa.int32()),
        ("error", pa.string()),
    ]
)
OUTCOMES = pa.schema(
    [
        ("sample_id", pa.string()),
        ("subset", pa.string()),
        ("cluster", pa.string()),
        ("status", pa.string()),
        ("credit", pa.float64()),
        ("tie", pa.bool_()),
        ("margin", pa.float64()),
        ("consistent", pa.bool_()),
        ("first_rate", pa.float64()),
    ]
)


def outcome_schema(values: Sequence[str]) -> pa.Schema:
    """Columns of outcomes.parquet: the common ones, and one for each of the task's own values."""
    return pa.schema([*OUTCOMES, *((name, pa.float64()) for name in values)])


class TableWriter:
    """Appends row groups to `<name>.parquet.partial`; `publish` gives it its name.

    The bytes depend on the rows and the window size alone, so an interrupted and resumed run ends with
    the same file as an uninterrupted one.
    """

    def __init__(self, path: Path, schema: pa.Schema) -> None:
        self._path = path
        self._partial = path.with_name(path.name + ".partial")
        self._schema = schema
        self._writer = pq.ParquetWriter(self._partial, schema, compression="zstd")

    def __enter__(self) -> TableWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._writer.is_open:
            try:
                self._writer.close()
            except OSError:
                if kind is None:
                    raise
        if kind is not None:
            self._partial.unlink(missing_ok=True)

    def write(self, rows: Sequence[dict[str, Any]]) -> None:
        """Appends rows as one row group."""
        with disk_faults(self._path):
            self._writer.write_table(pa.Table.from_pylist(list(rows), schema=self._schema))

    def publish(self) -> None:
        """Closes the table and moves it to its final name."""
        with disk_faults(self._path):
            self._writer.close()
            self._partial.replace(self._path)


def sample_row(sample: Sample) -> dict[str, Any]:
    """A sample as a row of samples.parquet; the prompt is a JSON list of [role, content]."""
    return {
        "id": sample.id,
        "subset": sample.subset,
        "cluster": sample.cluster,
        "gold": list(sample.gold),
        "prompt": json.dumps([[message.role, message.content] for message in sample.prompt]),
        "candidates": list(sample.candidates),
        "metadata": json.dumps(dict(sample.metadata), ensure_ascii=False),
    }


def judgment_row(request: Request, judgment: Judgment) -> dict[str, Any]:
    """An answered request as a row of judgments.parquet."""
    return {
        "sample_id": request.sample_id,
        "indices": list(request.indices),
        "key": judgment.key,
        "status": judgment.status,
        "reward": judgment.reward,
        "logprobs": judgment.logprobs and list(judgment.logprobs),
        "text": judgment.text,
        "finish_reason": judgment.finish_reason,
        "prompt_tokens": judgment.prompt_tokens,
        "completion_tokens": judgment.completion_tokens,
        "mean_logprob": judgment.mean_logprob,
        "cached_tokens": judgment.cached_tokens,
        "error": judgment.error,
    }


def outcome_row(outcome: Outcome) -> dict[str, Any]:
    """An outcome as a row of outcomes.parquet."""
    return {name: getattr(outcome, name) for name in OUTCOMES.names} | dict(outcome.values)


def read_samples(folder: Path, window: int) -> Iterator[list[Sample]]:
    """The samples of a run, in lists of at most `window`.

    Raises:
        RunError: The table is missing or damaged.
    """
    for rows in _windows(folder / "samples.parquet", window):
        yield [
            Sample(
                id=row["id"],
                prompt=tuple(Message(role, content) for role, content in json.loads(row["prompt"])),
                candidates=tuple(row["candidates"]),
                gold=tuple(row["gold"]),
                subset=row["subset"],
                cluster=row["cluster"],
                metadata=json.loads(row["metadata"]),
            )
            for row in rows
        ]


def read_contents(folder: Path) -> Iterator[tuple[str, str]]:
    """Id and a hash of prompt, candidates and gold of each sample of a run.

    Raises:
        RunError: The table is missing or damaged.
    """
    for rows in _windows(folder / "samples.parquet", 8192):
        for row in rows:
            yield row["id"], content_key(row["prompt"], row["candidates"], row["gold"])


class Answered(NamedTuple):
    """A judgment, and the sample and candidates that it is about."""

    sample_id: str
    indices: tuple[int, ...]
    judgment: Judgment


def read_judgments(folder: Path, window: int = 8192) -> Iterator[Answered]:
    """The judgments of a run, in the order of the samples.

    Raises:
        RunError: The table is missing or damaged.
    """
    for rows in _windows(folder / "judgments.parquet", window):
        for row in rows:
            judgment = Judgment(
                key=row["key"],
                status=row["status"],
                reward=row["reward"],
                logprobs=None if row["logprobs"] is None else tuple(row["logprobs"]),
                text=row["text"],
                finish_reason=row["finish_reason"],
                prompt_tokens=row["prompt_tokens"],
                completion_tokens=row["completion_tokens"],
                mean_logprob=row.get("mean_logprob"),  # runs of older versions have none, nor
                cached_tokens=row.get("cached_tokens"),
                error=row["error"],
            )
            yield Answered(row["sample_id"], tuple(row["indices"]), judgment)


def _windows(path: Path, size: int) -> Iterable[list[dict[str, Any]]]:
    try:
        with pq.ParquetFile(path) as file:
            for batch in file.iter_batches(batch_size=size):
                yield batch.to_pylist()
    except (OSError, pa.ArrowException) as error:
        raise RunError(
            f"{path} cannot be read ({str(error).splitlines()[0]}). Run the task again with --fresh."
        ) from None
