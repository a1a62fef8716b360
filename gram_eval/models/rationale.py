"""Generative judges that reason before they answer: responses in, a text with a verdict or a rating out.

One text is written greedily and kept as it is; the harness reads it (GRAM-R2, RM-R1). With several votes (voting@k
of GRAM-R2) texts are drawn at temperature 1, whatever the model's generation_config says; the share of votes for a
response is its probability, and the mean of the ratings its reward. The seed of a text is a hash of the run's seed,
the question and the text's number, so that votes do not depend on what else is in a batch.
"""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from ..engines.checkpoint import find_checkpoint
from ..engines.choose import open_engine
from ..errors import UsageError
from ..schema import Json, Judgment, Message, Request, content_key
from .base import Batch
from .card import read_card
from .forms import Form
from .planning import FirstPrompt, check_chat_template, check_finite, plan_requests, refused
from .prompting import DEFAULT_LABELS, builtin_template, given_template, render_chats
from .votes import choice_votes, mean_rating, pair_votes

if TYPE_CHECKING:
    from ..engines.generate import Generation, WritingEngine
    from ..engines.vllm import VllmEngine
    from .load import ModelOptions

MAX_NEW_TOKENS = 2048

TAIL = 16
"""Tokens at the end of a prompt in which a chat template may open the thinking."""


@dataclass(frozen=True, slots=True)
class Writing:
    """How texts are written.

    Attributes:
        max_new_tokens: Longest text, in tokens.
        votes: Texts per question; 1: one, greedily.
        seed: Seeds the texts where there are several.
    """

    max_new_tokens: int
    votes: int = 1
    seed: int = 0

    def identity(self) -> dict[str, Json]:
        """What changes answers: the seed only where texts are drawn."""
        common: dict[str, Json] = {"votes": self.votes, "max_new_tokens": self.max_new_tokens}
        if self.votes == 1:
            return {"decoding": "greedy", **common}
        return {"decoding": "temperature 1", **common, "seed": self.seed}


class WritingModel:
    """A model that writes its reasons, on an engine; see `RewardModel`."""

    keyed_by: Literal["content", "sample"] = "content"

    def __init__(
        self,
        name: str,
        engine: WritingEngine | VllmEngine,
        identity: Mapping[str, Json],
        form: Form,
        writing: Writing,
    ) -> None:
        self.name, self.identity, self.ability = name, identity, form.ability
        self._engine, self._first = engine, FirstPrompt()
        self._form, self._writing = form, writing

    def plan(self, requests: Sequence[Request]) -> list[Batch]:
        """Renders and encodes the requests; a prompt must leave room in the context for the longest text."""
        writing, context = self._writing, self._engine.context
        batches = plan_requests(
            requests,
            self._encode,
            lambda lengths: self._engine.plan_writing(lengths, writing.max_new_tokens, writing.votes),
            None if context is None else context - writing.max_new_tokens,
        )
        self._first.show(self._engine.tokenizer, batches)
        return batches

    def judge(self, batch: Batch) -> list[Judgment]:
        """Writes the texts of one batch.

        Raises:
            ModelError: The model's probabilities are not finite, or a single text does not fit into memory.
        """
        answers = refused(batch)
        if answers is not None:
            return [self._explained(answer) for answer in answers]
        votes, seed = self._writing.votes, self._writing.seed
        rows = [row for row in batch.encoded for _ in range(votes)]
        seeds = [text_seed(seed, request.key, text) for request in batch.requests for text in range(votes)]
        written = self._engine.write(rows, self._writing.max_new_tokens, seeds if votes > 1 else None)
        check_finite(batch, np.array([one.mean_logprob for one in written]))
        cached, parts = self._engine.cached, [slice(at, at + votes) for at in range(0, len(rows), votes)]
        return [
            self._judgment(request, row, written[part], cached and cached[part])
            for request, row, part in zip(batch.requests, batch.encoded, parts, strict=True)
        ]

    def _judgment(
        self, request: Request, row: Any, written: Sequence[Generation], cached: Sequence[int] | None
    ) -> Judgment:
        opened = self._opened(row)
        texts = [opened + self._engine.tokenizer.decode(list(one.ids), **AS_WRITTEN) for one in written]
        cut = any(one.finish_reason == "length" for one in written)
        count = sum(one.count for one in written)
        raw = Judgment(
            request.key,
            finish_reason="length" if cut else "stop",
            prompt_tokens=len(row),
            completion_tokens=count,
            mean_logprob=math.fsum(one.mean_logprob * one.count for one in written) / count,
            cached_tokens=sum(cached) // len(cached) if cached else None,  # as prompt_tokens, for one text
        )
        if len(texts) == 1:
            return dataclasses.replace(raw, status="truncated" if cut else "ok", text=texts[0])
        each = [
            {"text": text, "finish_reason": one.finish_reason, "tokens": one.count, "mean_logprob": one.mean_logprob}
            for text, one in zip(texts, written, strict=True)
        ]
        raw = dataclasses.replace(raw, text=json.dumps(each, ensure_ascii=False))
        ended = [one.finish_reason == "stop" for one in written]
        return _counted(raw, texts, ended, len(request.responses))

    def _opened(self, row: Any) -> str:
        """The beginning of the thinking block, where the chat template has written it already."""
        end = self._engine.tokenizer.decode(row[-TAIL:].tolist(), **AS_WRITTEN)
        return "<think>\n" if end.rstrip().endswith("<think>") else ""

    def _explained(self, answer: Judgment) -> Judgment:
        if answer.status != "too_long":
            return answer
        error = (
            f"the prompt has {answer.prompt_tokens} tokens and max_new_tokens is {self._writing.max_new_tokens}; "
            f"the model takes {self._engine.context} together"
        )
        return dataclasses.replace(answer, error=error)

    def _encode(self, requests: Sequence[Request]) -> list[list[int]]:
        chats = [[Message("user", self._form.fill(request.prompt, request.responses))] for request in requests]
        return render_chats(_Thinking(self._engine.tokenizer), chats, add_generation_prompt=True)


AS_WRITTEN = {"skip_special_tokens": False, "clean_up_tokenization_spaces": False}
"""How texts are decoded: with control tokens, since some tokenizers count the marks of the thinking among them."""


class _Thinking:
    """A tokenizer whose chat template lets the model think before it answers."""

    def __init__(self, tokenizer: Any) -> None:
        self._tokenizer = tokenizer

    def __getattr__(self, name: str) -> Any:
        return getattr(self._tokenizer, name)

    def __call__(self, *texts: Any, **options: Any) -> Any:
        return self._tokenizer(*texts, **options)

    def apply_chat_template(self, turns: Any, **options: Any) -> Any:
        return self._tokenizer.apply_chat_template(turns, **(options | {"enable_thinking": True}))


def _counted(raw: Judgment, texts: Sequence[str], ended: Sequence[bool], shown: int) -> Judgment:
    """The judgment with what the texts say together; `unparsed` when none can be read."""
    if shown == 1:
        # A text that was cut off may hold half of a number; a verdict is whole or not there.
        reward = mean_rating([text for text, whole in zip(texts, ended, strict=True) if whole])
        return dataclasses.replace(raw, status="unparsed" if reward is None else "ok", reward=reward)
    logprobs = pair_votes(texts) if shown == 2 else choice_votes(texts, shown)
    return dataclasses.replace(raw, status="ok" if logprobs else "unparsed", logprobs=logprobs)


def text_seed(seed: int, key: str, text: int) -> int:
    """Seed of the draws of one text."""
    return int(content_key(seed, key, text)[:16], 16)


def load(name: str, options: ModelOptions) -> WritingModel:
    """Loads `rationale:NAME`, which compares two responses.

    The prompt is the user's (a file, or `rationale` or `verdict` for one of the project's own), else that of
    reward.json, else `rationale`.

    Raises:
        ModelError: The checkpoint is incomplete, its tokenizer has no usable chat template, or the template fails.
        UsageError: Its reward.json says that it is of another kind or has labels that are not read, the template
            file cannot be read, or max_new_tokens leaves no room for a prompt.
    """
    given = given_template(options.template, ("rationale", "verdict"))
    return _load(
        name, options, lambda own: Form("rationale", "prefer", two=given or own or builtin_template("rationale"))
    )


def load_rating(name: str, options: ModelOptions) -> WritingModel:
    """Loads `rating:NAME`, which rates one response from 1 to 10; the prompt is the user's, else `rating`.

    Raises:
        ModelError: As `load`.
        UsageError: As `load`.
    """
    prompt = given_template(options.template) or builtin_template("rating")
    return _load(name, options, lambda own: Form("rating", "score", one=prompt))


def load_choice(name: str, options: ModelOptions) -> WritingModel:
    """Loads `choice:NAME`, which names the best of all responses; the prompt is the user's, else `choice`.

    Where a single response or two are asked about, the prompt is `rating`, and that of reward.json or `verdict`.

    Raises:
        ModelError: As `load`.
        UsageError: As `load`.
    """
    one, many = builtin_template("rating"), given_template(options.template) or builtin_template("choice")
    return _load(
        name, options, lambda own: Form("choice", "choose", one=one, two=own or builtin_template("verdict"), many=many)
    )


def _load(name: str, options: ModelOptions, make: Callable[[str | None], Form]) -> WritingModel:
    """Loads a checkpoint that writes; `make` gives its form, from the pairwise prompt of its reward.json."""
    checkpoint = find_checkpoint(name, revision=options.revision, code=options.trust_remote_code)
    card = read_card(checkpoint.folder)
    form = make(card.template if card else None)
    if card is not None and card.kind != "rationale":
        raise UsageError(f"{name}: reward.json says kind '{card.kind}'; leave out '{form.kind}:'.")
    for labels, where in ((options.labels, "the configuration"), (card and card.labels, "reward.json")):
        if form.ability != "score" and labels not in (None, DEFAULT_LABELS):
            raise UsageError(f"{name}: verdicts in texts are A and B, not {labels}; remove labels from {where}.")
    form.check()
    writing = Writing(options.max_new_tokens or MAX_NEW_TOKENS, options.votes, options.seed)
    opened = open_engine(checkpoint, "label", options, writing=True)
    engine = opened.engine
    check_chat_template(_Thinking(engine.tokenizer), add_generation_prompt=True)
    if engine.context is not None and engine.context <= writing.max_new_tokens:
        raise UsageError(
            f"{name} takes {engine.context} tokens and max_new_tokens is {writing.max_new_tokens}, which leaves none "
            "for the prompt; set a lower max_new_tokens."
        )
    identity: dict[str, Json] = {
        "kind": form.kind,
        "weights": checkpoint.fingerprint(),
        "template": form.key,
        **writing.identity(),
        **opened.identity,
    }
    return WritingModel(checkpoint.name, engine, identity, form, writing)
