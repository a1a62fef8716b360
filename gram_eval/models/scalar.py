"""Scalar reward models: a classifier with one output reads the conversation with the response at its end."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Literal

from ..engines.checkpoint import find_checkpoint
from ..engines.choose import open_engine
from ..errors import ModelError, UsageError
from ..schema import Ability, Json, Judgment, Message, Request
from .base import Batch
from .card import read_card
from .planning import FirstPrompt, cached_tokens, check_chat_template, check_finite, plan_requests, refused
from .prompting import render_chats, transcript

if TYPE_CHECKING:
    from ..engines.transformers import Engine
    from ..engines.vllm import VllmEngine
    from .load import ModelOptions


class ScalarModel:
    """A `score` model on an engine; see `RewardModel`."""

    ability: Ability = "score"
    keyed_by: Literal["content", "sample"] = "content"

    def __init__(self, name: str, engine: Engine | VllmEngine, identity: Mapping[str, Json]) -> None:
        self.name, self.identity = name, identity
        self._engine, self._first = engine, FirstPrompt()
        self._paired = not engine.decoder and not getattr(engine.tokenizer, "chat_template", None)
        if not self._paired:
            check_chat_template(engine.tokenizer, add_generation_prompt=False)

    def plan(self, requests: Sequence[Request]) -> list[Batch]:
        """Renders and encodes the requests; rows of similar length go together."""
        batches = plan_requests(requests, self._encode, self._engine.plan, self._engine.context)
        self._first.show(self._engine.tokenizer, batches)
        return batches

    def judge(self, batch: Batch) -> list[Judgment]:
        """Rewards of one batch.

        Raises:
            ModelError: A reward is not finite, or a single row does not fit into memory.
        """
        answers = refused(batch)
        if answers is not None:
            return answers
        rewards = self._engine.rewards(batch.encoded)
        check_finite(batch, rewards)
        return [
            Judgment(request.key, reward=float(reward), prompt_tokens=len(row), cached_tokens=cached)
            for request, reward, row, cached in zip(
                batch.requests, rewards, batch.encoded, cached_tokens(self._engine, batch), strict=True
            )
        ]

    def check(self, batch: Batch) -> dict[str, Json] | None:
        """Compares the engine with the transformers engine on the first rows of a batch, where it is another one.

        Raises:
            ModelError: Their rewards differ by more than the dtype allows.
        """
        if refused(batch) is not None:
            return None
        found = self._engine.check(batch.encoded)
        return None if found is None else found.to_json()

    def _encode(self, requests: Sequence[Request]) -> list[list[int]]:
        if self._paired:
            return [self._encode_pair(request) for request in requests]
        chats = [[*request.prompt, Message("assistant", request.responses[0])] for request in requests]
        return render_chats(self._engine.tokenizer, chats, add_generation_prompt=False)

    def _encode_pair(self, request: Request) -> list[int]:
        # Encoders without a chat template read the question and the answer as their two segments.
        out = self._engine.tokenizer(
            transcript(request.prompt), request.responses[0], return_token_type_ids=True, verbose=False
        )
        return list(out["input_ids"])


def load(name: str, options: ModelOptions) -> ScalarModel:
    """Loads `scalar:NAME`.

    Raises:
        ModelError: The checkpoint is incomplete or has no head with one output.
        UsageError: Its reward.json says that it is of another kind.
    """
    checkpoint = find_checkpoint(name, revision=options.revision, code=options.trust_remote_code)
    card = read_card(checkpoint.folder)
    if card is not None and card.kind != "scalar":
        raise UsageError(f"{name}: reward.json says kind '{card.kind}'; leave out 'scalar:'.")
    opened = open_engine(checkpoint, "scalar", options)
    engine = opened.engine
    segments = int(getattr(opened.config, "type_vocab_size", 0))
    if not engine.decoder and not engine.tokenizer.chat_template and segments > 1:
        raise ModelError(
            f"{name} has no chat template and tells question and answer apart by segment ids, which is not supported."
        )
    identity: dict[str, Json] = {
        "kind": "scalar",
        "weights": checkpoint.fingerprint(),
        **opened.identity,
    }
    return ScalarModel(checkpoint.name, engine, identity)
