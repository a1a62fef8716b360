"""Two base models, an adapter for one of them, and a cache of one's own."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import tiny


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


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("GRAM_EVAL_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "merged"
