"""The nouns of a run: plain typed data that every other module passes around. No torch, no I/O."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

Json = Any
"""A value that the json module can write."""

Role = Literal["system", "user", "assistant"]

Ability = Literal["score", "prefer", "choose"]
"""How a reward model can be asked: a reward for one response, a preference between two, or the best of several.

A model that chooses is asked for rewards, one response at a time, where no single response is the best.
"""

Status = Literal["ok", "unparsed", "truncated", "too_long", "error"]
"""What became of a request. Only `ok` carries an answer; `too_long` was never sent to the model."""


@dataclass(frozen=True, slots=True)
class Message:
    """One turn of a conversation."""

    role: Role
    content: str


@dataclass(frozen=True, slots=True)
class Sample:
    """One item of a benchmark.

    Attributes:
        id: Unique within the task.
        prompt: The conversation that the candidates answer.
        candidates: Two or more responses. Ranking tasks put the chosen one first by convention, but
            only `gold` says which it is.
        gold: One value per candidate, higher is better; equal values are a gold tie.
        subset: The benchmark's own subdivision.
        cluster: Samples with the same cluster are not independent (same prompt, say).
    """

    id: str
    prompt: tuple[Message, ...]
    candidates: tuple[str, ...]
    gold: tuple[float, ...]
    subset: str
    cluster: str
    metadata: Mapping[str, Json] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Request:
    """One question to a reward model.

    Attributes:
        key: Names the answer in the journal. Equal for requests with equal content, so that each
            distinct question is asked once (by sample for models that answer by sample id).
        sample_id: The sample that asks.
        indices: Positions in the sample's candidates of `responses`, in the order shown.
        responses: One response (`score`), two in the order shown (`prefer`), or all (`choose`).
    """

    key: str
    sample_id: str
    indices: tuple[int, ...]
    prompt: tuple[Message, ...]
    responses: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Judgment:
    """What the model said about one request; raw, kept for ever.

    Attributes:
        key: The request's key.
        reward: Reward of the response (`score` requests), in the model's own units.
        logprobs: Natural-log probabilities of the labels "first is better", "second is better" and so
            on, one for each response shown (`prefer` and `choose` requests). They need not sum to one:
            the rest went to other tokens.
        text: Generated text, if any; the verdict is read from it when there is neither a reward nor
            a probability.
        finish_reason: Why generation stopped, as the engine reports it.
        prompt_tokens: Length of the prompt as the model saw it.
        completion_tokens: Number of generated tokens.
        mean_logprob: Mean natural-log probability of the generated tokens.
        cached_tokens: Tokens of the prompt that the engine did not compute again; None where it does not say.
        error: Why there is no answer, in one line, when `status` is not `ok`.
    """

    key: str
    status: Status = "ok"
    reward: float | None = None
    logprobs: tuple[float, ...] | None = None
    text: str | None = None
    finish_reason: str | None = None
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    mean_logprob: float | None = None
    cached_tokens: int | None = None
    error: str | None = None


@dataclass(frozen=True, slots=True)
class Game:
    """One comparison of two candidates, as a model saw it.

    Attributes:
        first: Index of the candidate shown first.
        second: Index of the candidate shown second.
        p_first: P(the first is better); None when the answer could not be read.
    """

    first: int
    second: int
    p_first: float | None


@dataclass(frozen=True, slots=True)
class Answers:
    """What a model said about a sample, in the form it was asked in; the other forms are empty.

    Attributes:
        rewards: One per candidate (`score`); None where it could not be read.
        games: The comparisons (`prefer`).
        choice: Indices of the candidates that were chosen (`choose`): several when they tie, none
            when the answer could not be read; None in the other forms.
    """

    rewards: tuple[float | None, ...] = ()
    games: tuple[Game, ...] = ()
    choice: tuple[int, ...] | None = None


@dataclass(frozen=True, slots=True)
class Credit:
    """What a rule makes of the answers to one sample.

    Attributes:
        value: In [0, 1]; None when the answers do not allow one.
        tie: The model could not separate the best candidate from another.
        margin: See `Outcome.margin`.
        values: Further quantities by name, those that the task declares.
    """

    value: float | None
    tie: bool = False
    margin: float | None = None
    values: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What the judgments of one sample mean. Derived, so it can be derived again without the model.

    Attributes:
        credit: In [0, 1]; None when there is no answer (see `status`).
        tie: The model could not separate the best candidate from another.
        margin: Best candidate's lead over its strongest rival: a difference of rewards for `score`
            models, P(best preferred) - 1/2 for `prefer` models.
        consistent: Both orders of every pair gave the same winner (`prefer` models asked in both).
        first_rate: Share of pairwise questions in which the first response shown won.
        values: Further quantities by name, those that the task declares.
    """

    sample_id: str
    subset: str
    cluster: str
    status: Status
    credit: float | None
    tie: bool = False
    margin: float | None = None
    consistent: bool | None = None
    first_rate: float | None = None
    values: Mapping[str, float] = field(default_factory=dict)


def content_key(*parts: Json) -> str:
    """128-bit hex digest of JSON values; equal content gives equal keys on every platform."""
    text = json.dumps(parts, ensure_ascii=False, separators=(",", ":"), sort_keys=True)
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()
