"""GPUs and threads are shared out among replicas."""

from __future__ import annotations

import pytest

from gram_eval.errors import UsageError
from gram_eval.replicas import places as module
from gram_eval.replicas.places import places, visible_gpus


def test_each_replica_gets_gpus_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "7,GPU-ab,3, 4")
    assert visible_gpus() == ["7", "GPU-ab", "3", "4"]
    assert places(3, 1, "auto") == [{"CUDA_VISIBLE_DEVICES": name} for name in ("7", "GPU-ab", "3")]
    assert places(2, 2, "cuda") == [{"CUDA_VISIBLE_DEVICES": "7,GPU-ab"}, {"CUDA_VISIBLE_DEVICES": "3,4"}]


def test_too_few_gpus_are_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1,2")
    with pytest.raises(UsageError, match=r"--replicas 4 needs 4 GPUs, and 3 are visible"):
        places(4, 1, "auto")
    with pytest.raises(UsageError, match=r"--replicas 2 of 2 GPUs needs 4 GPUs"):
        places(2, 2, "auto")


def test_on_a_cpu_the_threads_are_shared(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1")
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setattr(module.os, "sched_getaffinity", lambda _: set(range(6)))
    assert places(2, 1, "cpu") == [{"OMP_NUM_THREADS": "3"}] * 2
    assert places(8, 1, "cpu") == [{"OMP_NUM_THREADS": "1"}] * 8
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    assert places(4, 1, "cpu") == [{"OMP_NUM_THREADS": "2"}] * 4


@pytest.mark.parametrize("hidden", ["", "-1"])
def test_hidden_gpus_do_not_count(monkeypatch: pytest.MonkeyPatch, hidden: str) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", hidden)
    assert visible_gpus() == []
    with pytest.raises(UsageError, match="shows no GPU"):
        places(2, 1, "cuda")


def test_one_named_gpu_is_not_for_several(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UsageError, match="leave out --device cuda:1"):
        places(2, 1, "cuda:1")
