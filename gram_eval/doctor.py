"""What this machine can do, and what is missing."""

from __future__ import annotations

import importlib.util
import os
import platform
import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from . import __version__
from .engines import vllm_platform

Level = Literal["ok", "note", "fault"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One checked thing: `fault` stops gram-eval from working, `note` narrows what it can do."""

    what: str
    level: Level
    text: str


def examine(results: Path) -> list[Finding]:
    """All checks, in the order shown; none of them raises."""
    checks: tuple[Callable[[], Finding], ...] = (
        _python,
        _torch,
        _vllm,
        _memory,
        lambda: _disk(results),
        _hub,
    )
    return [Finding("gram-eval", "ok", __version__), *(check() for check in checks)]


def _python() -> Finding:
    text = f"{platform.python_version()} at {sys.executable}, {platform.machine()}, {os.cpu_count()} cores"
    return Finding("python", "ok" if sys.version_info >= (3, 11) else "fault", text)


def _torch() -> Finding:
    if importlib.util.find_spec("torch") is None or importlib.util.find_spec("transformers") is None:
        text = "not installed: compare and rescore work; to judge or train: pip install 'gram-eval[torch]'"
        return Finding("torch", "note", text)
    try:
        import torch
        import transformers
    except Exception as error:  # a broken install raises anything
        return Finding("torch", "fault", f"does not import ({error}); reinstall torch and transformers")
    versions = f"torch {torch.__version__}, transformers {transformers.__version__}"
    if not torch.cuda.is_available():
        return Finding("torch", "note", f"{versions}; no GPU: models run on the CPU in float32")
    gpus = [torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count())]
    return Finding("torch", "ok", f"{versions}; {len(gpus)} x {gpus[0]}")


def _vllm() -> Finding:
    if importlib.util.find_spec("vllm") is None:
        return Finding("vllm", "note", "not installed: models run on transformers; see docs/engines.md")
    found = vllm_platform.version()
    kind = vllm_platform.platform()
    if not kind:
        text = f"{found} finds no device that it can run on: models run on transformers; see docs/engines.md"
        return Finding("vllm", "note", text)
    return Finding("vllm", "ok", f"{found} on {kind}" + (", with --engine vllm" if kind == "cpu" else ""))


def _memory() -> Finding:
    try:
        total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        return Finding("memory", "note", "unknown")
    level: Level = "ok" if total >= 2 * 2**30 else "note"
    return Finding("memory", level, f"{total / 2**30:.1f} GB; the quickstart needs 2 GB")


def _disk(results: Path) -> Finding:
    place = results.absolute()
    while not place.exists():
        place = place.parent
    if not os.access(place, os.W_OK):
        return Finding("results", "fault", f"{place} cannot be written; choose another folder with --results")
    free = shutil.disk_usage(place).free
    level: Level = "ok" if free > 2**30 else "fault"
    return Finding("results", level, f"{results} ({free / 2**30:.1f} GB free)")


def _hub() -> Finding:
    from huggingface_hub import constants

    if constants.HF_HUB_OFFLINE:
        return Finding("hub", "note", "offline mode (HF_HUB_OFFLINE); use local files: --data PATH, --model PATH")
    import socket

    host = constants.ENDPOINT.split("//")[-1].split("/")[0].split(":")[0]
    try:
        socket.create_connection((host, 443), timeout=3).close()
    except OSError as error:
        return Finding("hub", "note", f"{host} not reached ({error}); use local files: --data PATH, --model PATH")
    return Finding("hub", "ok", f"{host} reached; cache in {constants.HF_HUB_CACHE}")
