from pathlib import Path

import pytest

from gram_eval.engines.checkpoint import IDENTITY_FILES, Checkpoint, check_files, find_checkpoint, hash_files
from gram_eval.errors import ModelError


def folder(path: Path, *names: str) -> Checkpoint:
    path.mkdir(exist_ok=True)
    for name in names:
        (path / name).write_text(name)
    return Checkpoint("it", path)


def test_a_whole_checkpoint_passes(tmp_path: Path) -> None:
    check_files(folder(tmp_path, "config.json", "model.safetensors", "tokenizer.json"))


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (("config.json", "pytorch_model.bin", "tokenizer.json"), "pickled weights"),
        (("config.json", "tokenizer.json"), r"no weights"),
        (("config.json", "model.safetensors"), "no tokenizer"),
        (("model.safetensors", "tokenizer.json"), "no config.json"),
        (("config.json", "adapter_config.json", "model.safetensors"), "holds whole weights and an adapter"),
    ],
)
def test_what_is_missing_is_named(tmp_path: Path, names: tuple[str, ...], message: str) -> None:
    with pytest.raises(ModelError, match=message):
        check_files(folder(tmp_path, *names))


def test_fingerprint_follows_what_changes_answers_only(tmp_path: Path) -> None:
    one = folder(tmp_path, "config.json", "model.safetensors", "tokenizer.json")
    before = one.fingerprint()
    folder(tmp_path, "README.md", "generation_config.json", "training_args.bin")
    assert one.fingerprint() == before
    for name in ("config.json", "model.safetensors", "tokenizer.json", "chat_template.jinja"):
        old = one.fingerprint()
        (tmp_path / name).write_text("changed")
        assert one.fingerprint() != old


def test_fingerprint_tells_names_from_contents(tmp_path: Path) -> None:
    first, second = tmp_path / "a", tmp_path / "b"
    folder(first, "config.json")
    folder(second)
    (second / "vocab.txt").write_text("config.json")
    assert hash_files(first, IDENTITY_FILES) != hash_files(second, IDENTITY_FILES)


def test_a_copy_has_the_same_fingerprint_wherever_it_lies(tmp_path: Path) -> None:
    names = ("config.json", "model.safetensors", "tokenizer.json")
    assert folder(tmp_path / "a", *names).fingerprint() == folder(tmp_path / "b", *names).fingerprint()


def test_a_hub_model_is_known_by_its_commit(tmp_path: Path) -> None:
    assert Checkpoint("it", tmp_path, "abc123").fingerprint() == "commit:abc123"


@pytest.mark.parametrize("name", ["./nowhere", "/no/such/folder", "runs/a/b/c"])
def test_a_path_that_does_not_exist_is_no_hub_id(name: str) -> None:
    with pytest.raises(ModelError, match="no such folder, and not a hub id"):
        find_checkpoint(name)


def test_a_file_is_no_checkpoint(tmp_path: Path) -> None:
    (tmp_path / "model.safetensors").write_text("x")
    with pytest.raises(ModelError, match="is a file"):
        find_checkpoint(str(tmp_path / "model.safetensors"))


def test_without_a_network_the_message_says_how(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    import huggingface_hub

    def unreachable(*_: object, **__: object) -> str:
        raise huggingface_hub.errors.LocalEntryNotFoundError("nothing here\nreally")

    monkeypatch.setattr(huggingface_hub, "snapshot_download", unreachable)
    with pytest.raises(ModelError, match="huggingface-cli download owner/name") as caught:
        find_checkpoint("owner/name")
    assert "\n" not in str(caught.value)


def test_only_what_a_model_needs_is_fetched(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    import huggingface_hub

    asked = {}

    def download(name: str, **options: object) -> str:
        asked.update(options, name=name)
        return str(tmp_path / "snapshots" / "0123abcd")

    monkeypatch.setattr(huggingface_hub, "snapshot_download", download)
    found = find_checkpoint("owner/name", revision="main")
    assert found == Checkpoint("name", tmp_path / "snapshots" / "0123abcd", "0123abcd")
    assert asked["revision"] == "main"
    assert not any(pattern.endswith((".bin", ".pt", ".py")) for pattern in asked["allow_patterns"])
