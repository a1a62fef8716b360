"""Starting vLLM: its options for a checkpoint, on a GPU or a CPU. vLLM is imported when it is started."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any

import torch

from .checkpoint import Checkpoint
from .loading import Head

CPU_CACHE_BYTES = 2**28
"""Least memory for keys and values on a CPU; vLLM's own default is nearly all that the machine has."""

GPU_SHARE = 0.92
"""Share of a GPU's memory that vLLM takes, divided among the models that are in memory at once."""


@dataclass(frozen=True, slots=True)
class Placing:
    """Where and in which form vLLM runs a model.

    Attributes:
        kind: Kind of device: cuda, cpu ...
        dtype: float32, bfloat16 or float16.
        tensor_parallel: GPUs that share each layer of the model.
        memory_share: Part of what one model may take, when several are in memory at once.
    """

    kind: str
    dtype: str
    tensor_parallel: int = 1
    memory_share: float = 1.0
    trust_remote_code: bool = False


def start(checkpoint: Checkpoint, head: Head, config: Any, length: int | None, placing: Placing) -> Any:
    """Loads the model; returns vLLM's `LLM`.

    Args:
        checkpoint: Where it is.
        head: What the model is to answer with.
        config: transformers' configuration of the model.
        length: Longest row in tokens; None: as vLLM finds it.
        placing: Where it runs.
    """
    from vllm import LLM

    options: dict[str, Any] = {
        "dtype": placing.dtype,
        "max_model_len": length,
        "trust_remote_code": placing.trust_remote_code,
        "tensor_parallel_size": placing.tensor_parallel,
    }
    if placing.kind == "cpu":
        options |= _cpu_options(config, placing.dtype, length)
    elif placing.memory_share < 1.0:
        options["gpu_memory_utilization"] = GPU_SHARE * placing.memory_share
    keep = torch.set_num_threads  # replaced by vLLM's CPU workers with a function that does nothing
    try:
        return LLM(
            model=str(checkpoint.folder),
            enable_prefix_caching=True,
            disable_log_stats=True,
            use_tqdm_on_load=False,
            hf_overrides={"head_dtype": "float32"},
            seed=0,
            **options,
            **_head_options(head),
        )
    finally:
        torch.set_num_threads = keep


def _head_options(head: Head) -> dict[str, Any]:
    if head == "scalar":
        return {"runner": "pooling", "convert": "classify", "pooler_config": {"use_activation": False}}
    # generation_config: vLLM's own defaults, not the temperature that a checkpoint proposes.
    return {"generation_config": "vllm", "skip_tokenizer_init": True}


def _cpu_options(config: Any, dtype: str, length: int | None) -> dict[str, Any]:
    options: dict[str, Any] = {"enforce_eager": True, "block_size": 32}
    # A seeded draw whose prompt is read in parts fails in vLLM's CPU build.
    options["enable_chunked_prefill"] = False
    if "VLLM_CPU_KVCACHE_SPACE" not in os.environ:
        options["kv_cache_memory_bytes"] = max(CPU_CACHE_BYTES, 2 * _cache_bytes(config, dtype) * (length or 0))
    return options


def _cache_bytes(config: Any, dtype: str) -> int:
    """Bytes of keys and values per token."""
    text = config.get_text_config()
    heads = getattr(text, "num_key_value_heads", None) or text.num_attention_heads
    width = getattr(text, "head_dim", None) or text.hidden_size // text.num_attention_heads
    return 2 * int(text.num_hidden_layers) * int(heads) * int(width) * (4 if dtype == "float32" else 2)
