"""Judges on tiny checkpoints whose texts are given."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from gram_eval.engines.generate import Generation
from gram_eval.models.base import RewardModel
from gram_eval.models.load import ModelOptions
from gram_eval.schema import Judgment, Request


def ask(model: RewardModel, requests: Sequence[Request]) -> dict[str, Judgment]:
    answers = {one.key: one for batch in model.plan(requests) for one in model.judge(batch)}
    assert answers.keys() == {one.key for one in requests}
    return answers


def options(**changes: Any) -> ModelOptions:
    return ModelOptions(**({"device": "cpu", "max_new_tokens": 12} | changes))


def scripted(model: Any, *texts: str, ends: str = "stop") -> Any:
    """Makes the model write these texts, in turn, whatever it is asked."""
    spoken = iter(texts)

    def write(rows: Sequence[Any], limit: int, seeds: Sequence[int] | None = None) -> list[Generation]:
        ids = [tuple(model._engine.tokenizer(next(spoken), add_special_tokens=False)["input_ids"]) for _ in rows]
        return [Generation(one, ends, len(one) + 1, -0.5 * place) for place, one in enumerate(ids)]  # type: ignore[arg-type]

    model._engine.write = write
    return model


def answering(model: Any, reply: Callable[[str], str], ends: str = "stop") -> Any:
    """Makes the model write the reply to each prompt."""
    tokenizer = model._engine.tokenizer

    def write(rows: Sequence[Any], limit: int, seeds: Sequence[int] | None = None) -> list[Generation]:
        texts = [reply(tokenizer.decode(row.tolist())) for row in rows]
        ids = [tuple(tokenizer(text, add_special_tokens=False)["input_ids"]) for text in texts]
        return [Generation(one, ends, len(one) + 1, -0.5) for one in ids]  # type: ignore[arg-type]

    model._engine.write = write
    return model
