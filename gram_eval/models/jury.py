"""A jury: several reward models compare the same two responses; their probabilities are averaged.

Rewards of different models have different units, so what is averaged is P(the first is better): a `prefer`
model's own, and for a `score` model sigmoid(r_first - r_second), which is what its training means by a reward
(Bradley-Terry) and gives the same answer in both orders.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Literal

from ..errors import UsageError
from ..kinds.answers import SEVERITY, preference
from ..schema import Ability, Json, Judgment, Request, Status, content_key
from ..verdicts import STRICT
from .base import Batch, Checked, Recorded, RewardModel
from .load import MODEL_KINDS, ModelOptions, load_model
from .recorded import NEVER

PER_BATCH = 128


class Jury:
    """A `prefer` model made of others; see `RewardModel` and, for members that were recorded, `Recorded`.

    Attributes:
        orders: None: recorded members answer in any order.
    """

    ability: Ability = "prefer"
    orders: Literal["both", "one"] | None = None

    def __init__(self, members: Sequence[RewardModel]) -> None:
        self.name = f"jury:{','.join(member.name for member in members)}"
        sample = any(member.keyed_by == "sample" for member in members)
        self.keyed_by: Literal["content", "sample"] = "sample" if sample else "content"
        self.identity: dict[str, Json] = {"kind": "jury", "members": [dict(member.identity) for member in members]}
        self._members = tuple(members)

    def missing(self, ids: Iterable[str]) -> list[str]:
        """Ids without an answer by some recorded member, in their order."""
        ids = list(ids)
        lacking = {one for member in self._recorded() for one in member.missing(ids)}
        return [one for one in ids if one in lacking]

    def extra(self, ids: Iterable[str]) -> list[str]:
        """Ids that some member has recorded and that are not among `ids`."""
        ids = list(ids)
        return list(dict.fromkeys(one for member in self._recorded() for one in member.extra(ids)))

    def comparisons(self, name: str) -> list[tuple[int, int]] | None:
        """None: whatever the task asks."""
        return None

    def plan(self, requests: Sequence[Request]) -> list[Batch]:
        """Every member plans all that it will be asked; batches follow the order of whoever has most batches."""
        seats = [Seat(member, requests) for member in self._members]
        # So that the slowest member is asked bit by bit, and an interruption loses little.
        leader = max(seats, key=lambda seat: seat.batches)
        ordered = sorted(requests, key=leader.ready)
        return [Batch(tuple(ordered[at : at + PER_BATCH]), seats) for at in range(0, len(ordered), PER_BATCH)]

    def judge(self, batch: Batch) -> list[Judgment]:
        """Mean probabilities of one batch, as the logarithms of P(first is better) and P(second is better).

        A member's failure is the jury's: the worst status of all members, with their names.
        """
        return [_verdict(request, batch.encoded) for request in batch.requests]

    def check(self, batch: Batch) -> dict[str, Json] | None:
        """Has every member compared that can be, by name."""
        found = {seat.member.name: seat.check() for seat in batch.encoded}
        return {name: one for name, one in found.items() if one is not None} or None

    def _recorded(self) -> list[Recorded]:
        return [member for member in self._members if isinstance(member, Recorded)]


class Seat:
    """One member's part in a plan: what it is asked, and its answers so far.

    Each response is scored once, so that both orders of a pair see the same rewards.

    Attributes:
        batches: How many batches the member planned.
    """

    def __init__(self, member: RewardModel, requests: Sequence[Request]) -> None:
        self.member = member
        self._asked = {request.key: _questions(member, request) for request in requests}
        distinct = {one.key: one for questions in self._asked.values() for one in questions}
        self._batches = member.plan(list(distinct.values()))
        self.batches = len(self._batches)
        self._place = {one.key: at for at, batch in enumerate(self._batches) for one in batch.requests}
        self._answers: dict[str, Judgment] = {}

    def ready(self, request: Request) -> int:
        """Position of the last of the member's batches that the request waits for."""
        return max(self._place[one.key] for one in self._asked[request.key])

    def check(self) -> dict[str, Json] | None:
        """The member's comparison with another engine, where there is one."""
        return self.member.check(self._batches[0]) if isinstance(self.member, Checked) and self._batches else None

    def answers(self, request: Request) -> list[Judgment]:
        """The member's answers: to the pair, or to its two responses."""
        keys = [one.key for one in self._asked[request.key]]
        for key in keys:
            if key not in self._answers:
                batch = self._batches[self._place[key]]
                self._answers.update((one.key, one) for one in self.member.judge(batch))
        return [self._answers[key] for key in keys]


def load(name: str, options: ModelOptions) -> Jury:
    """Loads `jury:SPEC,SPEC...`; the options go to every member.

    Raises:
        UsageError: There are fewer than two members, or one of a kind that cannot sit in a jury.
        ModelError: A member's checkpoint cannot be loaded.
        DataError: A member's recorded answers are malformed.
    """
    specs = split_members(name)
    if options.revision is not None:
        raise UsageError("a revision is a commit of one repository; give the jury's members as local folders.")
    options = options.model_copy(update={"memory_share": options.memory_share / len(specs)})
    members: list[RewardModel] = []
    for spec in specs:
        member = load_model(spec, options)
        if isinstance(member, Recorded):
            if member.ability == "choose" or member.orders is not None:
                raise UsageError(f"{spec} holds recorded choices or games; in a jury use recorded scores or p_first.")
        elif member.ability == "choose":
            raise UsageError(f"{spec} chooses among all responses; in a jury use rationale:, rating: or openai:.")
        members.append(member)
    return Jury(members)


def split_members(name: str) -> list[str]:
    """The members' specs: split at commas, but the checkpoint behind `implicit:POLICY,` is its reference.

    A checkpoint that is to be a member of its own there says its kind.

    Raises:
        UsageError: There are fewer than two members, an empty one, or another jury among them.
    """
    specs: list[str] = []
    for piece in name.split(","):
        has_kind = piece.partition(":")[0] in MODEL_KINDS.names()
        if specs and specs[-1].startswith("implicit:") and "," not in specs[-1] and not has_kind:
            specs[-1] += f",{piece}"
        else:
            specs.append(piece)
    if len(specs) < 2 or not all(specs):
        raise UsageError(f"'jury:{name}' needs two models or more; write jury:SPEC,SPEC without spaces.")
    if any(spec.startswith("jury:") for spec in specs):
        raise UsageError(f"'jury:{name}' has a jury as a member; name all the models in one jury.")
    return specs


def _questions(member: RewardModel, request: Request) -> list[Request]:
    if member.ability == "prefer":
        return [request]
    turns = [[turn.role, turn.content] for turn in request.prompt]
    questions: list[Request] = []
    for index, response in zip(request.indices, request.responses, strict=True):
        about = (request.sample_id, index) if member.keyed_by == "sample" else (turns, response)
        key = content_key("jury:score", *about)
        questions.append(Request(key, request.sample_id, (index,), request.prompt, (response,)))
    return questions


def _verdict(request: Request, seats: Sequence[Seat]) -> Judgment:
    chances: list[tuple[float, float]] = []
    failed: dict[str, Judgment] = {}
    for seat in seats:
        answers = seat.answers(request)
        found = _chances(answers)
        if found is None:
            failed[seat.member.name] = min(answers, key=_rank)
        else:
            chances.append(found)
    if failed:
        worst = min(failed.values(), key=_rank)
        error = "; ".join(f"{name}: {one.error or _status(one)}" for name, one in failed.items())
        return Judgment(request.key, _status(worst), error=error)
    return Judgment(request.key, logprobs=(_log_mean([a for a, _ in chances]), _log_mean([b for _, b in chances])))


def _chances(answers: Sequence[Judgment]) -> tuple[float, float] | None:
    """P(first is better) and P(second is better); None when there is an answer missing. Texts are read strictly."""
    if any(one.status != "ok" for one in answers):
        return None
    if len(answers) == 1:
        (one,) = answers
        if one.logprobs:
            return preference(one.logprobs), preference(one.logprobs[::-1])
        chance = STRICT.pair(one.text or "")
        return None if chance is None else (chance, 1.0 - chance)
    first, second = (STRICT.rating(one.text or "") if one.reward is None else one.reward for one in answers)
    if first is None or second is None:
        return None
    return preference((first, second)), preference((second, first))


def _status(judgment: Judgment) -> Status:
    """The status; an answer that is there but says nothing is unparsed."""
    return "unparsed" if judgment.status == "ok" else judgment.status


def _rank(judgment: Judgment) -> int:
    """Position among failures, the worst first; answers come last."""
    return SEVERITY.index(judgment.status) if judgment.status in SEVERITY else len(SEVERITY)


def _log_mean(chances: Sequence[float]) -> float:
    mean = math.fsum(chances) / len(chances)
    return max(NEVER, math.log(mean)) if mean > 0 else NEVER
