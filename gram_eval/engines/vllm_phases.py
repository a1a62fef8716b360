"""What vLLM does while it starts, as short lines on stderr, from whichever of its processes it happens in.

vLLM's own log is a page of internals at each start. `vllm_logging.json` puts this handler in its place.
"""

from __future__ import annotations

import logging
import re
import sys
from pathlib import Path

CONFIGURATION = Path(__file__).with_name("vllm_logging.json")

PHASES: tuple[tuple[re.Pattern[str], str], ...] = (
    (re.compile(r"^Starting to load model"), "loading weights ..."),
    (re.compile(r"^Loading weights took ([\d.]+) s"), "loading weights: {:.0f} s"),
    (re.compile(r"torch\.compile took ([\d.]+) s"), "compiling: {:.0f} s"),
    (re.compile(r"^Graph capturing finished in ([\d.]+) s"), "capturing graphs: {:.0f} s"),
    (re.compile(r"^init engine .*? took ([\d.]+) s"), "measuring memory and warming up: {:.0f} s"),
)


class Handler(logging.Handler):
    """Shows phases and errors; the rest is dropped."""

    def emit(self, record: logging.LogRecord) -> None:
        """Writes a line, if the record is worth one."""
        message = record.getMessage()
        line = phase(message)
        if line is None and record.levelno >= logging.ERROR:
            line = " ".join(message.split())[:300]
        if line:
            print(f"vLLM: {line}", file=sys.stderr, flush=True)


def phase(message: str) -> str | None:
    """What a line of vLLM's log says about its start; None for any other line."""
    for pattern, text in PHASES:
        if found := pattern.search(message):
            return text.format(*map(float, found.groups()))
    return None
