"""Which engine runs a checkpoint."""

from __future__ import annotations

import json
from dataclasses import dataclass
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Literal

from ..errors import UsageError
from ..schema import Json
from . import vllm_platform
from .checkpoint import Checkpoint

if TYPE_CHECKING:
    from ..models.load import ModelOptions
    from .loading import Head

VERIFIED = ("Llama", "Qwen2", "Qwen3")
"""Architectures on which the engines' answers are compared by tests; auto gives vLLM no others."""


@dataclass(frozen=True, slots=True)
class Opened:
    """A checkpoint in an engine.

    Attributes:
        engine: Answers as `Engine` does, and as `WritingEngine` does where texts are to be written.
        config: transformers' configuration of the model.
        identity: What the engine adds to the model's identity.
    """

    engine: Any
    config: Any
    identity: dict[str, Json]


def open_engine(checkpoint: Checkpoint, head: Head, options: ModelOptions, *, writing: bool = False) -> Opened:
    """Loads a checkpoint into the engine that the options name.

    Args:
        checkpoint: Where it is.
        head: What the model is to answer with.
        options: How it is loaded and run.
        writing: Texts are to be written.

    Raises:
        UsageError: The engine or the device is not there, or an option does not concern the engine.
        ModelError: The checkpoint is incomplete, of another kind, or does not fit on the device.
    """
    if choose(checkpoint, options) == "vllm":
        return _in_vllm(checkpoint, head, options, writing)
    return _in_transformers(checkpoint, head, options, writing)


def choose(checkpoint: Checkpoint, options: ModelOptions) -> Literal["transformers", "vllm"]:
    """The engine: for auto, vLLM where it has a GPU, knows the model's architecture and no option speaks against it."""
    if options.engine != "auto":
        return options.engine
    if find_spec("vllm") is None or options.attn is not None or options.device not in ("auto", "cuda"):
        return "transformers"
    if not _architecture(checkpoint).startswith(tuple(f"{name}For" for name in VERIFIED)):
        return "transformers"
    if vllm_platform.cpu_build():
        return "transformers"
    return "vllm" if vllm_platform.platform() not in ("", "cpu") else "transformers"


def _in_vllm(checkpoint: Checkpoint, head: Head, options: ModelOptions, writing: bool) -> Opened:
    if options.attn is not None:
        raise UsageError("attn is a setting of the transformers engine; leave it out, or use --engine transformers.")
    vllm_platform.check_device(options.device)  # before torch is imported
    from .vllm import VllmEngine

    engine = VllmEngine(
        checkpoint,
        head,
        device=options.device,
        dtype=options.dtype,
        trust_remote_code=options.trust_remote_code,
        writing=writing,
        tensor_parallel=options.tensor_parallel,
        memory_share=options.memory_share,
        stall_s=options.stall_s,
    )
    return Opened(engine, engine.config, {"dtype": engine.dtype, "attn": None, "engine": "vllm"})


def _in_transformers(checkpoint: Checkpoint, head: Head, options: ModelOptions, writing: bool) -> Opened:
    if options.tensor_parallel > 1:
        raise UsageError("tensor_parallel is a setting of the vLLM engine; leave it out, or use --engine vllm.")
    from .generate import WritingEngine
    from .loading import load_checkpoint
    from .transformers import Engine

    loaded = load_checkpoint(
        checkpoint,
        head,
        device=options.device,
        dtype=options.dtype,
        attn=options.attn,
        trust_remote_code=options.trust_remote_code,
    )
    engine = (WritingEngine if writing else Engine)(loaded, batch_tokens=options.batch_tokens)
    # Without the engine's name: runs from before there were two keep their identity.
    identity: dict[str, Json] = {"dtype": str(loaded.dtype).removeprefix("torch."), "attn": options.attn}
    return Opened(engine, loaded.model.config, identity)


def _architecture(checkpoint: Checkpoint) -> str:
    try:
        found = json.loads((checkpoint.folder / "config.json").read_text("utf-8")).get("architectures") or [""]
        return str(found[0])
    except (OSError, ValueError, AttributeError):
        return ""  # the loader says what is wrong
