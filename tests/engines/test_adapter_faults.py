"""LoRA adapters: merged once whatever happens, kept whole or not at all, and one line for every fault."""

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

import pytest
import tiny

pytest.importorskip("peft")
torch = pytest.importorskip("torch")

from safetensors.torch import load_file  # noqa: E402

from gram_eval.engines import adapter as adapters  # noqa: E402
from gram_eval.engines import merge  # noqa: E402
from gram_eval.engines.checkpoint import check_files, find_checkpoint  # noqa: E402
from gram_eval.errors import ModelError, UsageError  # noqa: E402
from gram_eval.models.load import load_model  # noqa: E402

pytestmark = pytest.mark.usefixtures("cache")


def merged_folders(cache: Path) -> list[Path]:
    return [path for path in cache.glob("*") if path.is_dir()]


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
    check_files(find_checkpoint(str(adapter)))


def test_what_a_killed_process_left_is_not_used(adapter: Path, cache: Path) -> None:
    found = find_checkpoint(str(adapter))
    partial = found.folder.rename(found.folder.with_suffix(".partial"))
    (partial / "model.safetensors").write_bytes(b"half")
    (partial / "stranger.txt").write_text("x")
    check_files(find_checkpoint(str(adapter)))
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
    tiny.change_weights(folder, lambda weights: next(iter(weights.values())).view(-1)[3:4].fill_(value))


def unpickle(folder: Path) -> None:
    torch.save(load_file(folder / "adapter_model.safetensors"), folder / "adapter_model.bin")
    (folder / "adapter_model.safetensors").unlink()


def shrink(weights: dict[str, Any]) -> None:
    name = next(name for name in weights if "lora_A" in name)
    weights[name] = weights[name][:2].clone()


FAULTS: dict[str, tuple[Callable[[Path], object], str]] = {
    "base gone": (
        lambda folder: tiny.edit_adapter(folder, base_model_name_or_path="/gone/model"),
        r"base model cannot be had: /gone/model: no such folder, .*base_model_name_or_path",
    ),
    "base out of reach": (
        lambda folder: tiny.edit_adapter(folder, base_model_name_or_path="nobody/nothing"),
        r"huggingface-cli download nobody/nothing",
    ),
    "base not named": (lambda folder: tiny.edit_adapter(folder, base_model_name_or_path=None), "names no base model"),
    "its own base": (
        lambda folder: tiny.edit_adapter(folder, base_model_name_or_path=str(folder)),
        "leads back to an adapter",
    ),
    "no JSON": (lambda folder: (folder / "adapter_config.json").write_text("{"), "adapter_config.json cannot be read"),
    "no object": (lambda folder: (folder / "adapter_config.json").write_text("[]"), "is no JSON object"),
    "another method": (
        lambda folder: tiny.edit_adapter(folder, peft_type="PROMPT_TUNING"),
        r"another kind \(PROMPT_TUNING\)",
    ),
    "layers": (lambda folder: tiny.edit_adapter(folder, layer_replication=[[0, 2], [1, 2]]), "replicated layers"),
    "another task": (
        lambda folder: tiny.edit_adapter(folder, task_type="SEQ_2_SEQ_LM"),
        "task_type .* is SEQ_2_SEQ_LM",
    ),
    "no task": (lambda folder: tiny.edit_adapter(folder, task_type=None), "task_type .* is None"),
    "pickled": (unpickle, "only pickled weights"),
    "no weights": (lambda folder: (folder / "adapter_model.safetensors").unlink(), "has no adapter_model.safetensors"),
    "truncated": (lambda folder: truncate(folder / "adapter_model.safetensors"), "safetensors is damaged"),
    "not a number": (spoil, "values that are not finite"),
    "infinite": (lambda folder: spoil(folder, float("inf")), "values that are not finite"),
    "another rank": (lambda folder: tiny.edit_adapter(folder, r=8), "cannot be merged into label; .*size mismatch"),
    "cut": (lambda folder: tiny.change_weights(folder, shrink), "cannot be merged into label; .*size mismatch"),
    "part": (
        lambda folder: tiny.change_weights(folder, dict.popitem),
        r"is not for label: 1 weights have no counterpart",
    ),
    "unknown names": (
        lambda folder: tiny.edit_adapter(folder, target_modules=["nothing"]),
        "cannot be merged .*Target modules",
    ),
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
    tiny.edit_adapter(tmp_path / "adapter", base_model_name_or_path=str(base))
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
