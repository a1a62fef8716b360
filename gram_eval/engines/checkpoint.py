"""A checkpoint on disk: where it is, whether it is whole, and which one it is. No torch here."""

from __future__ import annotations

import hashlib
import re
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from ..errors import ModelError

HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*(/[A-Za-z0-9][\w.-]*)?")

# What a model is made of; anything else in a repository (pickles, other formats) is not even downloaded.
WANTED = ("*.json", "*.safetensors", "*.jinja", "*.model", "*.txt", "*.tiktoken")
TOKENIZER_FILES = ("tokenizer.json", "vocab.json", "vocab.txt", "*.model", "*.tiktoken")
PICKLES = ("*.bin", "*.pt", "*.pth", "*.ckpt", "*.pkl")
ADAPTER_CONFIG = "adapter_config.json"
ADAPTER_WEIGHTS = "adapter_model.safetensors"
TOKENIZER_PARTS = (
    "tokenizer*",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab*",
    "merges.txt",
    "chat_template*",
    "*.model",
    "*.tiktoken",
)
IDENTITY_FILES = ("config.json", ADAPTER_CONFIG, "*.safetensors", *TOKENIZER_PARTS, "*.py")


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A folder with a model in it.

    Attributes:
        name: Short name for tables.
        commit: Resolved commit, when it came from the hub.
        made_from: Fingerprint of what the folder was made from, when it was made here.
    """

    name: str
    folder: Path
    commit: str | None = None
    made_from: str | None = None

    def fingerprint(self) -> str:
        """That of its origin; else the hub's commit, or a hash of the bytes of configuration, weights and tokenizer."""
        if self.made_from:
            return self.made_from
        return f"commit:{self.commit}" if self.commit else f"sha256:{hash_files(self.folder, IDENTITY_FILES)}"


def find_checkpoint(name: str, *, revision: str | None = None, code: bool = False) -> Checkpoint:
    """A local folder, or a hub repository brought into the local cache (only what is missing is downloaded).

    A LoRA adapter is merged into its base model, once, and the merged checkpoint is what is found.

    Args:
        name: Path or hub id.
        revision: Commit of the hub repository.
        code: Also fetch the repository's Python files, and run those of an adapter's base.

    Raises:
        ModelError: There is no such folder, or it is neither cached nor to be had from the hub; or it is an
            adapter that cannot be merged.
        UsageError: It is an adapter, and peft is missing.
    """
    found = locate(name, revision=revision, code=code)
    if not is_adapter(found.folder):
        return found
    from .adapter import merged_checkpoint

    return merged_checkpoint(found, code=code)


def locate(name: str, *, revision: str | None = None, code: bool = False) -> Checkpoint:
    """As `find_checkpoint`, but an adapter is left as it is.

    Raises:
        ModelError: There is no such folder, or it is neither cached nor to be had from the hub.
    """
    path = Path(name).expanduser()
    try:
        if path.is_dir():
            return Checkpoint(path.resolve().name, path)
        if path.exists():
            raise ModelError(f"{name} is a file; a checkpoint is a folder with config.json and *.safetensors.")
    except OSError as error:
        raise ModelError(f"{name[:80]}: no such folder ({error.strerror}).") from None
    if not HUB_ID.fullmatch(name):
        raise ModelError(f"{name}: no such folder, and not a hub id (owner/name).")
    return _from_hub(name, revision, code)


def is_adapter(folder: Path) -> bool:
    """Whether a folder holds what peft's save_pretrained writes, and no whole model."""
    weights = [*folder.glob("*.safetensors"), *folder.glob("pytorch_model*.bin")]
    return (folder / ADAPTER_CONFIG).is_file() and all(path.name == ADAPTER_WEIGHTS for path in weights)


def check_files(checkpoint: Checkpoint) -> None:
    """Refuses a folder without configuration, safetensors weights or tokenizer.

    Raises:
        ModelError: One is missing. Pickled weights are never read: they can run any code.
    """
    check_weights(checkpoint)
    if not has_tokenizer(checkpoint.folder):
        raise ModelError(
            f"{checkpoint.name} has no tokenizer; save it into the same folder with tokenizer.save_pretrained."
        )


def check_weights(checkpoint: Checkpoint) -> None:
    """Refuses a folder without configuration or safetensors weights.

    Raises:
        ModelError: One is missing, or there is an adapter beside them, which transformers would put on top
            where peft is installed.
    """
    folder, name = checkpoint.folder, checkpoint.name
    if (folder / ADAPTER_CONFIG).is_file():
        raise ModelError(f"{name} holds whole weights and an adapter ({ADAPTER_CONFIG}); move one of them elsewhere.")
    if not (folder / "config.json").is_file():
        raise ModelError(f"{name} has no config.json; a checkpoint is a folder that save_pretrained wrote.")
    if not any(folder.glob("*.safetensors")):
        if _any(folder, PICKLES):
            raise ModelError(
                f"{name} has only pickled weights, which can run any code and are not read; "
                "convert them with save_pretrained (it writes safetensors)."
            )
        raise ModelError(f"{name} has no weights (*.safetensors).")


def has_tokenizer(folder: Path) -> bool:
    """Whether a folder has the vocabulary of a tokenizer."""
    return _any(folder, TOKENIZER_FILES)


def hash_files(folder: Path, patterns: tuple[str, ...]) -> str:
    """SHA-256 over names and contents of the folder's files that match; large files are read in parallel."""
    files = sorted({path for pattern in patterns for path in folder.glob(pattern) if path.is_file()})
    with ThreadPoolExecutor(max_workers=4) as pool:
        digests = list(pool.map(_hash_file, files))
    whole = hashlib.sha256()
    for path, digest in zip(files, digests, strict=True):
        whole.update(f"{path.name}\0{digest}\n".encode())
    return whole.hexdigest()


def _hash_file(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _any(folder: Path, patterns: tuple[str, ...]) -> bool:
    return any(True for pattern in patterns for _ in folder.glob(pattern))


def _from_hub(name: str, revision: str | None, code: bool) -> Checkpoint:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import (
        GatedRepoError,
        LocalEntryNotFoundError,
        RepositoryNotFoundError,
        RevisionNotFoundError,
    )

    wanted = [*WANTED, *(["*.py"] if code else [])]
    try:
        folder = Path(snapshot_download(name, revision=revision, allow_patterns=wanted, ignore_patterns=["*/*"]))
    except GatedRepoError:
        raise ModelError(f"{name} is gated; accept its terms on the hub and run `hf auth login`.") from None
    except RevisionNotFoundError:
        raise ModelError(f"{name} has no revision '{revision}' on the hub.") from None
    except RepositoryNotFoundError:
        raise ModelError(f"{name}: no such folder, and no such model on the hub (or it is private).") from None
    except LocalEntryNotFoundError:
        raise ModelError(
            f"{name}: no such folder, not in the local cache, and the hub cannot be reached; "
            f"run `huggingface-cli download {name}` where there is a network, or give a local path."
        ) from None
    except Exception as error:  # the hub client lets errors of several HTTP libraries through
        reason = " ".join(str(error).split())[:160]
        raise ModelError(f"{name}: cannot be fetched from the hub ({type(error).__name__}: {reason}).") from error
    return Checkpoint(name.rsplit("/", 1)[-1], folder, folder.name)
