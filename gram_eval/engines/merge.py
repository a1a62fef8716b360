"""Merging a LoRA adapter into its base model with peft. Every weight comes from one of the two; none is made up."""

from __future__ import annotations

import shutil
import warnings
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from math import prod
from pathlib import Path
from typing import Any

import peft
import torch
import transformers
from safetensors import safe_open

from ..errors import ModelError
from .adapter import Adapter
from .checkpoint import ADAPTER_WEIGHTS, has_tokenizer
from .loading import CLASSES, quiet

PREFIX = "base_model.model."
"""Before the name of a weight in an adapter file."""

DTYPES = {"F32": torch.float32, "BF16": torch.bfloat16, "F16": torch.float16, "F64": torch.float64}

Shapes = Mapping[str, tuple[int, ...]]


def write_merged(adapter: Adapter, folder: Path, code: bool) -> None:
    """Writes configuration and weights of the merged model, in the type that the base's weights are stored in.

    Args:
        adapter: What is merged into what.
        folder: Has the tokenizer already; gets a chat template too if only the base has one.
        code: Run the base's own Python files.

    Raises:
        ModelError: The adapter or its base is damaged, or they do not belong together.
    """
    with quiet(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what matters in peft's warnings is an error here
        shapes = _read_shapes(adapter)
        with _explained(f"{adapter.base.name}, the base of {adapter.name}, cannot be loaded"):
            model, lacking = _load_base(adapter, code)
        _check_head(adapter, lacking, shapes)
        with _explained(f"the tokenizer of {adapter.name} cannot be loaded"):
            tokenizer = _complete_tokenizer(adapter, folder, code)
        into = f"{adapter.name} cannot be merged into {adapter.base.name}"
        with _explained(f"{into}; is that the model that it was trained on?"):
            _fit_embeddings(adapter, model, shapes, tokenizer)
            merged = _merge(_adapted(adapter, model, shapes))
        with _explained(f"{adapter.name}, merged into {adapter.base.name}, cannot be saved", OSError):
            _save(adapter, merged, folder)
        merged.to("meta")  # it refers to itself, so that its memory would be free only some time later


def _read_shapes(adapter: Adapter) -> Shapes:
    """Shapes of the adapter's weights by name.

    Raises:
        ModelError: The file is damaged, or a weight is not finite.
    """
    shapes = {}
    path, damaged = adapter.folder / ADAPTER_WEIGHTS, f"{adapter.name}: {ADAPTER_WEIGHTS} is damaged; copy it again"
    with _explained(damaged), safe_open(path, framework="pt") as file:
        for name in file.keys():  # noqa: SIM118
            weight = file.get_tensor(name)
            if not torch.isfinite(weight.float()).all():
                raise ModelError(f"{adapter.name}: {name} has values that are not finite; its training diverged.")
            shapes[name] = tuple(weight.shape)
    return shapes


def _load_base(adapter: Adapter, code: bool) -> tuple[Any, set[str]]:
    """The base with the adapter's head, on the CPU; and the weights that it lacks."""
    folder = str(adapter.base.folder)
    common = {"trust_remote_code": code, "local_files_only": True}
    one_output = {"num_labels": 1} if adapter.head == "scalar" else {}
    config = transformers.AutoConfig.from_pretrained(folder, **one_output, **common)
    model, info = getattr(transformers, CLASSES[adapter.head]).from_pretrained(
        folder,
        config=config,
        dtype=_stored_dtype(adapter.base.folder),
        use_safetensors=True,
        ignore_mismatched_sizes=True,  # the adapter may bring another head
        output_loading_info=True,
        **common,
    )
    return model.eval(), {*info["missing_keys"], *(str(one[0]) for one in info["mismatched_keys"])}


def _stored_dtype(folder: Path) -> torch.dtype:
    """The floating-point type of most weights; what config.json says need not be so."""
    counts: Counter[str] = Counter()
    for path in folder.glob("*.safetensors"):
        with safe_open(path, framework="pt") as file:
            for name in file.keys():  # noqa: SIM118
                part = file.get_slice(name)
                counts[part.get_dtype()] += prod(part.get_shape())
    return next((DTYPES[name] for name, _ in counts.most_common() if name in DTYPES), torch.float32)


def _check_head(adapter: Adapter, lacking: set[str], shapes: Shapes) -> None:
    # transformers has filled what is missing with random numbers.
    missing = sorted(lacking - {name.removeprefix(PREFIX) for name in shapes})
    if missing:
        shown = ", ".join(missing[:3]) + (f" and {len(missing) - 3} more" if len(missing) > 3 else "")
        raise ModelError(
            f"{adapter.base.name} lacks weights ({shown}), and {adapter.name} does not bring them; name the base that "
            "it was trained on, or save the new head with the adapter (modules_to_save)."
        )


def _complete_tokenizer(adapter: Adapter, folder: Path, code: bool) -> Any:
    common = {"trust_remote_code": code, "local_files_only": True}
    tokenizer = transformers.AutoTokenizer.from_pretrained(str(folder), **common)
    if has_tokenizer(adapter.folder) and has_tokenizer(adapter.base.folder) and not tokenizer.chat_template:
        theirs = transformers.AutoTokenizer.from_pretrained(str(adapter.base.folder), **common).chat_template
        template = theirs.get("default") if isinstance(theirs, dict) else theirs
        if template:
            (folder / "chat_template.jinja").write_text(template, "utf-8")
    return tokenizer


def _fit_embeddings(adapter: Adapter, model: Any, shapes: Shapes, tokenizer: Any) -> None:
    """Gives the model as many embeddings as the adapter brings.

    Raises:
        ModelError: There are too few for the adapter's tokenizer, or new ones would have to be made up.
    """
    table, out = model.get_input_embeddings(), model.get_output_embeddings()
    rows = int(table.weight.shape[0])
    brought = {name: _brought_rows(model, part, shapes) for name, part in (("input", table), ("output", out))}
    wanted = next((count for count in brought.values() if count), rows)
    if wanted != rows:
        needed = ["input"] if out is None or out.weight is table.weight else ["input", "output"]
        if any(brought[name] != wanted for name in needed):
            raise ModelError(
                f"{adapter.name} has {wanted} embeddings, {adapter.base.name} {rows}, and the adapter does not bring "
                "both the input's and the output's; save it with save_embedding_layers=True."
            )
        model.resize_token_embeddings(wanted, mean_resizing=False)
    if has_tokenizer(adapter.folder) and len(tokenizer) > wanted:
        raise ModelError(
            f"{adapter.name} has a tokenizer with {len(tokenizer)} tokens, but the model has embeddings for {wanted}; "
            "save the adapter with save_embedding_layers=True, or without its tokenizer."
        )


def _brought_rows(model: Any, part: Any, shapes: Shapes) -> int | None:
    name = next((name for name, module in model.named_modules() if part is not None and module is part), None)
    keys = (f"{PREFIX}{name}.weight", f"{PREFIX}{name}.base_layer.weight")
    return next((shapes[key][0] for key in keys if key in shapes), None)


def _adapted(adapter: Adapter, model: Any, shapes: Shapes) -> Any:
    """The base with the adapter beside its weights.

    Raises:
        ModelError: A weight of the adapter has no place in the base, or the other way round.
    """
    config: Any = peft.PeftConfig.from_pretrained(str(adapter.folder))
    config.inference_mode = True
    # peft's class for classifiers demands a head from the adapter, even where the base has it.
    saved = [f".{name}" for name in shapes if "lora_" not in name]
    modules = [name for name in config.modules_to_save or () if any(f".{name}." in one for one in saved)]
    config.modules_to_save = modules or None
    wrapped = peft.PeftModel(model, config, "default")
    renamed = getattr(model, "_checkpoint_conversion_mapping", {})
    result = wrapped.load_adapter(str(adapter.folder), "default", torch_device="cpu", key_mapping=renamed)
    strange = sorted([*result.missing_keys, *result.unexpected_keys])
    if strange:  # peft only warns
        shown = strange[0].removeprefix(PREFIX)
        raise ModelError(
            f"{adapter.name} is not for {adapter.base.name}: {len(strange)} weights have no counterpart ({shown} ...); "
            "is that the model that it was trained on?"
        )
    return wrapped


def _merge(adapted: Any) -> Any:
    text = adapted.config.get_text_config()
    tied = getattr(text, "tie_word_embeddings", False)
    _untie(adapted)
    merged = adapted.merge_and_unload(safe_merge=True)
    table, out = merged.get_input_embeddings(), merged.get_output_embeddings()
    if tied:
        text.tie_word_embeddings = out is None or torch.equal(table.weight, out.weight)
        merged.tie_weights()
    return merged


def _untie(model: Any) -> None:
    # peft would add what is meant for the input's embeddings to the output's too where they share their weights.
    seen: set[int] = set()
    for module in model.modules():
        for name, weight in module._parameters.items():
            if id(weight) in seen and weight is not None:
                setattr(module, name, torch.nn.Parameter(weight.detach().clone(), requires_grad=False))
            seen.add(id(weight))


def _save(adapter: Adapter, model: Any, folder: Path) -> None:
    theirs = adapter.base.folder / "generation_config.json"
    plain: Any = transformers.GenerationConfig
    model.generation_config = plain()  # transformers refuses to save many a released one
    model.save_pretrained(folder, max_shard_size="5GB")
    (folder / theirs.name).unlink(missing_ok=True)
    if theirs.is_file():
        shutil.copyfile(theirs, folder / theirs.name)


@contextmanager
def _explained(what: str, *through: type[Exception]) -> Iterator[None]:
    try:
        yield
    except Exception as error:  # transformers and peft raise nearly anything
        if isinstance(error, (ModelError, *through)):
            raise
        said = str(error).removeprefix("Error(s) in loading state_dict for PeftModel:")
        reason = " ".join(said.split())[:200].rstrip(".")
        raise ModelError(f"{what} ({type(error).__name__}: {reason}).") from error
