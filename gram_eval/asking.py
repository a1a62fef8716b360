"""Asking a model: samples become distinct questions, window by window, then batches, then answers."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

from .config import RunConfig
from .engines.signs import listening
from .models.base import Batch, Checked, Remote, RewardModel
from .registry import KINDS
from .schema import Json, Judgment, Request, Sample
from .sources import read_samples
from .subject import Subject
from .survey import Survey
from .task import Task
from .usage import Usage

WINDOW = 4096
"""Samples that are planned together: the unit of length sorting, of memory and of row groups."""


@dataclass(frozen=True, slots=True)
class Window:
    """Samples that are planned together.

    Attributes:
        asked: What each sample asks.
        distinct: All questions by key.
        new: Those that no earlier window asked.
        number: Windows before it.
        done: Samples before it.
    """

    samples: Sequence[Sample]
    asked: Sequence[Sequence[Request]]
    distinct: Mapping[str, Request]
    new: Mapping[str, Request]
    number: int
    done: int


@dataclass(frozen=True, slots=True)
class Share:
    """Which batches of a window are one process's: every `count`-th, from `index` on.

    The next window's begin one later, so that short windows are shared out, too.
    """

    index: int = 0
    count: int = 1

    def has(self, number: int) -> bool:
        """Whether the batch with that number is among them."""
        return number % self.count == self.index


def samples_of(task: Task, data: Path | None, found: Survey) -> Iterator[Sample]:
    """The samples to be judged, in the order of the data."""
    for sample in read_samples(task, data):
        if found.chosen_ids is None or sample.id in found.chosen_ids:
            yield sample


def windows_of(config: RunConfig, about: Subject, found: Survey, model: RewardModel) -> Iterator[Window]:
    """The run's samples and questions; the same ones in every process that is given the same configuration."""
    kind: ModuleType = KINDS.get(about.task.kind)
    earlier: set[bytes] = set()
    done = 0
    samples = samples_of(about.task, about.data, found)
    for number in itertools.count():
        window = list(itertools.islice(samples, WINDOW))
        if not window:
            return
        asked = [kind.requests(about.task, sample, model, orders=config.orders, seed=config.seed) for sample in window]
        distinct: dict[str, Request] = {request.key: request for requests in asked for request in requests}
        new = {key: request for key, request in distinct.items() if bytes.fromhex(key) not in earlier}
        yield Window(window, asked, distinct, new, number, done)
        earlier.update(bytes.fromhex(key) for key in new)
        done += len(window)


class Asker:
    """Puts the questions of windows to a model.

    Attributes:
        timings: Requests `asked`, their `prompt_tokens` and `completion_tokens`, seconds of asking (`judge_s`) and of
            comparing engines (`check_s`), and the comparison itself (`check`).
    """

    def __init__(
        self,
        model: RewardModel,
        answered: Callable[[str], bool],
        tell: Callable[[int], None],
        share: Share | None = None,
    ) -> None:
        """Asks nothing yet.

        Args:
            model: Who is asked.
            answered: Whether the question with that key needs no answer any more.
            tell: Is told how many samples of the run are through, often.
            share: Which of the batches are put; None: all.
        """
        self._model, self._answered, self._tell, self._share = model, answered, tell, share or Share()
        self._usage = Usage()
        counts = {"asked": 0, "prompt_tokens": 0, "completion_tokens": 0, "judge_s": 0.0, "check_s": 0.0}
        self.timings: dict[str, Json] = {**counts, "check": None}

    def ask(self, window: Window) -> Iterator[list[Judgment]]:
        """Answers to what is not answered yet, batch by batch."""
        # Batches are planned over all that the window asks anew, answered or not: a resumed run and every
        # share repeat the very batches of the whole, and equal batches give equal floats.
        size, new = len(window.samples), window.new
        if all(self._answered(key) for key in new):
            self._tell(window.done + size)
            return
        through = 0
        for number, batch in enumerate(self._plan(new), start=window.number):
            count = len(batch.requests)
            missing = tuple(request for request in batch.requests if not self._answered(request.key))
            if missing and self._share.has(number):
                self._check(batch)

                def hear(finished: int, total: int, before: int = through, count: int = count) -> None:
                    self._tell(window.done + size * (before + count * finished // total) // len(new))

                with listening(hear):
                    judgments = self._judge(batch, missing)
                yield judgments
            through += count
            self._tell(window.done + size * through // len(new))

    def _plan(self, new: Mapping[str, Request]) -> list[Batch]:
        begun = time.perf_counter()
        batches = self._model.plan(list(new.values()))
        self.timings["judge_s"] += time.perf_counter() - begun
        return batches

    def _judge(self, batch: Batch, missing: tuple[Request, ...]) -> list[Judgment]:
        begun = time.perf_counter()
        judgments = self._model.judge(Batch(missing) if isinstance(self._model, Remote) else batch)
        self.timings["judge_s"] += time.perf_counter() - begun
        self.timings["asked"] += len(missing)
        for one in judgments:
            self._usage.add(one)
        self.timings["prompt_tokens"] = self._usage.prompt_tokens
        self.timings["completion_tokens"] = self._usage.completion_tokens
        return judgments

    def _check(self, batch: Batch) -> None:
        if self.timings["check"] is None and isinstance(self._model, Checked):
            begun = time.perf_counter()
            self.timings["check"] = self._model.check(batch)
            self.timings["check_s"] += time.perf_counter() - begun
