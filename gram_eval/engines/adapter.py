"""A LoRA adapter as an ordinary checkpoint: merged into its base model once, and kept. No torch until it is merged.

The merged folder is a cache: its name follows from what it was made of, it appears whole or not at all, and whoever
deletes it loses nothing but the time.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

from filelock import FileLock, Timeout

from ..cache import cache_home
from ..errors import ModelError, UsageError
from ..models.card import CARD_NAME, Lineage, RewardCard, read_card, write_card
from .checkpoint import (
    ADAPTER_CONFIG,
    ADAPTER_WEIGHTS,
    IDENTITY_FILES,
    TOKENIZER_PARTS,
    Checkpoint,
    check_weights,
    has_tokenizer,
    hash_files,
    is_adapter,
    locate,
)

logger = logging.getLogger(__name__)

MERGE_VERSION = 1
"""Raised whenever the merged folder would come out otherwise."""

HEADS: dict[str, Literal["label", "scalar"]] = {"CAUSAL_LM": "label", "SEQ_CLS": "scalar"}

COPIED = (CARD_NAME, "generation_config.json")
"""No part of a model's fingerprint, but of the merged folder."""


@dataclass(frozen=True, slots=True)
class Adapter:
    """A LoRA adapter and the model that it is for.

    Attributes:
        name: Of its folder.
        head: What the model with it answers with.
        base: The whole model.
    """

    name: str
    folder: Path
    head: Literal["label", "scalar"]
    base: Checkpoint


def merged_checkpoint(found: Checkpoint, *, code: bool = False, above: tuple[Path, ...] = ()) -> Checkpoint:
    """The whole model that an adapter and its base make.

    Its fingerprint follows from those of the two, not from the weights as they were rounded.

    Args:
        found: The adapter.
        code: Fetch and run the base's own Python files.
        above: Adapters that have this one as their base.

    Raises:
        ModelError: The adapter or its base is missing, damaged or of a kind that cannot be merged, they do not belong
            together, or the merged model cannot be written.
        UsageError: peft is missing.
    """
    adapter = _read_adapter(found, code, above)
    base = adapter.base
    made_from = _digest(_fingerprint(found), _fingerprint(base))
    extras = (hash_files(folder, COPIED) for folder in (found.folder, base.folder))
    home = cache_home() / "merged"
    folder = home / _digest(made_from, *extras, str(MERGE_VERSION))[:32]
    if not folder.is_dir():
        with _writing(adapter, folder):
            if not folder.is_dir():
                _make(adapter, folder, code)
    return Checkpoint(found.name, folder, made_from=f"sha256:{made_from}")


def _read_adapter(found: Checkpoint, code: bool, above: tuple[Path, ...]) -> Adapter:
    name, folder = found.name, found.folder
    config = _read_config(found)
    if config.get("peft_type") != "LORA" or config.get("layer_replication"):
        kind = "LoRA adapter with replicated layers" if config.get("layer_replication") else config.get("peft_type")
        raise ModelError(f"{name} is an adapter of another kind ({kind}); only plain LoRA can be merged here.")
    if config.get("task_type") not in HEADS:
        raise ModelError(
            f"{name}: task_type in {ADAPTER_CONFIG} is {config.get('task_type')}; a reward model's is SEQ_CLS "
            "(rewards) or CAUSAL_LM (everything else). Set it there."
        )
    if not (folder / ADAPTER_WEIGHTS).is_file():
        if (folder / ADAPTER_WEIGHTS).with_suffix(".bin").is_file():
            raise ModelError(
                f"{name} has only pickled weights, which can run any code and are not read; "
                "convert them with peft's save_pretrained (it writes safetensors)."
            )
        raise ModelError(f"{name} has no {ADAPTER_WEIGHTS}; save the adapter again with save_pretrained.")
    base = _find_base(found, config, code, above)
    if not has_tokenizer(folder) and not has_tokenizer(base.folder):
        raise ModelError(f"{name} and its base {base.name} have no tokenizer; save it beside the adapter.")
    return Adapter(name, folder, HEADS[config["task_type"]], base)


def _read_config(found: Checkpoint) -> dict[str, Any]:
    try:
        config = json.loads((found.folder / ADAPTER_CONFIG).read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise ModelError(f"{found.name}: {ADAPTER_CONFIG} cannot be read ({error}); save the adapter again.") from None
    if not isinstance(config, dict):
        raise ModelError(f"{found.name}: {ADAPTER_CONFIG} is no JSON object; save the adapter again.")
    return config


def _find_base(found: Checkpoint, config: dict[str, Any], code: bool, above: tuple[Path, ...]) -> Checkpoint:
    """The base by path from the current folder, else from the adapter's, else from the hub; merged if it is an adapter.

    Raises:
        ModelError: It is missing, incomplete or quantised, or the adapter is its own base.
    """
    named = config.get("base_model_name_or_path")
    if not named or not isinstance(named, str):
        raise ModelError(f"{found.name}: {ADAPTER_CONFIG} names no base model; set base_model_name_or_path there.")
    beside = found.folder / named
    try:
        near = not Path(named).expanduser().is_dir() and beside.is_dir()
        base = locate(str(beside) if near else named, revision=config.get("revision"), code=code)
        if is_adapter(base.folder):
            chain = (*above, found.folder.resolve())
            if base.folder.resolve() in chain:
                raise ModelError(f"{named} leads back to an adapter that needs it.")
            base = merged_checkpoint(base, code=code, above=chain)
        check_weights(base)
    except (ModelError, OSError) as error:
        reason = str(error).rstrip(".")
        raise ModelError(
            f"{found.name} is an adapter, and its base model cannot be had: {reason}. "
            f"Its place is base_model_name_or_path in {ADAPTER_CONFIG}."
        ) from None
    if "quantization_config" in _base_config(base):
        raise ModelError(
            f"{found.name} is for a base with quantised weights ({base.name}), which cannot be merged exactly; "
            f"name the model with full weights in base_model_name_or_path of {ADAPTER_CONFIG}."
        )
    return base


def _base_config(base: Checkpoint) -> dict[str, Any]:
    try:
        return dict(json.loads((base.folder / "config.json").read_text("utf-8")))
    except (OSError, ValueError, TypeError) as error:
        raise ModelError(f"{base.name}: config.json cannot be read ({error}); get that file again.") from None


@contextmanager
def _writing(adapter: Adapter, folder: Path) -> Iterator[None]:
    """Holds a folder to be made against other processes; the lock dies with the process."""
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        lock = FileLock(folder.with_suffix(".lock"), timeout=0)
        try:
            lock.acquire()
        except Timeout:
            logger.warning("%s is being merged by another process; waiting for it", adapter.name)
            lock.acquire(timeout=-1)
    except OSError as error:
        raise _unwritable(adapter, folder.parent, error) from None
    try:
        yield
    finally:
        lock.release()


def _make(adapter: Adapter, folder: Path, code: bool) -> None:
    """Merges into a folder beside the one that is wanted, which then takes its place."""
    _check_space(adapter, folder.parent)
    _check_peft(adapter)
    logger.warning("%s is a LoRA adapter: merging it into %s, once, in %s", adapter.name, adapter.base.name, folder)
    partial = folder.with_suffix(".partial")
    shutil.rmtree(partial, ignore_errors=True)  # of a process that was killed
    try:
        partial.mkdir()
        _copy(adapter, partial, code)
        from .merge import write_merged

        write_merged(adapter, partial, code)
        for path in partial.iterdir():
            _flush(path)
        partial.rename(folder)
    except OSError as error:
        raise _unwritable(adapter, folder.parent, error) from None
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _check_space(adapter: Adapter, home: Path) -> None:
    weights = [*adapter.base.folder.glob("*.safetensors"), adapter.folder / ADAPTER_WEIGHTS]
    needed, free = sum(path.stat().st_size for path in weights), shutil.disk_usage(home).free
    if needed > free:
        raise ModelError(
            f"{adapter.name} is an adapter; its merged model needs {needed / 2**30:.1f} GiB in {home}, where "
            f"{free / 2**30:.1f} are free. Free some, or set GRAM_EVAL_CACHE to a folder with more."
        )


def _check_peft(adapter: Adapter) -> None:
    try:
        import peft  # noqa: F401
    except ModuleNotFoundError as error:
        if error.name != "peft":
            raise
        raise UsageError(f"{adapter.name} is a LoRA adapter and needs peft: pip install 'gram-eval[train]'.") from None


def _copy(adapter: Adapter, into: Path, code: bool) -> None:
    """What is there besides the weights: the adapter's, where it brings it."""
    own = has_tokenizer(adapter.folder)
    _copy_files(adapter.folder if own else adapter.base.folder, into, TOKENIZER_PARTS)
    if not own:
        _copy_files(adapter.folder, into, ("chat_template*",))
    if code:
        _copy_files(adapter.base.folder, into, ("*.py",))
    card = _card(adapter)
    if card is not None:
        write_card(into, card)


def _copy_files(source: Path, into: Path, patterns: tuple[str, ...]) -> None:
    for path in {path for pattern in patterns for path in source.glob(pattern) if path.is_file()}:
        shutil.copyfile(path, into / path.name)


def _card(adapter: Adapter) -> RewardCard | None:
    """The adapter's reward.json; else its base's if that speaks of the same head: prompt and labels then still hold."""
    own = read_card(adapter.folder)
    if own is not None:
        return own
    card = read_card(adapter.base.folder)
    if card is None or (card.kind == "scalar") != (adapter.head == "scalar"):
        return None
    return card.model_copy(update={"lineage": Lineage(parent=adapter.base.name)})


def _fingerprint(checkpoint: Checkpoint) -> str:
    if checkpoint.commit or checkpoint.made_from:
        return checkpoint.fingerprint()
    files = {path for pattern in IDENTITY_FILES for path in checkpoint.folder.glob(pattern)}
    stats = ((path.name, path.stat()) for path in sorted(files))
    return _fingerprint_of(checkpoint, tuple((name, stat.st_size, stat.st_mtime_ns) for name, stat in stats))


@lru_cache(maxsize=16)
def _fingerprint_of(checkpoint: Checkpoint, seen: tuple[object, ...]) -> str:
    # A model is looked up several times while it is loaded, and hashing a large base takes half a minute.
    return checkpoint.fingerprint()


def _digest(*parts: str) -> str:
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def _flush(path: Path) -> None:
    with path.open("rb") as file:
        os.fsync(file.fileno())


def _unwritable(adapter: Adapter, home: Path, error: OSError) -> ModelError:
    return ModelError(
        f"{adapter.name} is an adapter; its merged model cannot be written into {home} ({error.strerror or error}). "
        "Set GRAM_EVAL_CACHE to a folder that can be written and has room."
    )
