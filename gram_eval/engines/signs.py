"""Signs of life from inside of a long call, for whoever waits: a progress bar, or a watchdog.

An engine's call takes hundreds of texts and may last minutes. It tells here how far it is, and knows nobody who
listens.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

Listener = Callable[[int, int], None]
"""(finished, total): rows of the call in progress."""

_listeners: list[Listener] = []


def sign(finished: int, total: int) -> None:
    """The call goes on: `finished` of `total` rows are through."""
    for listener in _listeners:
        listener(finished, total)


@contextmanager
def listening(listener: Listener) -> Iterator[None]:
    """Inside, `listener` hears every sign of this process."""
    _listeners.append(listener)
    try:
        yield
    finally:
        _listeners.remove(listener)
