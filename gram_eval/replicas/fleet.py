"""Replicas of a model, watched: started together, started again once when one dies or falls silent, then reported."""

from __future__ import annotations

import queue
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from .. import store
from ..config import RunConfig
from ..errors import ModelError
from ..models.base import Batch
from ..progress import Progress
from ..schema import Ability, Json, Judgment, Request
from .places import places
from .process import Message, Process, start_process

LOADING_S = 3600.0
"""Seconds that a process may take until its first answers, without a word."""

TICK_S = 0.5
COUNTS = ("prompt_tokens", "completion_tokens")
"""What the timings of replicas add up; of one that was started again they know what it did since."""


def start_fleet(config: RunConfig, replicas: int, progress: Progress) -> Replicas:
    """Starts the model of a run in several processes and waits until all have loaded it.

    Raises:
        UsageError: There are not enough GPUs, or the model's spec is wrong.
        ModelError: A process cannot load the model.
    """
    fleet = Replicas(config, places(replicas, config.tensor_parallel, config.device))
    try:
        fleet.greet(progress)
    except BaseException:
        fleet.close()
        raise
    return fleet


class Replicas:
    """A model in several processes; see `RewardModel` and `Fleet`. Made by `start_fleet`."""

    name: str
    ability: Ability
    keyed_by: Literal["content", "sample"]
    identity: Mapping[str, Json]

    def __init__(self, config: RunConfig, environments: Sequence[Mapping[str, str]]) -> None:
        self._config, self._environments = config, environments
        self._messages: queue.SimpleQueue[Message] = queue.SimpleQueue()
        self._restarted: set[int] = set()
        self._lost: dict[int, str] = {}
        self.processes: dict[int, Process] = {}
        for index in range(len(environments)):
            self._start(index)

    def plan(self, requests: Sequence[Request]) -> list[Batch]:
        """Never asked: by then every answer is in the journal.

        Raises:
            ModelError: One is not, so the data changed in between.
        """
        raise ModelError("the data changed while the replicas judged them; give the same command once more.")

    def judge(self, batch: Batch) -> list[Judgment]:
        """Never asked; see `plan`."""
        raise ModelError("replicas answer into their journals.")

    def greet(self, progress: Progress) -> None:
        """Waits until every process has loaded the model.

        Raises:
            ModelError: One cannot, or they do not agree on what the model is.
        """
        found: dict[int, Mapping[str, Any]] = {}
        while len(found) < len(self.processes):
            message = self._hear(progress)
            if message is None:
                continue
            if message.content is None:
                why = message.process.epitaph()
                raise ModelError(f"replica {message.process.index} died while it loaded the model ({why}).")
            if "fault" in message.content:
                raise ModelError(str(message.content["fault"]))
            found[message.process.index] = message.content["model"]
        if any(one != found[0] for one in found.values()):
            raise ModelError("the replicas loaded different models; did the checkpoint change just now?")
        self.name, self.ability = found[0]["name"], found[0]["ability"]
        self.keyed_by, self.identity = found[0]["keyed_by"], found[0]["identity"]

    def fill(self, folder: Path, progress: Progress) -> dict[str, Json]:
        """Has every question answered in the folder's journal.

        A process that dies, or says nothing for `stall_s` seconds, is started again once and goes on from its
        journal. When that one dies too, its share is lost; the others finish theirs first.

        Returns:
            Timings as those of `Asker`, and `resumed`: answers that were there before.

        Raises:
            ModelError: A share was lost; what was answered is kept.
        """
        resumed = _answers(folder)
        begun = time.perf_counter()
        try:
            finished = self._work({"folder": str(folder)}, progress)
        finally:
            self.close()
            store.merge_journals(folder)
        if self._lost:
            index, why = next(iter(self._lost.items()))
            raise ModelError(
                f"{len(self._lost)} of {len(self.processes)} replicas failed twice (replica {index}: {why}). "
                "What was answered is kept; give the same command to go on."
            )
        timings = _together(finished)
        timings["judge_s"] = time.perf_counter() - begun - timings["check_s"]
        return timings | {"resumed": resumed, "asked": _answers(folder) - resumed}

    def close(self) -> None:
        """Ends the processes."""
        for process in self.processes.values():
            process.kill()

    def _work(self, orders: Mapping[str, Any], progress: Progress) -> list[Mapping[str, Any]]:
        for process in self.processes.values():
            process.order(orders)
        finished: dict[int, Mapping[str, Any]] = {}
        done = dict.fromkeys(self.processes, 0)
        while len(finished) + len(self._lost) < len(self.processes):
            message = self._hear(progress)
            if message is None or message.process.index in finished:
                continue
            process, content = message.process, message.content
            if content is None:
                self._again(process, process.epitaph(), progress)
            elif "fault" in content:
                self._again(process, str(content["fault"]), progress)
            elif "model" in content:  # it was started again
                process.order(orders)
            elif "finished" in content:
                finished[process.index] = content["finished"]
            else:
                if content["judging"]:
                    process.patience = self._config.stall_s
                done[process.index] = content["done"]
                progress.advance(sum(done.values()) // len(done), content["of"])
        return [finished[index] for index in sorted(finished)]

    def _hear(self, progress: Progress) -> Message | None:
        """The next message of a process that counts; None when there is none for a while."""
        for process in self.processes.values():  # each time: the others may never stop talking
            process.check_silence()
        try:
            message = self._messages.get(timeout=TICK_S)
        except queue.Empty:
            return None
        if message.process is not self.processes[message.process.index] or message.process.index in self._lost:
            return None
        message.process.heard = time.monotonic()
        if message.line is not None:
            progress.say(f"replica {message.process.index}: {message.line}")
            return None
        return message

    def _start(self, index: int) -> None:
        share = {"index": index, "count": len(self._environments)}
        orders = {"config": self._config.model_dump(mode="json", exclude_unset=True), **share}
        self.processes[index] = start_process(index, self._environments[index], orders, self._messages, LOADING_S)

    def _again(self, process: Process, why: str, progress: Progress) -> None:
        process.kill()
        if process.index in self._restarted:
            self._lost[process.index] = why.rstrip(".")
            progress.say(f"replica {process.index} failed again ({why}); the others go on")
            return
        self._restarted.add(process.index)
        progress.say(f"replica {process.index} failed ({why}); started again, it goes on where it was")
        self._start(process.index)


def _answers(folder: Path) -> int:
    journal = store.Journal(folder / "journal.jsonl")
    journal.close()
    return len(journal)


def _together(finished: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """Counts of all, the longest comparison of engines, and the one with the largest difference."""
    every = list(finished)
    checks = [one["check"] for one in every if one["check"]]
    return {
        **{name: sum(one[name] for one in every) for name in COUNTS},
        "check_s": max(one["check_s"] for one in every),
        "check": max(checks, key=lambda one: one["largest"], default=None),
    }
