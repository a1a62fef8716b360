"""A call into an engine ends even when the engine does not."""

from __future__ import annotations

import multiprocessing
import os
import queue
import signal
import threading
import time
from collections.abc import Iterator
from multiprocessing.process import BaseProcess

import pytest

from gram_eval.engines import watch as module
from gram_eval.engines.signs import listening, sign
from gram_eval.engines.watch import EngineLost, watched


@pytest.fixture
def process() -> Iterator[BaseProcess]:
    made = multiprocessing.get_context("spawn").Process(target=time.sleep, args=(300,))
    made.start()
    yield made
    made.kill()
    made.join()


def test_the_death_of_a_process_ends_the_wait(process: BaseProcess, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "GRACE_S", 0.1)
    assert process.pid is not None
    threading.Timer(0.3, os.kill, (process.pid, signal.SIGKILL)).start()
    with pytest.raises(EngineLost, match="its process died, exit code -9"), watched([process], 60.0):
        queue.SimpleQueue[int]().get()


def test_an_engine_may_report_its_death_itself(process: BaseProcess) -> None:
    process.kill()
    process.join()
    with pytest.raises(ValueError, match="own words"), watched([process], 60.0):
        time.sleep(0.1)
        raise ValueError("own words")


def test_silence_ends_the_wait(process: BaseProcess) -> None:
    with pytest.raises(EngineLost, match="no sign of life for 1 s"), watched([process], 1.0):
        queue.SimpleQueue[int]().get()


def test_signs_of_life_keep_a_call_alive() -> None:
    with watched([], 0.8) as watch:
        for _ in range(20):
            time.sleep(0.1)
            watch.beat()


def test_what_was_there_before_is_there_again(process: BaseProcess) -> None:
    before, threads = signal.getsignal(signal.SIGALRM), threading.active_count()
    begun = time.monotonic()
    for _ in range(50):
        with watched([process], 60.0):
            pass
    assert time.monotonic() - begun < 2.0  # the watch does not delay the end of a call
    assert signal.getsignal(signal.SIGALRM) == before and threading.active_count() == threads


def test_in_another_thread_nothing_is_watched(process: BaseProcess) -> None:
    done: list[int] = []

    def work() -> None:
        with watched([process], 0.1):
            time.sleep(1.0)
        done.append(1)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert done == [1]


def test_signs_reach_all_who_listen_and_nobody_else() -> None:
    heard: list[tuple[int, int]] = []
    sign(1, 2)
    with listening(lambda *one: heard.append(one)), listening(lambda *one: heard.append(one)):
        sign(3, 4)
    sign(5, 6)
    assert heard == [(3, 4), (3, 4)]
