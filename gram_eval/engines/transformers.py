"""The transformers engine: token ids in, label log-probabilities or rewards out. Knows nothing of tasks.

Scores do not depend on what else is in a batch. Decoders get rows padded on the right and no attention mask:
pads come after the last real token, so causal attention never sees them, and attention keeps its fast causal
kernel. Only the last real token of a row reaches the head, and heads compute in float32: in bfloat16 rewards
that differ would round to ties.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from ..errors import ModelError
from .batching import Ids, pad_right, plan_batches
from .loading import Loaded, context_length

logger = logging.getLogger(__name__)

BATCH_TOKENS = {"cpu": 2048, "cuda": 32768}

HEAD_ROWS = 16384
"""Rows of the vocabulary that are converted to float32 at a time."""

HEAD_VALUES = 2**28
"""Logits that are held at a time where many positions of a row are read (1 GiB in float32)."""

Forward = Callable[..., Tensor]
"""(ids [rows, length], last [rows], any further values by row) -> values [rows, ...], float32 or float64."""


class Engine:
    """A loaded model.

    Attributes:
        tokenizer: The checkpoint's tokenizer.
        context: Longest row in tokens, or None.
        decoder: Whether rows go through causal attention (scalar: verified when loaded).
        cached: None: nothing is kept from one row for another.
    """

    cached: list[int] | None = None

    def __init__(self, loaded: Loaded, *, batch_tokens: int | None = None) -> None:
        self.tokenizer = loaded.tokenizer
        self._model, self._device = loaded.model, loaded.device
        self._batch_tokens = batch_tokens or BATCH_TOKENS.get(loaded.device.type, BATCH_TOKENS["cpu"])
        self._limit: int | None = None
        self._vocabulary = int(loaded.model.get_input_embeddings().weight.shape[0])
        # Official classifiers look for the configuration's pad token, so that is the one to pad with.
        pads = (loaded.model.config.get_text_config().pad_token_id, loaded.tokenizer.pad_token_id)
        self._pad = next((int(pad) for pad in pads if pad is not None and 0 <= pad < self._vocabulary), 0)
        self._head = _scalar_head(loaded.model)
        self.decoder = self._head is None and loaded.model.get_output_embeddings() is not None
        if self._head is not None:
            self.decoder = self._is_plain_decoder()
        self.context = context_length(loaded.model.config, loaded.tokenizer, decoder=self.decoder)

    def check(self, rows: Sequence[Ids]) -> None:
        """None: this is the engine that others are compared with."""

    def plan(self, lengths: Sequence[int]) -> list[list[int]]:
        """Batches within the token budget; see `plan_batches`."""
        return plan_batches(lengths, self._batch_tokens)

    def rewards(self, rows: Sequence[Ids]) -> NDArray[np.float64]:
        """Output of the one-label head at each row's last token, shape [rows].

        Raises:
            ModelError: Out of memory with a single row, or an id outside the vocabulary.
        """
        return self._run(rows, self._decoder_rewards if self.decoder else self._official_rewards)

    def label_logprobs(self, rows: Sequence[Ids], label_ids: tuple[int, int]) -> NDArray[np.float64]:
        """Natural-log probability of each label as next token, under the whole vocabulary; shape [rows, 2].

        Raises:
            ModelError: Out of memory with a single row, or an id outside the vocabulary.
        """

        def forward(ids: Tensor, last: Tensor) -> Tensor:
            logits = self._last_logits(ids, last)
            return logits[:, list(label_ids)] - logits.logsumexp(-1, keepdim=True)

        return self._run(rows, forward)

    def response_logprobs(self, rows: Sequence[Ids], starts: Sequence[int]) -> NDArray[np.float64]:
        """Natural-log probability of each row's tokens from its start on, given those before it; shape [rows].

        Only the positions that predict those tokens reach the head, a block of them at a time.

        Args:
            rows: Token ids of prompt and response.
            starts: Index of each row's first response token, 1 or more; a row may end there (its sum is 0).

        Raises:
            ModelError: Out of memory with a single row, or an id outside the vocabulary.
        """

        def forward(ids: Tensor, last: Tensor, starts: Tensor) -> Tensor:
            places = torch.arange(ids.shape[1], device=ids.device)
            asked = (places >= starts[:, None] - 1) & (places < last[:, None])
            hidden, targets = self._head_inputs(ids)[asked], ids.roll(-1, 1)[asked]
            sums = torch.zeros(ids.shape, dtype=torch.float64, device=ids.device)
            if len(targets):
                size = max(1, HEAD_VALUES // self._vocabulary)
                blocks = zip(torch.split(hidden, size), torch.split(targets, size), strict=True)
                sums[asked] = torch.cat([self._token_logprobs(*block) for block in blocks]).double()
            return sums.sum(1)

        return self._run(rows, forward, np.asarray(starts, dtype=np.int64))

    def _run(self, rows: Sequence[Ids], forward: Forward, *given: NDArray[np.int64]) -> NDArray[np.float64]:
        """Runs a batch, in halves where memory does not suffice, and remembers what did not fit."""
        ids, last = pad_right(rows, self._pad)
        if ids.max() >= self._vocabulary or ids.min() < 0:
            raise ModelError(
                f"token id {int(ids.max())} is outside the model's vocabulary of {self._vocabulary}; "
                "the checkpoint's tokenizer is not the model's own."
            )
        if len(rows) == 1 or self._limit is None or ids.size <= self._limit:
            try:
                return self._forward(ids, last, forward, *given)
            except RuntimeError as error:
                if not out_of_memory(error):
                    raise
                if len(rows) == 1:
                    raise ModelError(
                        f"out of memory with a single row of {ids.shape[1]} tokens; use a smaller model or dtype, "
                        "or another device."
                    ) from None
            # Outside the except block, whose traceback keeps the failed tensors alive.
            self._limit = ids.size // 2
            logger.warning("out of memory with %d x %d tokens; continuing with half of that", *ids.shape)
            if self._device.type == "cuda":
                torch.cuda.empty_cache()
        half = (len(rows) + 1) // 2
        parts = (slice(half), slice(half, None))
        return np.concatenate([self._run(rows[part], forward, *(one[part] for one in given)) for part in parts])

    @torch.inference_mode()
    def _forward(
        self, ids: NDArray[np.int64], last: NDArray[np.int64], forward: Forward, *given: NDArray[np.int64]
    ) -> NDArray[np.float64]:
        values = forward(*(torch.from_numpy(one).to(self._device) for one in (ids, last, *given)))
        return values.double().cpu().numpy()

    def _last_logits(self, ids: Tensor, last: Tensor) -> Tensor:
        """Logits after the last token, [rows, vocabulary]; by the official forward, caps and scales included."""
        head = self._model.get_output_embeddings()
        with head_given(head, lambda _, inputs: (_at(inputs[0], last)[:, None], *inputs[1:])):
            logits: Tensor = self._model(input_ids=ids, use_cache=False).logits
        if logits.shape[1] != 1:  # a model that does not call its output embeddings as a module
            return _at(logits, last).float()
        return logits[:, 0].float()

    def _head_inputs(self, ids: Tensor) -> Tensor:
        """What the output embeddings are given, [rows, length, width]."""
        seen: list[Tensor] = []

        def keep(_: Any, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
            seen.append(inputs[0])
            return (inputs[0][:, :1], *inputs[1:])

        with head_given(self._model.get_output_embeddings(), keep):
            self._model(input_ids=ids, use_cache=False)
        if len(seen) != 1 or seen[0].shape[:2] != ids.shape:
            raise ModelError("the model does not apply its output embeddings as one module, which is not supported.")
        return seen[0]

    def _token_logprobs(self, hidden: Tensor, targets: Tensor) -> Tensor:
        """Log-probability of each target, [targets]; float32.

        The official forward runs on a single token and its head on `hidden`: so caps and scales of the
        logits are the model's own.
        """
        with head_given(self._model.get_output_embeddings(), lambda _, inputs: (hidden[None], *inputs[1:])):
            logits: Tensor = self._model(input_ids=targets[None, :1], use_cache=False).logits[0].float()
        return logits.gather(1, targets[:, None])[:, 0] - logits.logsumexp(-1)

    def _decoder_rewards(self, ids: Tensor, last: Tensor) -> Tensor:
        hidden = self._model.base_model(input_ids=ids, use_cache=False).last_hidden_state
        return _in_float32(self._head, _at(hidden, last))[:, 0]

    def _official_rewards(self, ids: Tensor, last: Tensor) -> Tensor:
        mask = (torch.arange(ids.shape[1], device=ids.device) <= last[:, None]).long()
        logits: Tensor = self._model(input_ids=ids, attention_mask=mask).logits
        return logits[:, 0].float()

    def _is_plain_decoder(self) -> bool:
        """Whether the head on the last token of a causal backbone is all that the official forward does.

        Tried on one short row with and without junk after it. Any model for which that does not hold (a
        bidirectional one, a pooler, a gate) goes through its official forward with a mask instead.
        """
        config = self._model.config.get_text_config()
        if config.pad_token_id is None:
            config.pad_token_id = self._pad  # the official forward refuses several rows without it
        choice = np.random.default_rng(0).integers(0, self._vocabulary, size=24)
        choice = choice[choice != config.pad_token_id][:12].astype(np.int64)
        short, end = choice[None, :8], np.array([7])
        try:
            official = self._forward(short, end, self._official_rewards)
            ours = self._forward(choice[None], end, self._decoder_rewards)
        except (AttributeError, TypeError, ValueError):  # no such backbone, or it takes other arguments
            return False
        # Half precision differs by kernel, hence wide; attention to the junk shows far above it.
        exact = self._model.dtype == torch.float32
        close = np.allclose(ours, official, rtol=1e-4 if exact else 0.05, atol=1e-4 if exact else 0.05)
        if not close:
            logger.info("the classifier is not a causal decoder with a linear head; using its official forward")
        return bool(close)


def _scalar_head(model: Any) -> Any:
    head = getattr(model, "score", None)
    return head if isinstance(head, nn.Module) and model.base_model is not model else None


def _at(values: Tensor, last: Tensor) -> Tensor:
    return values[torch.arange(len(values), device=values.device), last.to(values.device)]


def _in_float32(head: Any, hidden: Tensor) -> Tensor:
    """The head's output in float32; for a linear head also computed in it, a block of rows at a time."""
    if type(head) is not nn.Linear or head.weight.dtype == torch.float32:
        return torch.as_tensor(head(hidden)).float()
    hidden = hidden.float()
    blocks = [F.linear(hidden, weight.float()) for weight in torch.split(head.weight, HEAD_ROWS)]
    out = torch.cat(blocks, -1)
    return out if head.bias is None else out + head.bias.float()


@contextmanager
def head_given(head: Any, change: Callable[[Any, tuple[Tensor, ...]], tuple[Tensor, ...]]) -> Iterator[None]:
    """Inside, the output embeddings get what `change` makes of their inputs, and answer in float32."""
    handles = [
        head.register_forward_pre_hook(change),
        head.register_forward_hook(lambda module, inputs, output: _again_in_float32(module, inputs[0], output)),
    ]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _again_in_float32(head: Any, hidden: Tensor, output: Tensor) -> Tensor:
    if type(head) is not nn.Linear or output.dtype == torch.float32:
        return output
    return _in_float32(head, hidden)


def out_of_memory(error: RuntimeError) -> bool:
    """Whether it is the GPU's or the CPU allocator's failure."""
    text = str(error)
    return isinstance(error, torch.OutOfMemoryError) or "DefaultCPUAllocator" in text or "not enough memory" in text
