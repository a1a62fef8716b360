"""What a reward model is to the rest of the harness."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol, runtime_checkable

from ..progress import Progress
from ..schema import Ability, Json, Judgment, Request


@dataclass(frozen=True, slots=True)
class Batch:
    """Requests that are judged together.

    Attributes:
        encoded: Whatever the model prepared while planning (token ids, say); opaque to the runner.
    """

    requests: tuple[Request, ...]
    encoded: Any = None


class RewardModel(Protocol):
    """A reward model of any kind.

    A task never knows which kind it has: it asks by `ability` and gets judgments back. `plan` and
    `judge` are separate so that the runner owns the loop (journal, resume, progress, Ctrl-C), and so
    that an interrupted run repeats the very same batches: equal batches give equal floats.

    Attributes:
        name: Short name for tables and folder names.
        ability: Whether the model answers `score`, `prefer` or `choose` requests.
        keyed_by: `content` when equal questions have equal answers; `sample` when the answer
            belongs to a sample id (recorded scores).
        identity: Everything about the model that changes its answers (weights' fingerprint,
            template, labels, dtype) and nothing that does not (batch size, device memory).
    """

    name: str
    ability: Ability
    keyed_by: Literal["content", "sample"]
    identity: Mapping[str, Json]

    def plan(self, requests: Sequence[Request]) -> list[Batch]:
        """Groups requests into batches, in the order that suits the engine; deterministic."""
        ...

    def judge(self, batch: Batch) -> list[Judgment]:
        """Answers one batch, one judgment per request in the same order.

        Raises:
            ModelError: The answers cannot be used (NaN, for one).
        """
        ...


@runtime_checkable
class Remote(Protocol):
    """A model behind a network: an answer does not depend on its batch, and a failure may pass.

    The requests that failed are asked again when a run is resumed, or given again after it is complete.
    """

    asks_failed_again: Literal[True]


@runtime_checkable
class Checked(Protocol):
    """A model whose engine is compared with another one before it answers."""

    def check(self, batch: Batch) -> dict[str, Json] | None:
        """Makes the comparison on a batch that is about to be judged; None: there is nothing to compare.

        Raises:
            ModelError: The answers differ by more than rounding.
        """
        ...


@runtime_checkable
class Fleet(Protocol):
    """A model in several processes, which write their answers into a run's folder before the run goes on."""

    def fill(self, folder: Path, progress: Progress) -> dict[str, Json]:
        """Has every question of the run answered in the folder's journals; returns timings.

        Raises:
            ModelError: A process failed more often than it is started again.
        """
        ...

    def close(self) -> None:
        """Ends the processes."""
        ...


@runtime_checkable
class Recorded(Protocol):
    """A model whose answers were recorded earlier, by sample id.

    Attributes:
        orders: Orders in which pairs were judged, where that was recorded.
    """

    orders: Literal["both", "one"] | None

    def missing(self, ids: Iterable[str]) -> list[str]:
        """Ids without a recorded answer."""
        ...

    def extra(self, ids: Iterable[str]) -> list[str]:
        """Recorded ids that are not among `ids`."""
        ...

    def comparisons(self, name: str) -> list[tuple[int, int]] | None:
        """The comparisons recorded for a sample, as shown; None: whatever the task asks."""
        ...
