"""From what a user writes after --model to a reward model; torch is imported only by models that need it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from ..errors import ModelError, UsageError
from ..registry import Registry, did_you_mean
from .base import RewardModel
from .card import read_card


class ModelOptions(BaseModel):
    """How a model is loaded and run."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    device: str = Field("auto", description="cpu, cuda, cuda:1 ...; auto takes a GPU if there is one.")
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = Field(
        "auto", description="auto: bfloat16 on a GPU, float32 on a CPU."
    )
    engine: Literal["auto", "transformers", "vllm"] = Field(
        "auto", description="What runs a checkpoint; auto: vLLM where it has a GPU, else transformers."
    )
    tensor_parallel: int = Field(1, ge=1, description="GPUs that share each layer of the model (vLLM).")
    memory_share: float = Field(1.0, gt=0, le=1, description="Part of the GPU's memory for this model (vLLM).")
    stall_s: float = Field(600.0, gt=0, description="Seconds without a sign of life after which vLLM is given up.")
    batch_tokens: int | None = Field(None, ge=1, description="Tokens per batch; default by device.")
    attn: str | None = Field(None, description="Attention implementation (sdpa, eager, flash_attention_2 ...).")
    template: Path | None = Field(None, description="Jinja2 file with the judge's prompt, in place of the model's own.")
    labels: tuple[str, str] | None = Field(
        None, description="The judge's answers for: first is better, second is better; in place of the model's own."
    )
    trust_remote_code: bool = Field(False, description="Run code that a model repository brings.")
    revision: str | None = Field(None, description="Commit of the model's hub repository.")
    max_new_tokens: int | None = Field(
        None, ge=1, description="Longest text that a judge may write, in tokens; default 2048, on a server 4096."
    )
    votes: int = Field(1, ge=1, description="Texts per question that a judge writes and that vote; 1: one, greedily.")
    seed: int = Field(0, description="Seeds null:random and votes.")


Loader = Callable[[str, ModelOptions], RewardModel]

MODEL_KINDS: Registry[Loader] = Registry(
    "kind of model",
    lambda: {
        "scalar": "gram_eval.models.scalar:load",
        "label": "gram_eval.models.label:load",
        "rationale": "gram_eval.models.rationale:load",
        "rating": "gram_eval.models.rationale:load_rating",
        "choice": "gram_eval.models.rationale:load_choice",
        "implicit": "gram_eval.models.implicit:load",
        "jury": "gram_eval.models.jury:load",
        "null": "gram_eval.models.null:load",
        "replay": "gram_eval.models.replay:load",
        "openai": "gram_eval.models.endpoint:load",
        "openai-label": "gram_eval.models.endpoint:load_label",
        "openai-rating": "gram_eval.models.endpoint:load_rating",
        "openai-choice": "gram_eval.models.endpoint:load_choice",
    },
)

TORCH_PACKAGES = {"torch", "transformers", "tokenizers", "safetensors"}


def load_model(spec: str, options: ModelOptions | None = None) -> RewardModel:
    """Loads a reward model.

    Args:
        spec: A checkpoint folder or hub id, whose reward.json or architecture says what it is; or
            `scalar:ID`, `label:ID`, `rationale:ID`, `rating:ID`, `choice:ID`, `implicit:POLICY,REFERENCE`,
            `openai:MODEL@URL` (or `openai-label:`, `openai-rating:`, `openai-choice:`), `jury:SPEC,SPEC`,
            `null:longest|shortest|first|random`, `replay:FILE`.
        options: How it is loaded and run; those that do not concern the kind are ignored.

    Raises:
        UsageError: The spec names no known kind, or an optional package is missing.
        ModelError: The checkpoint is missing, incomplete or of another kind.
        DataError: Recorded scores are malformed.
    """
    options = options or ModelOptions()
    kind, name = split_spec(spec)
    try:
        if kind is None:
            kind = _kind_of_checkpoint(name, options)
        if kind in ("jury", "implicit") and options.engine == "auto":  # several models, one GPU
            options = options.model_copy(update={"engine": "transformers"})
        return MODEL_KINDS.get(kind)(name, options)
    except ModuleNotFoundError as error:
        if error.name and error.name.partition(".")[0] in TORCH_PACKAGES:
            raise UsageError(f"{spec} needs {error.name}: pip install 'gram-eval[torch]'.") from None
        raise


def split_spec(spec: str) -> tuple[str | None, str]:
    """The kind (None: to be found out) and what follows it.

    Raises:
        UsageError: There is a kind, but not a known one, or nothing follows it.
    """
    kind, colon, name = spec.partition(":")
    known = MODEL_KINDS.names()
    if not colon or _exists(spec):
        if spec in known or not spec:
            raise UsageError(f"model '{spec}' is incomplete; write a folder or hub id, null:longest, or kind:ID.")
        return None, spec
    if kind not in known:
        raise UsageError(did_you_mean("kind of model", kind, known))
    if not name:
        raise UsageError(f"model '{spec}' is incomplete; something must follow '{kind}:'.")
    return kind, name


def _exists(spec: str) -> bool:
    try:
        return Path(spec).expanduser().exists()
    except OSError:  # a name that no file can have
        return False


def _kind_of_checkpoint(name: str, options: ModelOptions) -> str:
    from ..engines.checkpoint import find_checkpoint

    folder = find_checkpoint(name, revision=options.revision, code=options.trust_remote_code).folder
    card = read_card(folder)
    if card is not None:
        if card.kind not in MODEL_KINDS.names():
            raise ModelError(f"{name}: reward.json says kind '{card.kind}', which this version cannot run.")
        return card.kind
    try:
        architectures = json.loads((folder / "config.json").read_text("utf-8")).get("architectures") or []
    except (OSError, ValueError, AttributeError) as error:
        raise ModelError(f"{name}: config.json cannot be read ({error}).") from None
    if any(str(one).endswith("ForSequenceClassification") for one in architectures):
        return "scalar"
    found = ", ".join(map(str, architectures)) or "no architecture"
    raise UsageError(
        f"{name} has no reward.json and is no classifier ({found}); say how to use it, for example label:{name}."
    )
