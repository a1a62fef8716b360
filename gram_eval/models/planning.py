"""What models that read token ids share: requests become batches of rows, and refusals become judgments."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ..engines.batching import Ids
from ..errors import ModelError
from ..schema import Judgment, Message, Request, Status
from .base import Batch
from .prompting import Chat, render_chats

if TYPE_CHECKING:
    from ..engines.transformers import Engine
    from ..engines.vllm import VllmEngine

logger = logging.getLogger(__name__)

REFUSED_PER_BATCH = 256


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a request is not sent to the model."""

    status: Status
    error: str
    tokens: int | None = None


Encode = Callable[[Sequence[Request]], list[list[int]]]
"""Token ids of each request; raises ModelError for a request that cannot be rendered."""


def plan_requests(
    requests: Sequence[Request],
    encode: Encode,
    plan: Callable[[Sequence[int]], list[list[int]]],
    context: int | None,
) -> list[Batch]:
    """Encodes every request once and groups them.

    Prompts longer than the context are never cut: they, and requests that cannot be rendered, go into
    batches of refusals, which `refused` answers.

    Args:
        requests: All requests that are planned together.
        encode: Gives the token ids of requests.
        plan: Groups rows by their lengths.
        context: Longest prompt that the model takes, in tokens.

    Raises:
        ModelError: No request at all can be rendered, so the fault is not in the data.
    """
    rows: list[Ids] = []
    fine: list[Request] = []
    refusals: list[tuple[Request, Refusal]] = []
    for request, row in zip(requests, encode_each(requests, encode), strict=True):
        if isinstance(row, Refusal):
            refusals.append((request, row))
        elif context is not None and len(row) > context:
            error = f"the prompt has {len(row)} tokens, the model takes {context}"
            refusals.append((request, Refusal("too_long", error, len(row))))
        else:
            fine.append(request)
            rows.append(row)
    groups = plan([len(row) for row in rows])
    batches = [Batch(tuple(fine[i] for i in group), tuple(rows[i] for i in group)) for group in groups]
    for start in range(0, len(refusals), REFUSED_PER_BATCH):
        asked, reasons = zip(*refusals[start : start + REFUSED_PER_BATCH], strict=True)
        batches.append(Batch(asked, reasons))
    return batches


def encode_each(requests: Sequence[Request], encode: Encode) -> list[Ids | Refusal]:
    """Encodes all at once, and one by one if that fails, so that a bad text costs only its own request.

    Raises:
        ModelError: All of several requests fail.
    """
    try:
        return [np.asarray(row, dtype=np.int32) for row in encode(requests)]
    except ModelError as error:
        first = error
    rows: list[Ids | Refusal] = []
    for request in requests:
        try:
            rows.append(np.asarray(encode([request])[0], dtype=np.int32))
        except ModelError as error:
            rows.append(Refusal("error", str(error)))
    if all(isinstance(row, Refusal) for row in rows):
        raise first
    return rows


def refused(batch: Batch) -> list[Judgment] | None:
    """The judgments of a batch of refusals; None for a batch that is to be run."""
    if not isinstance(batch.encoded[0], Refusal):
        return None
    return [
        Judgment(request.key, refusal.status, error=refusal.error, prompt_tokens=refusal.tokens)
        for request, refusal in zip(batch.requests, batch.encoded, strict=True)
    ]


def cached_tokens(engine: Engine | VllmEngine, batch: Batch) -> Sequence[int | None]:
    """Tokens of each request's prompt that the engine's latest call found in its cache; None where there is none."""
    return engine.cached or [None] * len(batch.requests)


def check_finite(batch: Batch, values: np.ndarray[Any, np.dtype[np.float64]]) -> None:
    """Refuses NaN and infinity.

    Args:
        batch: The batch that was judged.
        values: One row per request.

    Raises:
        ModelError: Names the first request whose answer is not a number.
    """
    bad = ~np.isfinite(values).reshape(len(batch.requests), -1).all(axis=1)
    if bad.any():
        request = batch.requests[int(np.argmax(bad))]
        raise ModelError(
            f"the model's answer to sample '{request.sample_id}' (responses {request.indices}) is not a finite "
            "number; its weights are damaged or overflow in this dtype (try --dtype float32)."
        )


def check_chat_template(tokenizer: Any, *, add_generation_prompt: bool) -> None:
    """Refuses at once a tokenizer whose chat template is missing or broken, and warns of a BOS that it leaves out.

    Raises:
        ModelError: As `render_chat`.
    """
    chat: Chat = [Message("user", "?")] if add_generation_prompt else [Message("user", "?"), Message("assistant", "!")]
    (ids,) = render_chats(tokenizer, [chat], add_generation_prompt=add_generation_prompt)
    bos = tokenizer.bos_token_id
    if bos is not None and ids[0] != bos and list(tokenizer("x")["input_ids"])[:1] == [bos]:
        logger.warning("the tokenizer begins texts with %s, its chat template does not", tokenizer.bos_token)


class FirstPrompt:
    """Logs one rendered prompt (the shortest of the first batch), so that a wrong template is seen."""

    def __init__(self) -> None:
        self._shown = False

    def show(self, tokenizer: Any, batches: Sequence[Batch]) -> None:
        """Logs a decoded row, if none has been logged yet."""
        if self._shown or not logger.isEnabledFor(logging.INFO):
            return
        for batch in batches:
            if not isinstance(batch.encoded[0], Refusal):
                row = min(batch.encoded, key=len)
                logger.info("a rendered prompt (%d tokens):\n%s", len(row), tokenizer.decode(row.tolist()))
                self._shown = True
                return
