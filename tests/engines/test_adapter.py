"""LoRA adapters as checkpoints: the answers of peft's own unmerged model; which model it is; what comes with it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny

pytest.importorskip("peft")
torch = pytest.importorskip("torch")

from safetensors.torch import load_file  # noqa: E402

from gram_eval.engines import adapter as adapters  # noqa: E402
from gram_eval.engines.checkpoint import Checkpoint, find_checkpoint  # noqa: E402
from gram_eval.engines.loading import Loaded, load_checkpoint  # noqa: E402
from gram_eval.engines.transformers import Engine  # noqa: E402
from gram_eval.errors import ModelError, UsageError  # noqa: E402
from gram_eval.models.card import RewardCard, read_card, write_card  # noqa: E402
from gram_eval.models.load import ModelOptions, load_model  # noqa: E402
from gram_eval.schema import Message, Request  # noqa: E402

ROWS = [np.random.default_rng(length).integers(4, 262, size=length).astype(np.int32) for length in (3, 17, 40, 40)]
LABELS = (40, 41)

pytestmark = pytest.mark.usefixtures("cache")


def answers(model: Any, head: str) -> Any:
    """Of a model in memory, a folder or a checkpoint, in float32."""
    if isinstance(model, Path):
        model = find_checkpoint(str(model))
    if isinstance(model, Checkpoint):
        loaded = load_checkpoint(model, head, device="cpu", dtype="float32")
    else:
        loaded = Loaded(model.get_base_model().float(), tiny.tokenizer(), torch.device("cpu"), torch.float32)
    engine = Engine(loaded)
    return engine.rewards(ROWS) if head == "scalar" else engine.label_logprobs(ROWS, LABELS)


TIED = {"tie_word_embeddings": True}
LORAS: dict[str, tuple[str, str, dict[str, Any], dict[str, Any]]] = {
    # what is adapted: architecture, head, changes to the base, settings of LoRA
    "llama": ("llama", "label", {}, {}),
    "qwen3 by attention alone": ("qwen3", "label", {}, {"target_modules": ["q_proj", "v_proj"], "lora_alpha": 32}),
    "gpt2, transposed weights": ("gpt2", "label", {}, {"target_modules": ["c_attn"], "fan_in_fan_out": True}),
    "classifier": ("qwen2", "scalar", {}, {}),
    "encoder": ("bert", "scalar", {"template": None}, {}),
    "dora": ("llama", "label", {}, {"use_dora": True}),
    "rank-stabilised, ranks by layer": ("llama", "label", {}, {"use_rslora": True, "rank_pattern": {"q_proj": 2}}),
    "whole output head": ("llama", "label", {}, {"modules_to_save": ["lm_head"]}),
    "whole output head, tied": ("llama", "label", TIED, {"modules_to_save": ["lm_head"]}),
    "whole input, tied": ("llama", "label", TIED, {"modules_to_save": ["embed_tokens"]}),
    "lora on the embedding": ("llama", "label", {}, {"target_modules": ["embed_tokens", "q_proj"]}),
    "lora on the embedding, tied": ("llama", "label", TIED, {"target_modules": ["embed_tokens"]}),
    "lora on the embedding, kept tied": (
        "llama",
        "label",
        TIED,
        {"target_modules": ["embed_tokens"], "ensure_weight_tying": True},
    ),
    "whole input, kept tied": (
        "llama",
        "label",
        TIED,
        {"modules_to_save": ["embed_tokens"], "ensure_weight_tying": True},
    ),
    "some tokens, tied": ("llama", "label", TIED, {"target_modules": ["q_proj"], "trainable_token_indices": [5, 40]}),
    "some tokens": ("llama", "label", {}, {"target_modules": ["q_proj"], "trainable_token_indices": [5, 40]}),
    "pissa": ("llama", "label", {}, {"init_lora_weights": "pissa"}),
}


@pytest.mark.parametrize("case", LORAS)
def test_answers_are_those_of_the_unmerged_model(tmp_path: Path, case: str) -> None:
    architecture, head, changes, lora = LORAS[case]
    base = tiny.save(tmp_path / "base", head, architecture, **changes)
    unmerged = tiny.save_adapter(tmp_path / "adapter", base, head, **lora)
    found = answers(tmp_path / "adapter", head)
    np.testing.assert_allclose(found, answers(unmerged, head), rtol=0, atol=1e-5)
    assert np.abs(found - answers(base, head)).max() > 1e-2


def test_a_new_head_comes_with_the_adapter(bases: Path, tmp_path: Path) -> None:
    unmerged = tiny.save_adapter(tmp_path / "adapter", bases / "label", "scalar")
    model = load_model(str(tmp_path / "adapter"))
    assert (model.name, model.ability, model.identity["kind"]) == ("adapter", "score", "scalar")
    np.testing.assert_allclose(answers(tmp_path / "adapter", "scalar"), answers(unmerged, "scalar"), rtol=0, atol=1e-5)


def test_a_head_may_stay_in_the_base(bases: Path, tmp_path: Path) -> None:
    tiny.save_adapter(tmp_path / "adapter", bases / "scalar", "scalar")
    with_head = answers(tmp_path / "adapter", "scalar")
    tiny.change_weights(tmp_path / "adapter", lambda weights: weights.pop("base_model.model.score.weight"))
    found = find_checkpoint(str(tmp_path / "adapter"))
    assert np.abs(answers(found, "scalar") - with_head).max() > 1e-3
    heads = [load_file(folder / "model.safetensors")["score.weight"] for folder in (found.folder, bases / "scalar")]
    assert torch.equal(*heads)


def test_a_head_that_is_nowhere_is_not_made_up(bases: Path, tmp_path: Path) -> None:
    tiny.save_adapter(tmp_path / "adapter", bases / "label", "scalar")
    tiny.change_weights(tmp_path / "adapter", lambda weights: weights.pop("base_model.model.score.weight"))
    with pytest.raises(ModelError, match=r"label lacks weights \(score.weight\), and adapter does not bring them"):
        find_checkpoint(str(tmp_path / "adapter"))


def test_the_head_of_another_classifier_is_replaced(tmp_path: Path) -> None:
    base = tiny.save(tmp_path / "five", "scalar", num_labels=5)
    other = tiny.save(tmp_path / "none", "bare")
    tiny.save_adapter(tmp_path / "adapter", other, "scalar")
    tiny.edit_adapter(tmp_path / "adapter", base_model_name_or_path=str(base))
    assert answers(tmp_path / "adapter", "scalar").shape == (4,)
    tiny.change_weights(tmp_path / "adapter", lambda weights: weights.pop("base_model.model.score.weight"))
    with pytest.raises(ModelError, match="five lacks weights"):
        find_checkpoint(str(tmp_path / "adapter"))


def test_kinds_of_models_take_adapters(adapter: Path, bases: Path) -> None:
    spec = str(adapter)
    assert load_model(f"label:{spec}").ability == "prefer"
    assert load_model(f"rationale:{spec}", ModelOptions(max_new_tokens=8)).name == "adapter"
    with pytest.raises(UsageError, match=r"no reward\.json and is no classifier .* label:"):
        load_model(spec)
    policy = load_model(f"implicit:{spec},{bases / 'label'}")
    request = Request("k", "s", (0,), (Message("user", "why?"),), ("because",))
    (answer,) = policy.judge(policy.plan([request])[0])
    assert answer.reward is not None and abs(answer.reward) > 1e-3


def test_weights_are_kept_in_the_type_they_are_stored_in(tmp_path: Path) -> None:
    base = tiny.save(tmp_path / "base", "label")
    tiny.change_weights(base, lambda weights: weights.update({k: v.bfloat16() for k, v in weights.items()}), "model")
    assert '"dtype": "float32"' in (base / "config.json").read_text()
    unmerged = tiny.save_adapter(tmp_path / "adapter", base, "label")
    found = find_checkpoint(str(tmp_path / "adapter"))
    assert {weight.dtype for weight in load_file(found.folder / "model.safetensors").values()} == {torch.bfloat16}
    np.testing.assert_allclose(answers(found, "label"), answers(unmerged, "label"), rtol=0, atol=0.2)


# --- which model it is


def test_the_identity_follows_adapter_and_base(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    base, adapter = tiny.save(tmp_path / "base", "label"), tmp_path / "adapter"
    tiny.save_adapter(adapter, base, "label")

    def identity() -> str:
        return find_checkpoint(str(adapter)).fingerprint()

    seen = [identity()]
    assert seen[0].startswith("sha256:")
    tiny.change_weights(adapter, lambda weights: next(iter(weights.values())).mul_(1.5))
    seen.append(identity())
    tiny.change_weights(base, lambda weights: weights["lm_head.weight"].mul_(1.5), "model")
    seen.append(identity())
    tiny.edit_adapter(adapter, lora_alpha=3)
    seen.append(identity())
    assert len(set(seen)) == 4
    monkeypatch.setattr(adapters, "MERGE_VERSION", 2)
    assert identity() == seen[-1]


def test_copies_elsewhere_are_the_same_model(
    adapter: Path, bases: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tiny.edit_adapter(adapter, base_model_name_or_path="label")
    shutil.copytree(bases / "label", adapter / "label")
    found = find_checkpoint(str(adapter))  # the base is in the adapter's folder
    shutil.rmtree(adapter / "label")
    shutil.copytree(adapter, tmp_path / "copy")
    monkeypatch.chdir(bases)  # and here in the current one
    assert find_checkpoint(str(tmp_path / "copy")) == Checkpoint("copy", found.folder, made_from=found.made_from)


def test_a_hub_base_is_taken_at_the_recorded_revision(
    adapter: Path, bases: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import huggingface_hub

    asked = {}

    def download(name: str, **options: object) -> str:
        asked.update(options, name=name)
        shutil.copytree(bases / "label", tmp_path / "hub" / "0123abcd", dirs_exist_ok=True)
        return str(tmp_path / "hub" / "0123abcd")

    monkeypatch.setattr(huggingface_hub, "snapshot_download", download)
    tiny.edit_adapter(adapter, base_model_name_or_path="org/base", revision="v2")
    find_checkpoint(str(adapter), revision="of-the-adapter")
    assert (asked["name"], asked["revision"]) == ("org/base", "v2")


def test_an_adapter_on_an_adapter(bases: Path, tmp_path: Path) -> None:
    tiny.save_adapter(tmp_path / "first", bases / "label", "label")
    whole = find_checkpoint(str(tmp_path / "first"))
    tiny.save_adapter(tmp_path / "second", whole.folder, "scalar", seed=1)
    expected = answers(tmp_path / "second", "scalar")
    tiny.edit_adapter(tmp_path / "second", base_model_name_or_path="../first")
    np.testing.assert_array_equal(answers(tmp_path / "second", "scalar"), expected)
    tiny.edit_adapter(tmp_path / "first", base_model_name_or_path="../second")
    with pytest.raises(ModelError, match="leads back to an adapter that needs it"):
        find_checkpoint(str(tmp_path / "second"))


# --- tokenizer, chat template, reward.json


def test_the_adapters_own_tokenizer_and_template_go_before_the_bases(adapter: Path) -> None:
    from transformers import AutoTokenizer

    def template() -> str:
        folder = find_checkpoint(str(adapter)).folder
        return str(AutoTokenizer.from_pretrained(folder).chat_template)

    assert template() == tiny.CHATML
    (adapter / "chat_template.jinja").write_text("mine alone")
    assert template() == "mine alone"
    (adapter / "chat_template.jinja").unlink()
    tiny.tokenizer(tiny.THINKING).save_pretrained(adapter)
    assert template() == tiny.THINKING
    (adapter / "chat_template.jinja").unlink()
    assert template() == tiny.CHATML


def test_a_base_without_tokenizer_is_enough_for_an_adapter_with_one(bases: Path, tmp_path: Path) -> None:
    base = shutil.copytree(bases / "label", tmp_path / "base", ignore=shutil.ignore_patterns("*token*", "chat*"))
    tiny.save_adapter(tmp_path / "adapter", base, "label")
    with pytest.raises(ModelError, match="adapter and its base base have no tokenizer"):
        find_checkpoint(str(tmp_path / "adapter"))
    tiny.tokenizer().save_pretrained(tmp_path / "adapter")
    assert load_model(f"label:{tmp_path / 'adapter'}").ability == "prefer"


def test_new_tokens_need_embeddings(adapter: Path) -> None:
    tokenizer = tiny.tokenizer()
    tokenizer.add_tokens(["<new>", "<other>"])
    tokenizer.save_pretrained(adapter)
    with pytest.raises(ModelError, match="tokenizer with 264 tokens, but the model has embeddings for 262"):
        find_checkpoint(str(adapter))

    def bring(weights: dict[str, Any], *names: str) -> None:
        weights.update({f"base_model.model.{name}.weight": torch.full((264, 32), 0.5) for name in names})

    tiny.change_weights(adapter, lambda weights: bring(weights, "model.embed_tokens"))
    with pytest.raises(ModelError, match="does not bring both"):
        find_checkpoint(str(adapter))
    tiny.change_weights(adapter, lambda weights: bring(weights, "lm_head"))
    weights = load_file(find_checkpoint(str(adapter)).folder / "model.safetensors")
    assert all(weights[name].eq(0.5).all() for name in ("model.embed_tokens.weight", "lm_head.weight"))
    assert len(weights["lm_head.weight"]) == 264


@pytest.mark.parametrize(
    ("of_base", "of_adapter", "head", "expected"),
    [
        ("label", None, "label", "label"),
        ("rationale", None, "label", "rationale"),
        ("label", None, "scalar", None),
        ("label", "rationale", "label", "rationale"),
        (None, "scalar", "scalar", "scalar"),
        (None, None, "label", None),
    ],
)
def test_reward_json(
    bases: Path, tmp_path: Path, of_base: Any, of_adapter: Any, head: str, expected: str | None
) -> None:
    base = shutil.copytree(bases / "label", tmp_path / "base")
    tiny.save_adapter(tmp_path / "adapter", base, head)
    for folder, kind in ((base, of_base), (tmp_path / "adapter", of_adapter)):
        if kind:
            write_card(folder, RewardCard(kind=kind, template=f"as in {folder.name}"))
    card = read_card(find_checkpoint(str(tmp_path / "adapter")).folder)
    assert (card.kind if card else None) == expected
    if card:
        assert card.template == f"as in {'adapter' if of_adapter else 'base'}"
        assert card.lineage.parent == (None if of_adapter else "base")


def test_a_changed_reward_json_is_seen(adapter: Path) -> None:
    before = find_checkpoint(str(adapter))
    write_card(adapter, RewardCard(kind="label", labels=("x", "y")))
    after = find_checkpoint(str(adapter))
    assert after.folder != before.folder and after.fingerprint() == before.fingerprint()
    assert load_model(str(adapter)).identity["labels"] == ["x", "y"]


def test_the_bases_own_code_runs_only_when_allowed(adapter: Path, bases: Path, tmp_path: Path) -> None:
    base = shutil.copytree(bases / "label", tmp_path / "base")
    tiny.edit_adapter(adapter, base_model_name_or_path=str(base))
    auto = {"AutoModelForCausalLM": "mine.Mine", "AutoConfig": "mine.MineConfig"}
    config = json.loads((base / "config.json").read_text()) | {"model_type": "mine", "auto_map": auto}
    (base / "config.json").write_text(json.dumps(config))
    (base / "mine.py").write_text(
        "import transformers\n"
        "class MineConfig(transformers.LlamaConfig):\n    model_type = 'mine'\n"
        "class Mine(transformers.LlamaForCausalLM):\n    config_class = MineConfig\n"
    )
    with pytest.raises(ModelError, match="base, the base of adapter, cannot be loaded .*contains custom code"):
        find_checkpoint(str(adapter))
    found = find_checkpoint(str(adapter), code=True)
    loaded = load_checkpoint(found, "label", device="cpu", trust_remote_code=True)
    assert type(loaded.model).__name__ == "Mine"
