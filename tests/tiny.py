"""Tiny random checkpoints with a byte tokenizer, as real folders on disk. torch is imported when one is made."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

CHATML = (
    "{% for message in messages %}"
    "{{ '<|im_start|>' + message['role'] + '\n' + message['content'] | trim + '<|im_end|>\n' }}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
THINKING = CHATML.replace(
    "{{ '<|im_start|>assistant\n' }}",
    "{{ '<|im_start|>assistant\n' }}"
    "{% if enable_thinking is defined and enable_thinking is false %}{{ '<think>\n\n</think>\n\n' }}{% endif %}",
)
SPECIAL = ("<s>", "<|im_start|>", "<|im_end|>", "<|pad|>")

SMALL = {
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 8,
    "max_position_embeddings": 256,
    "initializer_range": 0.3,
}


def tokenizer(template: str | None = CHATML, *, pad: str | None = "<|pad|>") -> Any:
    """Byte-level: 256 bytes, the control tokens, and the ordinary words "AB" and " A"."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    words = [*SPECIAL, *sorted(pre_tokenizers.ByteLevel.alphabet()), "AB", "\u0120A"]
    vocabulary = {word: index for index, word in enumerate(words)}
    core = Tokenizer(models.BPE(vocab=vocabulary, merges=[("A", "B"), ("\u0120", "A")]))
    core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    core.decoder = decoders.ByteLevel()
    return PreTrainedTokenizerFast(
        tokenizer_object=core,
        bos_token="<s>",
        eos_token="<|im_end|>",
        pad_token=pad,
        additional_special_tokens=["<|im_start|>"],
        chat_template=template,
    )


def trained_tokenizer(texts: Iterable[str], vocabulary: int) -> Any:
    """Byte-pair encoding learned from texts, so that rows made of them are of a usual length."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    core = Tokenizer(models.BPE())
    core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    core.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary, special_tokens=list(SPECIAL), initial_alphabet=alphabet, show_progress=False
    )
    core.train_from_iterator(texts, trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=core, eos_token="<|im_end|>", pad_token="<|pad|>", chat_template=CHATML
    )


def config(architecture: str = "llama", **changes: Any) -> Any:
    """Configuration of a tiny llama, qwen2, qwen3, gemma2 (soft caps, sliding window), gpt2 or bert."""
    from transformers import AutoConfig

    settings = SMALL | {"vocab_size": 262, "bos_token_id": 0, "eos_token_id": 2, "pad_token_id": 3, "num_labels": 1}
    if architecture == "gemma2":
        settings |= {"query_pre_attn_scalar": 8, "sliding_window": 16, "final_logit_softcapping": 2.0}
    if architecture in ("gpt2", "bert"):
        settings.pop("head_dim")
        settings.pop("num_key_value_heads")
    return AutoConfig.for_model(architecture, **(settings | changes))


def model(head: str, architecture: str = "llama", *, seed: int = 0, **changes: Any) -> Any:
    """A random model: head "label" (language model), "scalar" (classifier) or "bare" (backbone)."""
    import torch
    import transformers

    classes = {
        "label": transformers.AutoModelForCausalLM,
        "scalar": transformers.AutoModelForSequenceClassification,
        "bare": transformers.AutoModel,
    }
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return classes[head].from_config(config(architecture, **changes)).eval()


def save(folder: Path, head: str, architecture: str = "llama", **options: Any) -> Path:
    """Writes a checkpoint folder with tokenizer; `template` and `pad` go to the tokenizer, the rest to the model."""
    tokens = {name: options.pop(name) for name in ("template", "pad") if name in options}
    model(head, architecture, **options).save_pretrained(folder)
    tokenizer(**tokens).save_pretrained(folder)
    return folder


def save_adapter(folder: Path, base: Path, head: str, *, seed: int = 0, **options: Any) -> Any:
    """Writes a LoRA adapter with random weights and returns peft's unmerged model; `options` go to LoraConfig."""
    import peft
    import torch
    import transformers

    scalar = head == "scalar"
    kind = transformers.AutoModelForSequenceClassification if scalar else transformers.AutoModelForCausalLM
    settings = {"task_type": "SEQ_CLS" if scalar else "CAUSAL_LM", "r": 4, "target_modules": "all-linear"} | options
    with torch.random.fork_rng():
        torch.manual_seed(seed + 1)
        model = kind.from_pretrained(base, **({"num_labels": 1} if scalar else {}))
        adapted = peft.get_peft_model(model, peft.LoraConfig(**settings)).eval()
        for name, weight in adapted.named_parameters():
            if "lora_" in name or "modules_to_save" in name:
                torch.nn.init.normal_(weight, std=0.1)
    adapted.save_pretrained(folder)
    return adapted


def edit_adapter(folder: Path, **changes: Any) -> None:
    """Changes settings in adapter_config.json."""
    path = folder / "adapter_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def change_weights(folder: Path, change: Callable[[dict[str, Any]], object], name: str = "adapter_model") -> None:
    """Reads a safetensors file, changes its weights in place, and writes it."""
    from safetensors.torch import load_file, save_file

    weights = load_file(folder / f"{name}.safetensors")
    change(weights)
    save_file(weights, folder / f"{name}.safetensors", metadata={"format": "pt"})
