"""Where a run reports how far it is; whoever runs it decides what is shown."""

from __future__ import annotations

from typing import Protocol


class Progress(Protocol):
    """What a run tells."""

    def phase(self, text: str) -> None:
        """A step begins (reading data, loading the model)."""

    def advance(self, done: int, total: int) -> None:
        """`done` of `total` samples are through."""

    def say(self, line: str) -> None:
        """One line that stays."""
