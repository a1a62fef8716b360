"""The vLLM engine: the same answers as the transformers engine, scheduled by vLLM. Knows nothing of tasks.

vLLM forms its own batches, so that rows come in large groups; inside a group they are asked in the order of their
token ids, which puts equal beginnings next to each other, where vLLM's prefix cache finds them. Nothing of the cache
serves two groups: what a group is answered then depends on the group alone, to the last bit, and not on which process
asked what before. Heads compute in float32, as in the transformers engine. vLLM is imported when an engine is made.
"""

from __future__ import annotations

import logging
import multiprocessing
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from multiprocessing.process import BaseProcess
from typing import Any

import numpy as np
import transformers
from numpy.typing import NDArray

from ..errors import ModelError
from .batching import Ids
from .checkpoint import Checkpoint, check_files
from .generate import Generation
from .loading import Head, context_length, quiet
from .parity import ROWS, Agreement, compare_rewards, reference_rewards
from .signs import sign
from .vllm_platform import check_device
from .vllm_start import Placing, start
from .watch import EngineLost, Watch, watched

logger = logging.getLogger(__name__)

REQUESTS = 512
"""Texts that are handed to vLLM at a time; a journal entry and a step of the progress bar."""


class VllmEngine:
    """A model in vLLM; answers as `Engine` and `WritingEngine` do.

    Attributes:
        tokenizer: The checkpoint's tokenizer.
        context: Longest row in tokens, or None. One less than the model's for labels: vLLM keeps room for the answer.
        decoder: True; other models belong to the transformers engine.
        dtype: Floating-point type of the weights.
        config: transformers' configuration of the model.
        cached: Tokens of each row of the latest call that came out of the prefix cache.
    """

    decoder = True

    def __init__(
        self,
        checkpoint: Checkpoint,
        head: Head,
        *,
        device: str = "auto",
        dtype: str = "auto",
        trust_remote_code: bool = False,
        writing: bool = False,
        tensor_parallel: int = 1,
        memory_share: float = 1.0,
        stall_s: float = 600.0,
    ) -> None:
        """Loads a language model (`label`); a classifier with one output (`scalar`) is loaded when it is first asked.

        Args:
            checkpoint: Where it is.
            head: What the model is to answer with.
            device: auto, or the kind of device that this vLLM is for.
            dtype: float32, bfloat16 or float16; auto: bfloat16 on a GPU, float32 on a CPU.
            trust_remote_code: Run the checkpoint's own Python files.
            writing: Texts are to be written, so that the whole context can be read by a prompt and its text.
            tensor_parallel: GPUs that share each layer of the model.
            memory_share: Part of what one model may take, when several are in memory at once.
            stall_s: Seconds without a sign of life after which a call is given up.

        Raises:
            UsageError: vLLM cannot run here, or not on that device.
            ModelError: The checkpoint is incomplete, of another kind, or vLLM refuses it.
        """
        check_files(checkpoint)
        kind = check_device(device)
        self.dtype = ("float32" if kind == "cpu" else "bfloat16") if dtype == "auto" else dtype
        self._placing = Placing(kind, self.dtype, tensor_parallel, memory_share, trust_remote_code)
        self._checkpoint, self._head = checkpoint, head
        folder, common = str(checkpoint.folder), {"trust_remote_code": trust_remote_code, "local_files_only": True}
        with quiet(), _explained(checkpoint.name):
            self.tokenizer: Any = transformers.AutoTokenizer.from_pretrained(folder, **common)
            self.config: Any = transformers.AutoConfig.from_pretrained(folder, **common)
            _check_head(checkpoint.name, self.config, head)
            self._stops = _stop_ids(folder, self.config, self.tokenizer)
        length = context_length(self.config, self.tokenizer, decoder=True)
        self.context = length if length is None or head == "scalar" or writing else length - 1
        self.cached: list[int] | None = None
        self._length, self._vocabulary = length, int(self.config.get_text_config().vocab_size)
        self._llm: Any = None
        self._processes: list[BaseProcess] = []
        self._stall_s, self._groups = stall_s, 0
        if head == "label":  # a classifier waits for `check`, which wants the memory first
            self._start()

    def close(self) -> None:
        """Gives the memory back; the engine cannot be used any more."""
        if self._llm is not None:
            self._llm.llm_engine.engine_core.shutdown()

    def check(self, rows: Sequence[Ids]) -> Agreement | None:
        """Compares the rewards of the first of these rows with the transformers engine's, before vLLM takes the memory.

        Returns:
            How they agree. None: not compared, because the model is spread over several GPUs or is running already.

        Raises:
            ModelError: They differ by more than the dtype allows, or a model cannot be loaded.
        """
        if self._llm is not None:
            return None
        if self._placing.tensor_parallel > 1:
            logger.warning("%s is spread over several GPUs: its rewards are not compared", self._checkpoint.name)
            self._start()
            return None
        rows = rows[:ROWS]
        expected = reference_rewards(
            self._checkpoint,
            rows,
            device=self._placing.kind,
            dtype=self.dtype,
            trust_remote_code=self._placing.trust_remote_code,
        )
        return compare_rewards(self._checkpoint.name, self.rewards(rows), expected, self.dtype)

    def plan(self, lengths: Sequence[int]) -> list[list[int]]:
        """Large groups in the given order: what is asked together mostly begins alike."""
        return _groups(len(lengths), REQUESTS)

    def plan_writing(self, lengths: Sequence[int], max_new_tokens: int, texts: int = 1) -> list[list[int]]:
        """Groups of `REQUESTS` texts."""
        return _groups(len(lengths), max(1, REQUESTS // texts))

    def rewards(self, rows: Sequence[Ids]) -> NDArray[np.float64]:
        """Output of the one-label head at each row's last token, shape [rows].

        Raises:
            ModelError: An id outside the vocabulary, or vLLM fails.
        """
        from vllm import PoolingParams

        def ask(prompts: list[Any], places: list[int]) -> list[Any]:
            params = PoolingParams(use_activation=False)
            return list(self._llm.encode(prompts, params, pooling_task="classify", use_tqdm=False))

        answers = self._ask(rows, ask)
        return np.array([float(one.outputs.data.float().reshape(-1)[0]) for one in answers], dtype=np.float64)

    def label_logprobs(self, rows: Sequence[Ids], label_ids: tuple[int, int]) -> NDArray[np.float64]:
        """Natural-log probability of each label as next token, under the whole vocabulary; shape [rows, 2].

        Raises:
            ModelError: An id outside the vocabulary, or vLLM fails.
        """
        from vllm import SamplingParams

        params = SamplingParams(
            temperature=0.0, max_tokens=1, logprob_token_ids=list(label_ids), detokenize=False, ignore_eos=True
        )
        answers = self._ask(rows, lambda prompts, _: self._generate(prompts, params))
        first = [one.outputs[0].logprobs[0] for one in answers]
        values = [[one[label].logprob for label in label_ids] for one in first]
        return np.array(values, dtype=np.float64).reshape(len(rows), 2)

    def response_logprobs(self, rows: Sequence[Ids], starts: Sequence[int]) -> NDArray[np.float64]:
        """Natural-log probability of each row's tokens from its start on, given those before it; shape [rows].

        Args:
            rows: Token ids of prompt and response.
            starts: Index of each row's first response token, 1 or more; a row may end there (its sum is 0).

        Raises:
            ModelError: An id outside the vocabulary, or vLLM fails.
        """
        from vllm import SamplingParams

        params = SamplingParams(temperature=0.0, max_tokens=1, prompt_logprobs=0, detokenize=False, ignore_eos=True)
        answers = self._ask(rows, lambda prompts, _: self._generate(prompts, params))
        sums = [
            sum(one.prompt_logprobs[place][int(row[place])].logprob for place in range(begin, len(row)))
            for one, row, begin in zip(answers, rows, starts, strict=True)
        ]
        return np.array(sums, dtype=np.float64)

    def write(self, rows: Sequence[Ids], max_new_tokens: int, seeds: Sequence[int] | None = None) -> list[Generation]:
        """Goes on with each row until it ends itself or the limit is reached.

        Args:
            rows: Prompts.
            max_new_tokens: The limit for each text.
            seeds: One per row: its tokens are drawn at temperature 1 (other draws than the transformers
                engine's). None: the likeliest token is taken.

        Raises:
            ModelError: An id outside the vocabulary, or vLLM fails.
        """
        from vllm import SamplingParams

        def params(place: int) -> Any:
            drawn = {"temperature": 0.0} if seeds is None else {"temperature": 1.0, "seed": seeds[place] % 2**63}
            stops = sorted(self._stops)
            return SamplingParams(
                max_tokens=max_new_tokens, logprobs=0, detokenize=False, stop_token_ids=stops, **drawn
            )

        answers = self._ask(rows, lambda prompts, places: self._generate(prompts, [params(place) for place in places]))
        return [_generation(one.outputs[0], self._stops) for one in answers]

    def _start(self) -> None:
        before = multiprocessing.active_children()
        with quiet(), _explained(self._checkpoint.name):
            self._llm = start(self._checkpoint, self._head, self.config, self._length, self._placing)
        self._processes = [one for one in multiprocessing.active_children() if one not in before]

    def _generate(self, prompts: list[Any], params: Any) -> list[Any]:
        return list(self._llm.generate(prompts, params, use_tqdm=False))

    def _ask(self, rows: Sequence[Ids], ask: Callable[[list[Any], list[int]], list[Any]]) -> list[Any]:
        """Asks in the order of the token ids; answers in the order of the rows."""
        for row in rows:
            if row.max() >= self._vocabulary or row.min() < 0:
                raise ModelError(
                    f"token id {int(row.max())} is outside the model's vocabulary of {self._vocabulary}; "
                    "the checkpoint's tokenizer is not the model's own."
                )
        if self._llm is None:
            self._start()
        prompts = [row.tolist() for row in rows]
        places = sorted(range(len(rows)), key=prompts.__getitem__)
        self._groups += 1
        with (
            _failing(self._processes),
            watched(self._processes, self._stall_s) as watch,
            _telling(self._llm.llm_engine, len(rows), watch),
        ):
            # Not `reset_prefix_cache`, which waits for ever when the engine's process has died.
            salt = {"cache_salt": str(self._groups)}
            answers = ask([{"prompt_token_ids": prompts[place], **salt} for place in places], places)
        found: list[Any] = [None] * len(rows)
        for place, answer in zip(places, answers, strict=True):
            found[place] = answer
        self.cached = [int(one.num_cached_tokens or 0) for one in found]
        return found


@contextmanager
def _telling(engine: Any, total: int, watch: Watch) -> Iterator[None]:
    """Inside, every step of vLLM is a sign of life."""
    plain, finished = engine.step, 0

    def step() -> Any:
        nonlocal finished
        outputs = plain()
        finished += sum(bool(one.finished) for one in outputs)
        watch.beat()
        sign(finished, total)
        return outputs

    engine.step = step
    try:
        yield
    finally:
        del engine.step  # the class's own again


@contextmanager
def _failing(processes: Sequence[BaseProcess]) -> Iterator[None]:
    try:
        yield
    except Exception as error:  # whatever its scheduler or its workers raise
        reason = f"{type(error).__name__}: {_one_line(error)}"
        if isinstance(error, EngineLost):
            reason = str(error)
        elif dead := [one.exitcode for one in processes if not one.is_alive()]:  # vLLM's words differ by the moment
            reason = f"its process died, exit code {dead[0]}"
        raise ModelError(
            f"vLLM fails ({reason}); give the same command to go on, or use --engine transformers."
        ) from error


def _generation(out: Any, stops: frozenset[int]) -> Generation:
    ids = list(out.token_ids)
    values = [step[token].logprob for step, token in zip(out.logprobs, ids, strict=True)]
    stopped = bool(ids) and ids[-1] in stops
    text = tuple(ids[:-1] if stopped else ids)
    return Generation(text, "stop" if stopped else "length", len(ids), float(np.mean(values)))


def _stop_ids(folder: str, config: Any, tokenizer: Any) -> frozenset[int]:
    """As the transformers engine's: those of the generation configuration, and the tokenizer's end of sequence."""
    try:
        named = transformers.GenerationConfig.from_pretrained(folder, local_files_only=True).eos_token_id
    except OSError:  # there is none
        named = config.get_text_config().eos_token_id
    found = named if isinstance(named, list | tuple) else [named]
    return frozenset(int(one) for one in (*found, tokenizer.eos_token_id) if one is not None)


def _check_head(name: str, config: Any, head: Head) -> None:
    ending = "ForCausalLM" if head == "label" else "ForSequenceClassification"
    found = config.architectures or []
    if not any(str(one).endswith(ending) for one in found):
        raise ModelError(
            f"{name} is {', '.join(map(str, found)) or 'of no architecture'}; "
            f"the vLLM engine takes ...{ending} here (--engine transformers takes more)."
        )
    if head == "scalar" and config.num_labels != 1:
        raise ModelError(f"{name} has {config.num_labels} outputs; a scalar reward model has one.")


def _groups(count: int, size: int) -> list[list[int]]:
    return [list(range(start, min(start + size, count))) for start in range(0, count, size)]


@contextmanager
def _explained(name: str) -> Iterator[None]:
    try:
        yield
    except (ModelError, ModuleNotFoundError):
        raise
    except Exception as error:  # transformers and vLLM raise nearly anything on a damaged checkpoint
        reason = _one_line(error)
        raise ModelError(f"{name} cannot be loaded by vLLM ({type(error).__name__}: {reason}).") from error


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split())[:300].rstrip(".")
