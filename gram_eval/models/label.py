"""Generative judges read by their label tokens: two responses in, probabilities of "A" and "B" out.

No text is generated: the label is the first token of the assistant's turn (GRAM, arXiv 2506.14175, section 3).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Literal

from ..engines.checkpoint import find_checkpoint
from ..engines.choose import open_engine
from ..errors import ModelError, UsageError
from ..schema import Ability, Json, Judgment, Request, content_key
from .base import Batch
from .card import read_card
from .planning import FirstPrompt, cached_tokens, check_chat_template, check_finite, plan_requests, refused
from .prompting import (
    DEFAULT_LABELS,
    builtin_template,
    given_template,
    judge_messages,
    label_token_ids,
    render_chats,
)

if TYPE_CHECKING:
    from ..engines.transformers import Engine
    from ..engines.vllm import VllmEngine
    from .load import ModelOptions


class LabelModel:
    """A `prefer` model on an engine; see `RewardModel`."""

    ability: Ability = "prefer"
    keyed_by: Literal["content", "sample"] = "content"

    def __init__(
        self,
        name: str,
        engine: Engine | VllmEngine,
        identity: Mapping[str, Json],
        template: str,
        label_ids: tuple[int, int],
    ) -> None:
        self.name, self.identity = name, identity
        self._engine, self._first = engine, FirstPrompt()
        self._template, self._label_ids = template, label_ids

    def plan(self, requests: Sequence[Request]) -> list[Batch]:
        """Renders and encodes the requests; rows of similar length go together."""
        batches = plan_requests(requests, self._encode, self._engine.plan, self._engine.context)
        self._first.show(self._engine.tokenizer, batches)
        return batches

    def judge(self, batch: Batch) -> list[Judgment]:
        """Label log-probabilities of one batch: (first is better, second is better).

        Raises:
            ModelError: A value is not finite, or a single row does not fit into memory.
        """
        answers = refused(batch)
        if answers is not None:
            return answers
        logprobs = self._engine.label_logprobs(batch.encoded, self._label_ids)
        check_finite(batch, logprobs)
        return [
            Judgment(request.key, logprobs=(float(first), float(second)), prompt_tokens=len(row), cached_tokens=cached)
            for request, (first, second), row, cached in zip(
                batch.requests, logprobs, batch.encoded, cached_tokens(self._engine, batch), strict=True
            )
        ]

    def _encode(self, requests: Sequence[Request]) -> list[list[int]]:
        chats = [judge_messages(self._template, request.prompt, *request.responses) for request in requests]
        return render_chats(self._engine.tokenizer, chats, add_generation_prompt=True)


def load(name: str, options: ModelOptions) -> LabelModel:
    """Loads `label:NAME`.

    The prompt and the labels are the user's, else those of reward.json, else the project's own.

    Raises:
        ModelError: The checkpoint is incomplete, or its tokenizer does not have the labels as single tokens.
        UsageError: Its reward.json says that it is of another kind, or the template file cannot be read.
    """
    checkpoint = find_checkpoint(name, revision=options.revision, code=options.trust_remote_code)
    card = read_card(checkpoint.folder)
    if card is not None and card.kind != "label":
        raise UsageError(f"{name}: reward.json says kind '{card.kind}'; leave out 'label:'.")
    template = given_template(options.template) or (card and card.template) or builtin_template("label")
    labels = options.labels or (card.labels if card else None) or DEFAULT_LABELS
    opened = open_engine(checkpoint, "label", options)
    tokenizer = opened.engine.tokenizer
    check_chat_template(tokenizer, add_generation_prompt=True)
    label_ids = label_token_ids(tokenizer, labels)
    if card is not None and options.labels is None and card.label_ids not in (None, label_ids):
        raise ModelError(
            f"{name}: reward.json says label ids {card.label_ids}, the tokenizer gives {label_ids} for {labels}; "
            "the tokenizer is not the one that the model was trained with."
        )
    identity: dict[str, Json] = {
        "kind": "label",
        "weights": checkpoint.fingerprint(),
        "template": content_key(template),
        "labels": list(labels),
        "label_ids": list(label_ids),
        **opened.identity,
    }
    return LabelModel(checkpoint.name, opened.engine, identity, template, label_ids)
