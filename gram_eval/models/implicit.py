"""Implicit rewards: log-probability of a response under a policy, less that under its reference.

The reward that DPO trains, without its factor beta: r(x, y) = log pi(y | x) - log pi_ref(y | x) (Rafailov et
al., 2023, arXiv 2305.18290, equation 5; up to a constant of the prompt), as RewardBench scores DPO models. Without a
reference it is log pi(y | x), which favours short responses.

y runs from the first token after the generation prompt to the last control token that the chat template puts
behind the response (its end of turn), as the policy was trained; the line break that some templates add
there does not count. Where a template writes none, all that follows counts.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from ..engines.batching import Ids
from ..engines.checkpoint import find_checkpoint
from ..engines.choose import open_engine
from ..errors import ModelError, UsageError
from ..schema import Ability, Json, Judgment, Message, Request
from .base import Batch
from .card import read_card
from .planning import REFUSED_PER_BATCH, FirstPrompt, Refusal, check_chat_template, check_finite, encode_each, refused
from .prompting import render_chats

if TYPE_CHECKING:
    from ..engines.transformers import Engine
    from ..engines.vllm import VllmEngine
    from .load import ModelOptions

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Span:
    """Prompt and response as token ids, and the index of the response's first one."""

    ids: Ids
    start: int


class LanguageModel:
    """A policy or a reference: says how probable responses are.

    Attributes:
        engine: The loaded model.
    """

    def __init__(self, name: str, engine: Engine | VllmEngine) -> None:
        self.name, self.engine = name, engine
        self._control = _control_ids(engine.tokenizer)
        self._unshared = self._tokens_of_the_generation_prompt_only()

    def spans(self, requests: Sequence[Request]) -> list[Span | Refusal]:
        """Renders requests; those beyond the context are refused.

        Raises:
            ModelError: No request at all can be rendered.
        """
        stems = encode_each(requests, self._stems)
        return [self._span(stem, whole) for stem, whole in zip(stems, encode_each(requests, self._wholes), strict=True)]

    def logprobs(self, spans: Sequence[Span]) -> np.ndarray[Any, np.dtype[np.float64]]:
        """Natural-log probability of each response, shape [spans]."""
        return self.engine.response_logprobs([span.ids for span in spans], [span.start for span in spans])

    def _stems(self, requests: Sequence[Request]) -> list[list[int]]:
        return render_chats(self.engine.tokenizer, [one.prompt for one in requests], add_generation_prompt=True)

    def _wholes(self, requests: Sequence[Request]) -> list[list[int]]:
        chats = [[*one.prompt, Message("assistant", one.responses[0])] for one in requests]
        return render_chats(self.engine.tokenizer, chats, add_generation_prompt=False)

    def _span(self, stem: Ids | Refusal, whole: Ids | Refusal) -> Span | Refusal:
        if isinstance(stem, Refusal):
            return stem
        if isinstance(whole, Refusal):
            return whole
        # The last token of the generation prompt may merge with the response; it is the response's then.
        start = _shared(stem[: len(stem) - self._unshared], whole)
        if start == 0:
            return Refusal("error", f"the chat template of {self.name} begins otherwise when a response follows")
        ends = np.flatnonzero(np.isin(whole[start:], self._control))
        ids = whole[: start + int(ends[-1]) + 1] if len(ends) else whole
        context = self.engine.context
        if context is not None and len(ids) > context:
            error = f"prompt and response have {len(ids)} tokens, {self.name} takes {context}"
            return Refusal("too_long", error, len(ids))
        return Span(ids, start)

    def _tokens_of_the_generation_prompt_only(self) -> int:
        """How many tokens at its end no conversation has, such as an empty thinking block.

        Raises:
            ModelError: The chat template writes the question otherwise when a response follows.
        """
        tokenizer = self.engine.tokenizer
        check_chat_template(tokenizer, add_generation_prompt=True)
        question, other = Message("user", "?"), Message("user", "!")
        stem, changed = render_chats(tokenizer, [[question], [other]], add_generation_prompt=True)
        (whole,) = render_chats(tokenizer, [[question, Message("assistant", "!")]], add_generation_prompt=False)
        shared = _shared(stem, whole)
        if shared <= _shared(stem, changed):
            raise ModelError(
                f"the chat template of {self.name} writes the question otherwise when a response follows, "
                "so the response's own tokens are not known; use the template that the model was trained with."
            )
        if shared < len(stem):
            shown = tokenizer.decode(stem[shared:])
            logger.warning("%s: %r of the generation prompt is not in whole conversations; left out", self.name, shown)
        return len(stem) - shared


class ImplicitModel:
    """A `score` model made of one or two language models; see `RewardModel`."""

    ability: Ability = "score"
    keyed_by: Literal["content", "sample"] = "content"

    def __init__(
        self, name: str, policy: LanguageModel, reference: LanguageModel | None, identity: Mapping[str, Json]
    ) -> None:
        self.name, self.identity = name, identity
        self._models = (policy,) if reference is None else (policy, reference)
        self._first = FirstPrompt()

    def plan(self, requests: Sequence[Request]) -> list[Batch]:
        """Renders and encodes the requests for each model; rows of similar length go together."""
        fine: list[tuple[Request, tuple[Span, ...]]] = []
        refusals: list[tuple[Request, Refusal]] = []
        for request, *found in zip(requests, *(model.spans(requests) for model in self._models), strict=True):
            refusal = next((one for one in found if isinstance(one, Refusal)), None)
            if refusal is None:
                fine.append((request, tuple(one for one in found if isinstance(one, Span))))
            else:
                refusals.append((request, refusal))
        engine = self._models[0].engine
        groups = engine.plan([max(len(span.ids) for span in spans) for _, spans in fine])
        batches = [Batch(tuple(fine[i][0] for i in group), tuple(fine[i][1] for i in group)) for group in groups]
        for batch in batches[:1]:
            shown = tuple(spans[0].ids for spans in batch.encoded)
            self._first.show(engine.tokenizer, [Batch(batch.requests, shown)])
        for start in range(0, len(refusals), REFUSED_PER_BATCH):
            asked, reasons = zip(*refusals[start : start + REFUSED_PER_BATCH], strict=True)
            batches.append(Batch(asked, reasons))
        return batches

    def judge(self, batch: Batch) -> list[Judgment]:
        """Rewards of one batch, in nats.

        Raises:
            ModelError: A reward is not finite, or a single row does not fit into memory.
        """
        answers = refused(batch)
        if answers is not None:
            return answers
        sides = zip(*batch.encoded, strict=True)
        policy, *reference = [model.logprobs(side) for model, side in zip(self._models, sides, strict=True)]
        rewards = policy - reference[0] if reference else policy
        check_finite(batch, rewards)
        return [
            Judgment(request.key, reward=float(reward), prompt_tokens=len(spans[0].ids))
            for request, reward, spans in zip(batch.requests, rewards, batch.encoded, strict=True)
        ]


def load(name: str, options: ModelOptions) -> ImplicitModel:
    """Loads `implicit:POLICY,REFERENCE`, or `implicit:POLICY` without a reference; both are in memory at once.

    The two may have different tokenizers and chat templates: each gives the log-probability of the same response.

    Raises:
        ModelError: A checkpoint is incomplete, or its chat template does not show where responses begin.
        UsageError: There are more than two checkpoints, an empty name, or one is a scalar reward model.
    """
    names = split_names(name)
    if options.revision is not None and len(names) > 1:
        raise UsageError("a revision is a commit of one repository; give policy and reference as local folders.")
    options = options.model_copy(update={"memory_share": options.memory_share / len(names)})
    parts = [_load_one(one, options) for one in names]
    models = [model for model, _ in parts]
    identity: dict[str, Json] = {"kind": "implicit", "policy": parts[0][1], "reference": None, "attn": options.attn}
    if len(parts) > 1:
        identity["reference"] = parts[1][1]
    shown = ",".join(model.name for model in models)
    return ImplicitModel(f"implicit:{shown}", models[0], models[1] if len(models) > 1 else None, identity)


def split_names(name: str) -> list[str]:
    """Policy and reference; a folder whose name has a comma is a policy.

    Raises:
        UsageError: There are more than two names, or an empty one.
    """
    names = [name] if Path(name).expanduser().is_dir() else name.split(",")
    if len(names) > 2 or not all(names):
        raise UsageError(f"'implicit:{name}' is no pair of checkpoints; write implicit:POLICY,REFERENCE.")
    return names


def _load_one(name: str, options: ModelOptions) -> tuple[LanguageModel, dict[str, Json]]:
    checkpoint = find_checkpoint(name, revision=options.revision, code=options.trust_remote_code)
    card = read_card(checkpoint.folder)
    if card is not None and card.kind == "scalar":
        raise UsageError(f"{name}: reward.json says kind 'scalar'; an implicit reward needs language models.")
    opened = open_engine(checkpoint, "label", options)
    identity: dict[str, Json] = {"weights": checkpoint.fingerprint(), **opened.identity}
    del identity["attn"]  # said once for both
    return LanguageModel(checkpoint.name, opened.engine), identity


def _control_ids(tokenizer: Any) -> list[int]:
    added = {index for index, token in tokenizer.added_tokens_decoder.items() if token.special}
    return sorted((added | set(tokenizer.all_special_ids)) - {tokenizer.unk_token_id})


def _shared(one: Sequence[int] | Ids, other: Sequence[int] | Ids) -> int:
    """Length of the longest common prefix."""
    length = min(len(one), len(other))
    differ = np.flatnonzero(np.asarray(one[:length]) != np.asarray(other[:length]))
    return int(differ[0]) if len(differ) else length
