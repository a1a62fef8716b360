"""Where replicas run: which GPUs, or how many threads, each of them sees."""

from __future__ import annotations

import os
from importlib.util import find_spec

from ..errors import UsageError

VISIBLE = "CUDA_VISIBLE_DEVICES"


def places(replicas: int, tensor_parallel: int, device: str) -> list[dict[str, str]]:
    """Environment variables of each replica: GPUs of its own, or its part of the CPU's threads.

    Args:
        replicas: How many there are to be.
        tensor_parallel: GPUs that one of them takes.
        device: As the user wrote it: auto, cpu, cuda.

    Raises:
        UsageError: There are fewer GPUs than that, or a single GPU was named for several replicas.
    """
    if device.startswith("cuda:"):
        raise UsageError(f"--replicas gives each process a GPU of its own: leave out --device {device}.")
    gpus = [] if device == "cpu" else visible_gpus()
    if not gpus:
        if device == "cuda":
            raise UsageError("--device cuda: this machine shows no GPU; leave it out to run on the CPU.")
        threads = os.environ.get("OMP_NUM_THREADS") or str(max(1, _cores() // replicas))
        return [{"OMP_NUM_THREADS": threads} for _ in range(replicas)]
    wanted = replicas * tensor_parallel
    if len(gpus) < wanted:
        each = f" of {tensor_parallel} GPUs" if tensor_parallel > 1 else ""
        raise UsageError(f"--replicas {replicas}{each} needs {wanted} GPUs, and {len(gpus)} are visible.")
    parts = [gpus[at : at + tensor_parallel] for at in range(0, wanted, tensor_parallel)]
    return [{VISIBLE: ",".join(part)} for part in parts]


def _cores() -> int:
    if hasattr(os, "sched_getaffinity"):  # not on macOS
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def visible_gpus() -> list[str]:
    """GPUs of this process as CUDA_VISIBLE_DEVICES names them."""
    named = os.environ.get(VISIBLE)
    if named is not None:
        return [name.strip() for name in named.split(",") if name.strip() not in ("", "-1")]
    if find_spec("torch") is None:
        return []
    import torch

    return [str(index) for index in range(torch.cuda.device_count())]
