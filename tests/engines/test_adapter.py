"""LoRA adapters as checkpoints: the answers of peft's own unmerged model, made once, or one line that says why not."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import threading
import time
from collections import namedtuple
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny

pytest.importorskip("peft")
torch = pytest.importorskip("torch")

from safetensors.torch import load_file, save_file  # noqa: E402

from gram_eval.engines import adapter as adapters  # noqa: E402
from gram_eval.engines import merge  # noqa: E402
from gram_eval.engines.checkpoint import Checkpoint, find_checkpoint  # noqa: E402
from gram_eval.engines.loading import Loaded, load_checkpoint  # noqa: E402
from gram_eval.engines.transformers import Engine  # noqa: E402
from gram_eval.errors import ModelError, UsageError  # noqa: E402
from gram_eval.models.card import RewardCard, read_card, write_card  # noqa: E402
from gram_eval.models.load import ModelOptions, load_model  # noqa: E402
from gram_eval.schema import Message, Request  # noqa: E402

ROWS = [np.random.default_rng(length).integers(4, 262, size=length).astype(np.int32) for length in (3, 17, 40, 40)]
LABELS = (40, 41)


@pytest.fixture(scope="module")
def bases(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("bases")
    for head in ("label", "scalar"):
        tiny.save(folder / head, head)
    return folder


@pytest.fixture(scope="module")
def ready(bases: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An adapter on the language model, for copies."""
    folder = tmp_path_factory.mktemp("ready") / "adapter"
    tiny.save_adapter(folder, bases / "label", "label")
    return folder


@pytest.fixture
def adapter(ready: Path, tmp_path: Path) -> Path:
    """An adapter on the language model."""
    return shutil.copytree(ready, tmp_path / "adapter")


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("GRAM_EVAL_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "merged"


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


def edit(folder: Path, **changes: Any) -> None:
    path = folder / "adapter_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def change_weights(folder: Path, change: Callable[[dict[str, Any]], object], name: str = "adapter_model") -> None:
    weights = load_file(folder / f"{name}.safetensors")
    change(weights)
    save_file(weights, folder / f"{name}.safetensors", metadata={"format": "pt"})


def merged_folders(cache: Path) -> list[Path]:
    return [path for path in cache.glob("*") if path.is_dir()]


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
    change_weights(tmp_path / "adapter", lambda weights: weights.pop("base_model.model.score.weight"))
    found = find_checkpoint(str(tmp_path / "adapter"))
    assert np.abs(answers(found, "scalar") - with_head).max() > 1e-3
    heads = [load_file(folder / "model.safetensors")["score.weight"] for folder in (found.folder, bases / "scalar")]
    assert torch.equal(*heads)


def test_a_head_that_is_nowhere_is_not_made_up(bases: Path, tmp_path: Path) -> None:
    tiny.save_adapter(tmp_path / "adapter", bases / "label", "scalar")
    change_weights(tmp_path / "adapter", lambda weights: weights.pop("base_model.model.score.weight"))
    with pytest.raises(ModelError, match=r"label lacks weights \(score.weight\), and adapter does not bring them"):
        find_checkpoint(str(tmp_path / "adapter"))


def test_the_head_of_another_classifier_is_replaced(tmp_path: Path) -> None:
    base = tiny.save(tmp_path / "five", "scalar", num_labels=5)
    other = tiny.save(tmp_path / "none", "bare")
    tiny.save_adapter(tmp_path / "adapter", other, "scalar")
    edit(tmp_path / "adapter", base_model_name_or_path=str(base))
    assert answers(tmp_path / "adapter", "scalar").shape == (4,)
    change_weights(tmp_path / "adapter", lambda weights: weights.pop("base_model.model.score.weight"))
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
    change_weights(base, lambda weights: weights.update({k: v.bfloat16() for k, v in weights.items()}), "model")
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
    change_weights(adapter, lambda weights: next(iter(weights.values())).mul_(1.5))
    seen.append(identity())
    change_weights(base, lambda weights: weights["lm_head.weight"].mul_(1.5), "model")
    seen.append(identity())
    edit(adapter, lora_alpha=3)
    seen.append(identity())
    assert len(set(seen)) == 4
    monkeypatch.setattr(adapters, "MERGE_VERSION", 2)
    assert identity() == seen[-1]


def test_copies_elsewhere_are_the_same_model(
    adapter: Path, bases: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    edit(adapter, base_model_name_or_path="label")
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
    edit(adapter, base_model_name_or_path="org/base", revision="v2")
    find_checkpoint(str(adapter), revision="of-the-adapter")
    assert (asked["name"], asked["revision"]) == ("org/base", "v2")


def test_an_adapter_on_an_adapter(bases: Path, tmp_path: Path) -> None:
    tiny.save_adapter(tmp_path / "first", bases / "label", "label")
    whole = find_checkpoint(str(tmp_path / "first"))
    tiny.save_adapter(tmp_path / "second", whole.folder, "scalar", seed=1)
    expected = answers(tmp_path / "second", "scalar")
    edit(tmp_path / "second", base_model_name_or_path="../first")
    np.testing.assert_array_equal(answers(tmp_path / "second", "scalar"), expected)
    edit(tmp_path / "first", base_model_name_or_path="../second")
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

    change_weights(adapter, lambda weights: bring(weights, "model.embed_tokens"))
    with pytest.raises(ModelError, match="does not bring both"):
        find_checkpoint(str(adapter))
    change_weights(adapter, lambda weights: bring(weights, "lm_head"))
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
    edit(adapter, base_model_name_or_path=str(base))
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


# --- the cache


def count_merges(monkeypatch: pytest.MonkeyPatch, seconds: float = 0) -> list[str]:
    done, write = [], merge.write_merged

    def counted(adapter: Any, folder: Path, code: bool) -> None:
        done.append(adapter.name)
        time.sleep(seconds)
        write(adapter, folder, code)

    monkeypatch.setattr(merge, "write_merged", counted)
    return done


def test_it_is_merged_once_and_said_once(
    bases: Path, tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    tiny.save_adapter(tmp_path / "adapter", bases / "scalar", "scalar")
    done = count_merges(monkeypatch)
    load_model(str(tmp_path / "adapter"))
    monkeypatch.setitem(sys.modules, "peft", None)  # what is there needs no peft any more
    load_model(str(tmp_path / "adapter"))
    assert done == ["adapter"]
    (folder,) = merged_folders(cache)
    assert [record.getMessage() for record in caplog.records if record.name == adapters.__name__] == [
        f"adapter is a LoRA adapter: merging it into scalar, once, in {folder}"
    ]


def test_one_of_several_merges_and_the_others_wait(
    adapter: Path, cache: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    done, found = count_merges(monkeypatch, 0.3), []
    threads = [threading.Thread(target=lambda: found.append(find_checkpoint(str(adapter)))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(done) == 1 and len(set(found)) == 1 and len(found) == 4
    assert "is being merged by another process" in caplog.text
    assert len(merged_folders(cache)) == 1


@pytest.mark.parametrize("fault", [KeyboardInterrupt, MemoryError, ModelError])
def test_what_was_interrupted_leaves_nothing(
    adapter: Path, cache: Path, monkeypatch: pytest.MonkeyPatch, fault: type[BaseException]
) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(adapters, "_flush", lambda path: (_ for _ in ()).throw(fault("in the middle")))
        with pytest.raises(fault):
            find_checkpoint(str(adapter))
    assert merged_folders(cache) == []
    assert answers(adapter, "label").shape == (4, 2)


def test_what_a_killed_process_left_is_not_used(adapter: Path, cache: Path) -> None:
    found = find_checkpoint(str(adapter))
    partial = found.folder.rename(found.folder.with_suffix(".partial"))
    (partial / "model.safetensors").write_bytes(b"half")
    (partial / "stranger.txt").write_text("x")
    assert answers(adapter, "label").shape == (4, 2)
    assert merged_folders(cache) == [found.folder]
    assert not (found.folder / "stranger.txt").exists()


def test_space_is_looked_for_before(adapter: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = namedtuple("usage", "total used free")(10, 10, 0)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage)
    with pytest.raises(ModelError, match=rf"needs 0\.0 GiB in {cache}, where 0\.0 are free.*GRAM_EVAL_CACHE"):
        find_checkpoint(str(adapter))


def test_a_cache_that_cannot_be_written(adapter: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("x")
    monkeypatch.setenv("GRAM_EVAL_CACHE", str(tmp_path / "file"))
    with pytest.raises(ModelError, match=r"cannot be written into .* \(Not a directory\).*GRAM_EVAL_CACHE"):
        find_checkpoint(str(adapter))


# --- faults


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-100])


def spoil(folder: Path, value: float = float("nan")) -> None:
    change_weights(folder, lambda weights: next(iter(weights.values())).view(-1)[3:4].fill_(value))


def unpickle(folder: Path) -> None:
    torch.save(load_file(folder / "adapter_model.safetensors"), folder / "adapter_model.bin")
    (folder / "adapter_model.safetensors").unlink()


def shrink(weights: dict[str, Any]) -> None:
    name = next(name for name in weights if "lora_A" in name)
    weights[name] = weights[name][:2].clone()


FAULTS: dict[str, tuple[Callable[[Path], object], str]] = {
    "base gone": (
        lambda folder: edit(folder, base_model_name_or_path="/gone/model"),
        r"base model cannot be had: /gone/model: no such folder, .*base_model_name_or_path",
    ),
    "base out of reach": (
        lambda folder: edit(folder, base_model_name_or_path="nobody/nothing"),
        r"huggingface-cli download nobody/nothing",
    ),
    "base not named": (lambda folder: edit(folder, base_model_name_or_path=None), "names no base model"),
    "its own base": (lambda folder: edit(folder, base_model_name_or_path=str(folder)), "leads back to an adapter"),
    "no JSON": (lambda folder: (folder / "adapter_config.json").write_text("{"), "adapter_config.json cannot be read"),
    "no object": (lambda folder: (folder / "adapter_config.json").write_text("[]"), "is no JSON object"),
    "another method": (lambda folder: edit(folder, peft_type="PROMPT_TUNING"), r"another kind \(PROMPT_TUNING\)"),
    "layers": (lambda folder: edit(folder, layer_replication=[[0, 2], [1, 2]]), "replicated layers"),
    "another task": (lambda folder: edit(folder, task_type="SEQ_2_SEQ_LM"), "task_type .* is SEQ_2_SEQ_LM"),
    "no task": (lambda folder: edit(folder, task_type=None), "task_type .* is None"),
    "pickled": (unpickle, "only pickled weights"),
    "no weights": (lambda folder: (folder / "adapter_model.safetensors").unlink(), "has no adapter_model.safetensors"),
    "truncated": (lambda folder: truncate(folder / "adapter_model.safetensors"), "safetensors is damaged"),
    "not a number": (spoil, "values that are not finite"),
    "infinite": (lambda folder: spoil(folder, float("inf")), "values that are not finite"),
    "another rank": (lambda folder: edit(folder, r=8), "cannot be merged into label; .*size mismatch"),
    "cut": (lambda folder: change_weights(folder, shrink), "cannot be merged into label; .*size mismatch"),
    "part": (lambda folder: change_weights(folder, dict.popitem), r"is not for label: 1 weights have no counterpart"),
    "unknown names": (lambda folder: edit(folder, target_modules=["nothing"]), "cannot be merged .*Target modules"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_is_one_line_and_leaves_nothing(adapter: Path, tmp_path: Path, cache: Path, fault: str) -> None:
    break_it, message = FAULTS[fault]
    break_it(adapter)
    with pytest.raises(ModelError, match=message) as caught:
        load_model(f"label:{tmp_path / 'adapter'}")
    assert "\n" not in str(caught.value) and "adapter" in str(caught.value)
    assert not cache.exists() or merged_folders(cache) == []


@pytest.mark.parametrize("other", ["gpt2", "wide", "deep"])
def test_an_adapter_for_another_model(bases: Path, tmp_path: Path, other: str) -> None:
    shapes = {"gpt2": {}, "wide": {"hidden_size": 48}, "deep": {"num_hidden_layers": 3}}
    base = tiny.save(tmp_path / other, "label", "gpt2" if other == "gpt2" else "llama", **shapes[other])
    tiny.save_adapter(tmp_path / "adapter", bases / "label", "label", target_modules=["q_proj"])
    edit(tmp_path / "adapter", base_model_name_or_path=str(base))
    with pytest.raises(ModelError, match=rf"adapter (cannot be merged into|is not for) {other}") as caught:
        find_checkpoint(str(tmp_path / "adapter"))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda base: truncate(base / "model.safetensors"), "base, the base of adapter, cannot be loaded"),
        (lambda base: (base / "config.json").unlink(), "base model cannot be had: base has no config.json"),
        (lambda base: (base / "model.safetensors").unlink(), r"base model cannot be had: base has no weights"),
        (lambda base: (base / "tokenizer.json").write_text("{"), "tokenizer of adapter cannot be loaded"),
        (
            lambda base: (base / "config.json").write_text(
                json.dumps(json.loads((base / "config.json").read_text()) | {"quantization_config": {}})
            ),
            "base with quantised weights",
        ),
    ],
)
def test_a_base_that_cannot_be_used(
    bases: Path, tmp_path: Path, damage: Callable[[Path], object], message: str
) -> None:
    base = shutil.copytree(bases / "label", tmp_path / "base")
    tiny.save_adapter(tmp_path / "adapter", base, "label")
    damage(base)
    with pytest.raises(ModelError, match=message) as caught:
        find_checkpoint(str(tmp_path / "adapter"))
    assert "\n" not in str(caught.value)


def test_an_adapter_beside_whole_weights_is_ambiguous(bases: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(bases / "label", tmp_path / "both")
    tiny.save_adapter(folder, bases / "label", "label")
    with pytest.raises(ModelError, match="holds whole weights and an adapter"):
        load_model(f"label:{folder}")


def test_peft_is_asked_for_by_name(adapter: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "peft", None)
    with pytest.raises(UsageError, match=r"needs peft: pip install 'gram-eval\[train\]'"):
        load_model(f"label:{tmp_path / 'adapter'}")


def test_looking_for_a_checkpoint_needs_no_torch(bases: Path) -> None:
    code = f"""
import sys
from gram_eval.engines import adapter
from gram_eval.engines.checkpoint import find_checkpoint
find_checkpoint({str(bases / "label")!r})
print(*({{"torch", "transformers", "peft"}} & set(sys.modules)))
"""
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert out.strip() == ""
