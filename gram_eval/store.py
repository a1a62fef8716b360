"""A run on disk: configuration, journal, Parquet tables, and the record that is written last."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import fields
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from filelock import FileLock, Timeout

from .errors import RunError, UsageError
from .schema import Json, Judgment

if TYPE_CHECKING:
    import pandas as pd

RECORD_SCHEMA = 2
MOVED_AT_ONCE = 1024
"""Judgments in memory while journals are merged."""

_JUDGMENT_FIELDS = tuple(field.name for field in fields(Judgment))


def folder_name(task: str, model: str, key: str) -> str:
    """`<task>--<model>--<short hash>`, safe as a file name everywhere."""
    short = re.sub(r"[^A-Za-z0-9._-]+", "-", model).strip("-.") or "model"
    about = re.sub(r"[^A-Za-z0-9._-]+", "-", task).strip("-.") or "task"
    return f"{about}--{short[-60:].lstrip('-.')}--{key[:8]}"


def find_folder(runs: Path, name: str, *, fresh: bool) -> Path:
    """The folder of a configuration: the newest one, or a new one when `fresh`."""
    taken = [runs / name, *sorted(runs.glob(f"{name}-[0-9]*"), key=lambda path: int(path.name.rsplit("-", 1)[1]))]
    taken = [path for path in taken if path.exists()]
    if not taken:
        return runs / name
    if not fresh:
        return taken[-1]
    last = taken[-1].name
    return runs / f"{name}-{2 if last == name else int(last.rsplit('-', 1)[1]) + 1}"


def make_folder(path: Path) -> None:
    """Creates a run folder and proves that it can be written, before any work is done.

    Raises:
        RunError: It cannot be created or written.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
        probe = path / ".probe"
        probe.write_bytes(b"\0" * 4096)
        probe.unlink()
    except OSError as error:
        raise RunError(f"{path} cannot be written ({error.strerror}). Choose another place with --results.") from None


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """Holds a run folder against other processes; the lock dies with the process.

    Raises:
        RunError: Another process holds it.
    """
    lock = FileLock(path / ".lock", timeout=0)
    try:
        lock.acquire()
    except Timeout:
        raise RunError(f"{path} is being written by another process. Wait for it, or use --fresh.") from None
    try:
        yield
    finally:
        lock.release()


@contextlib.contextmanager
def disk_faults(path: Path) -> Iterator[None]:
    """Turns a full disk into one line that says that nothing is lost."""
    try:
        yield
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            raise
        raise RunError(
            f"no space left while writing {path} ({error.strerror}). "
            "Free some and give the same command: it goes on from the last complete batch."
        ) from None


def write_json(path: Path, content: Json) -> None:
    """Writes a JSON file atomically: it is there whole or not at all."""
    partial = path.with_name(path.name + ".partial")
    with disk_faults(path):
        with partial.open("w", encoding="utf-8") as file:
            json.dump(content, file, indent=2, ensure_ascii=False, allow_nan=False)
            file.write("\n")
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)


class Journal:
    """Judgments in the order they came, one JSON line each: the resume point of a run.

    Only keys and file offsets stay in memory, so a run of any length fits. A line that was cut by a
    crash is dropped when the journal is opened again. Of several lines with one key the last one counts.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._offsets: dict[bytes, int] = {}
        self._failed: set[bytes] = set()
        self._file: IO[bytes] = path.open("a+b")
        self._recover()

    def __contains__(self, key: str) -> bool:
        return bytes.fromhex(key) in self._offsets

    def __len__(self) -> int:
        return len(self._offsets)

    def failed(self, key: str) -> bool:
        """Whether the answer under a key is a failed request."""
        return bytes.fromhex(key) in self._failed

    def __getitem__(self, key: str) -> Judgment:
        self._file.seek(self._offsets[bytes.fromhex(key)])
        return parse_judgment(json.loads(self._file.readline()))

    def append(self, judgments: Iterable[Judgment]) -> None:
        """Writes the judgments of one batch and flushes them to the system.

        Raises:
            RunError: The disk is full; the journal is left at the last complete batch.
        """
        lines, keys, failed = [], [], []
        for judgment in judgments:
            if judgment.key not in self or self.failed(judgment.key):
                values = {name: value for name in _JUDGMENT_FIELDS if (value := getattr(judgment, name)) is not None}
                lines.append(
                    (json.dumps(values, ensure_ascii=False, allow_nan=False) + "\n").encode("utf-8", "surrogatepass")
                )
                keys.append(bytes.fromhex(judgment.key))
                failed.append(judgment.status == "error")
        start = end = self._file.seek(0, os.SEEK_END)
        try:
            with disk_faults(self._path):
                self._file.write(b"".join(lines))
                self._file.flush()
        except RunError:
            self._file = _reopen(self._file, self._path, start)
            raise
        for key, line, error in zip(keys, lines, failed, strict=True):
            self._offsets[key] = end
            self._mark(key, error)
            end += len(line)

    def keys(self) -> list[str]:
        """Keys of all judgments, in the order of the file."""
        return [key.hex() for key in self._offsets]

    def sync(self) -> None:
        """Makes what was written survive a power failure."""
        with contextlib.suppress(OSError):
            os.fsync(self._file.fileno())

    def close(self) -> None:
        """Makes the journal durable and closes it."""
        self.sync()
        self._file.close()

    def _mark(self, key: bytes, failed: bool) -> None:
        if failed:
            self._failed.add(key)
        else:
            self._failed.discard(key)

    def _recover(self) -> None:
        self._file.seek(0)
        offset = 0
        for line in self._file:
            try:
                values = json.loads(line) if line.endswith(b"\n") else {}
                key = bytes.fromhex(values["key"])
            except (ValueError, KeyError, TypeError):
                break
            self._offsets[key] = offset
            self._mark(key, values.get("status") == "error")
            offset += len(line)
        rest = self._file.seek(0, os.SEEK_END) - offset
        self._file.seek(offset)
        if self._file.read().count(b"\n") > 1:
            raise RunError(f"{self._path} is damaged at byte {offset} ({rest} bytes follow). Start anew with --fresh.")
        self._file.truncate(offset)


def _reopen(file: IO[bytes], path: Path, size: int) -> IO[bytes]:
    # Closing flushes what is buffered, which a full disk refuses again.
    with contextlib.suppress(OSError):
        file.close()
    os.truncate(path, size)
    return path.open("a+b")


def merge_journals(folder: Path) -> None:
    """Moves what the journals of replicas hold into the run's own, in the order of their numbers.

    A crash in between loses nothing: a journal is deleted after all of it has been moved, and of equal keys the
    first counts.

    Raises:
        RunError: A journal is damaged, or the disk is full.
    """
    parts = sorted(folder.glob("journal.*.jsonl"), key=lambda path: int(path.name.split(".")[1]))
    if not parts:
        return
    whole = Journal(folder / "journal.jsonl")
    try:
        for path in parts:
            part = Journal(path)
            try:
                keys = part.keys()
                for start in range(0, len(keys), MOVED_AT_ONCE):
                    whole.append([part[key] for key in keys[start : start + MOVED_AT_ONCE]])
            finally:
                part.close()
            whole.sync()
            path.unlink()
    finally:
        whole.close()


def part_journal(folder: Path, index: int) -> Path:
    """Journal of one replica."""
    return folder / f"journal.{index}.jsonl"


def parse_judgment(values: Mapping[str, Any]) -> Judgment:
    """A judgment from its JSON form."""
    known = {name: value for name, value in values.items() if name in _JUDGMENT_FIELDS}
    if known.get("logprobs") is not None:
        known["logprobs"] = tuple(known["logprobs"])
    return Judgment(**known)


def resolve_run(name: str, runs: Path) -> Path:
    """The folder of a complete run, given its path, its name under `runs`, or its run.json.

    Raises:
        UsageError: There is no such run, or it is not complete.
    """
    path = Path(name)
    for candidate in (path, runs / name):
        folder = candidate.parent if candidate.name == "run.json" else candidate
        if (folder / "run.json").is_file():
            return folder
        if (folder / "config.json").is_file():
            raise UsageError(f"{folder} is not complete. Give the command that started it once more to finish it.")
    known = sorted(folder.parent.name for folder in runs.glob("*/run.json"))
    hint = (
        f"Runs in {runs}: {', '.join(known[:5])}{' ...' if len(known) > 5 else ''}." if known else f"{runs} has none."
    )
    raise UsageError(f"no run at {name}. {hint}")


def read_record(folder: Path) -> dict[str, Any]:
    """The contents of run.json.

    Raises:
        RunError: It is damaged or was written by a newer version.
    """
    try:
        record = json.loads((folder / "run.json").read_text("utf-8"))
    except (OSError, json.JSONDecodeError) as error:
        raise RunError(f"{folder / 'run.json'} cannot be read ({error}).") from None
    if not isinstance(record, dict) or record.get("schema_version") != RECORD_SCHEMA:
        raise RunError(f"{folder / 'run.json'} has another schema version; update gram-eval.")
    return record


def read_outcomes(folder: Path) -> pd.DataFrame:
    """The outcomes of a run, one row per sample, in the order of the data.

    Raises:
        RunError: The table is missing or damaged.
    """
    import pandas as pd
    import pyarrow as pa

    try:
        return pd.read_parquet(folder / "outcomes.parquet")
    except (OSError, pa.ArrowException) as error:
        raise RunError(f"{folder / 'outcomes.parquet'} cannot be read ({error}). Use `gram-eval rescore`.") from None
