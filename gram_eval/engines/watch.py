"""A call into an engine that has processes of its own must end: with an answer, or because one of them is gone.

vLLM (0.32) waits for ever for an engine process that was killed. Here a thread watches the processes and the signs of
life while a call is in progress, and raises `EngineLost` inside of the call.
"""

from __future__ import annotations

import contextlib
import signal
import threading
import time
from collections.abc import Iterator, Sequence
from multiprocessing import Pipe
from multiprocessing.connection import wait
from multiprocessing.process import BaseProcess
from typing import Any

GRACE_S = 2.0
"""Seconds that the engine has to raise an error of its own after one of its processes has died."""

TICK_S = 0.5


class EngineLost(Exception):
    """A process of the engine died, or nothing was heard for too long."""


class Watch:
    """What is known about a call in progress.

    Attributes:
        reason: Why it was given up.
    """

    def __init__(self, processes: Sequence[BaseProcess], patience: float) -> None:
        self._processes, self._patience = processes, patience
        self._heard = time.monotonic()
        self._over, self._end = Pipe(duplex=False)
        self.reason = ""

    def beat(self) -> None:
        """A sign of life."""
        self._heard = time.monotonic()

    def end(self) -> None:
        """The call is over."""
        self._end.close()

    def run(self, caller: int) -> None:
        """Watches until the call is over; interrupts it in the thread `caller` otherwise."""
        sentinels = [one.sentinel for one in self._processes]
        while not self.reason:
            ready = wait([self._over, *sentinels], TICK_S)
            if self._over in ready:
                break
            if ready:
                if self._over in wait([self._over], GRACE_S):
                    break
                dead = next(one for one in self._processes if not one.is_alive())
                self.reason = f"its process died, exit code {dead.exitcode}"
            elif time.monotonic() - self._heard > self._patience:
                self.reason = f"no sign of life for {self._patience:.0f} s"
        if self.reason:
            signal.pthread_kill(caller, signal.SIGALRM)
            wait([self._over])
        self._over.close()


@contextlib.contextmanager
def watched(processes: Sequence[BaseProcess], patience: float) -> Iterator[Watch]:
    """Inside, the death of a process or a long silence raises `EngineLost`; only in the main thread.

    Args:
        processes: Those that the engine started.
        patience: Seconds that may pass without a `beat`.
    """
    watch = Watch(processes, patience)
    if threading.current_thread() is not threading.main_thread():  # signals reach that one alone
        yield watch
        return

    def give_up(*_: Any) -> None:
        raise EngineLost(watch.reason)

    before = signal.signal(signal.SIGALRM, give_up)
    thread = threading.Thread(target=watch.run, args=(threading.get_ident(),), daemon=True, name="engine watch")
    thread.start()
    try:
        yield watch
    finally:
        watch.end()
        thread.join()
        signal.signal(signal.SIGALRM, before)
