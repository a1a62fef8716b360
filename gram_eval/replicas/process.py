"""One replica as its starter sees it: a process, what it says, and what it last wrote to stderr."""

from __future__ import annotations

import contextlib
import json
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import IO, Any

LAST_LINES = 20
SHOWN = ("vLLM: ", "gram_eval.")
"""How lines of a replica's stderr begin that are passed on: phases of loading, and our own warnings."""


@dataclass(frozen=True, slots=True)
class Message:
    """What a replica says: a line of JSON, a line for the user, or (neither) that its output has ended."""

    process: Process
    content: Mapping[str, Any] | None = None
    line: str | None = None


@dataclass(eq=False)
class Process:
    """A running replica.

    Attributes:
        index: Which one of the fleet.
        patience: Seconds that it may be silent.
        heard: When it last gave a sign of life, by the monotonic clock.
        last_words: The end of its stderr.
    """

    index: int
    popen: subprocess.Popen[str]
    patience: float
    heard: float = field(default_factory=time.monotonic)
    last_words: deque[str] = field(default_factory=lambda: deque(maxlen=LAST_LINES))
    _ended: bool = False
    _verdict: str = ""

    def order(self, content: Mapping[str, Any]) -> None:
        """Sends a line; that it is dead already will be heard elsewhere."""
        with contextlib.suppress(OSError, ValueError):
            assert self.popen.stdin is not None
            self.popen.stdin.write(json.dumps(content) + "\n")
            self.popen.stdin.flush()

    def check_silence(self) -> None:
        """Ends it if it has been silent for too long; that is then heard as a death."""
        silent = time.monotonic() - self.heard
        if silent > self.patience and not self._ended:
            self._verdict = f"no sign of life for {silent:.0f} s"
            self.kill()

    def kill(self) -> None:
        """Ends it and all that it has started."""
        if not self._ended:
            self._ended = True
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self.popen.pid, signal.SIGKILL)
            self.popen.wait()

    def epitaph(self) -> str:
        """How it ended, in one line."""
        if self._verdict:
            return self._verdict
        self.kill()
        code = self.popen.returncode
        how = f"exit code {code}" if code >= 0 else f"killed by {signal.Signals(-code).name}"
        words = next((line for line in reversed(self.last_words) if line.strip()), "")
        return f"{how}; last words: {' '.join(words.split())[:200]}" if words else how


def start_process(
    index: int,
    environment: Mapping[str, str],
    orders: Mapping[str, Any],
    messages: queue.SimpleQueue[Message],
    patience: float,
) -> Process:
    """Starts a replica in a session of its own, so that a signal from the terminal reaches its starter alone."""
    popen = subprocess.Popen(
        [sys.executable, "-m", "gram_eval.replicas.worker"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        errors="replace",
        env={**os.environ, **environment},
        start_new_session=True,
    )
    process = Process(index, popen, patience)
    assert popen.stdout is not None and popen.stderr is not None
    for stream, read in ((popen.stdout, _read_messages), (popen.stderr, _read_lines)):
        threading.Thread(target=read, args=(process, stream, messages), daemon=True).start()
    process.order(orders)
    return process


def _read_messages(process: Process, stream: IO[str], messages: queue.SimpleQueue[Message]) -> None:
    for line in stream:
        with contextlib.suppress(ValueError):
            messages.put(Message(process, json.loads(line)))
    messages.put(Message(process))


def _read_lines(process: Process, stream: IO[str], messages: queue.SimpleQueue[Message]) -> None:
    for line in stream:
        process.last_words.append(line)
        if line.startswith(SHOWN):
            messages.put(Message(process, line=line.rstrip()))
