"""vLLM against the transformers engine: label requests per second and written tokens per second.

    python tests/bench/engines.py --requests 256 --rounds 3
    python tests/bench/engines.py --shape 8b --dtype bfloat16 --requests 1024     # on a GPU

A random Llama; prompts that share their first two thirds (tiny: 192 tokens, 128 shared). Each engine has a process of
its own, since vLLM changes torch's settings in its process. Rounds are interleaved (A B A B), ratios are per round,
their median is reported, and answers must agree.
"""

from __future__ import annotations

import argparse
import multiprocessing
import statistics
import sys
import tempfile
import time
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent), str(HERE.parent.parent)]

import numpy as np  # noqa: E402
import tiny  # noqa: E402

LABELS = (40, 41)
TOLERANCE = {"float32": 1e-4, "bfloat16": 0.3}


@dataclass(frozen=True)
class Shape:
    """A model, and the prompts that it is asked."""

    vocabulary: int
    width: int
    inner: int
    layers: int
    heads: int
    groups: int
    prompt: int = 1024

    def config(self) -> dict[str, Any]:
        return {
            "vocab_size": self.vocabulary,
            "hidden_size": self.width,
            "intermediate_size": self.inner,
            "num_hidden_layers": self.layers,
            "num_attention_heads": self.heads,
            "num_key_value_heads": self.groups,
            "head_dim": self.width // self.heads,
            "max_position_embeddings": 4096,
            "initializer_range": 0.05 if self.width < 1024 else 0.02,
        }


SHAPES = {
    "tiny": Shape(4096, 256, 688, 4, 4, 4, prompt=192),
    "0.6b": Shape(32768, 1024, 4096, 32, 16, 8),
    "8b": Shape(128256, 4096, 14336, 32, 32, 8),
}


def main() -> None:
    arguments = parse()
    with tempfile.TemporaryDirectory() as folder:
        tiny.save(Path(folder), "label", **SHAPES[arguments.shape].config())
        engines = {name: Served(name, folder, arguments) for name in ("transformers", "vllm")}
        try:
            compare("label", engines, arguments.requests, arguments)
            compare("write", engines, max(1, arguments.requests // 4), arguments)
        finally:
            for engine in engines.values():
                engine.process.kill()


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--requests", type=int, default=256)
    parser.add_argument("--tokens", type=int, default=64, help="length of the written texts")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--shape", choices=SHAPES, default="tiny")
    parser.add_argument("--dtype", choices=TOLERANCE, default="float32")
    return parser.parse_args()


class Served:
    """An engine in a process of its own."""

    def __init__(self, name: str, folder: str, arguments: argparse.Namespace) -> None:
        context = multiprocessing.get_context("spawn")
        self.connection, theirs = context.Pipe()
        self.process = context.Process(target=serve, args=(theirs, name, folder, arguments))
        self.process.start()
        self.connection.recv()

    def ask(self, what: str, count: int, seed: int) -> tuple[float, Any]:
        """Seconds, and the answers."""
        self.connection.send((what, count, seed))
        seconds, answers = self.connection.recv()
        return float(seconds), answers


def serve(connection: Connection, name: str, folder: str, arguments: argparse.Namespace) -> None:
    """Loads the engine, then times what it is told to ask."""
    engine = load(name, folder, arguments.dtype)
    shape, tasks = SHAPES[arguments.shape], {"label": label, "write": write}
    connection.send("ready")
    while True:
        what, count, seed = connection.recv()
        rows = prompts(shape, count, seed)
        started = time.perf_counter()
        answers = tasks[what](engine, rows, arguments.tokens)
        connection.send((time.perf_counter() - started, answers))


def load(name: str, folder: str, dtype: str) -> Any:
    from gram_eval.engines.checkpoint import find_checkpoint

    if name == "transformers":
        from gram_eval.engines.generate import WritingEngine
        from gram_eval.engines.loading import load_checkpoint

        return WritingEngine(load_checkpoint(find_checkpoint(folder), "label", dtype=dtype))
    from gram_eval.engines.vllm_platform import platform

    if not platform():  # before torch: it sets the environment
        raise SystemExit("vLLM cannot run here; see docs/engines.md")
    from gram_eval.engines.vllm import VllmEngine

    return VllmEngine(find_checkpoint(folder), "label", dtype=dtype, writing=True, memory_share=0.5)


def prompts(shape: Shape, count: int, seed: int) -> list[Any]:
    draw = np.random.default_rng(seed)
    shared = draw.integers(4, shape.vocabulary, size=2 * shape.prompt // 3)
    own = [draw.integers(4, shape.vocabulary, size=shape.prompt - len(shared)) for _ in range(count)]
    return [np.concatenate([shared, one]).astype(np.int32) for one in own]


def label(engine: Any, rows: list[Any], tokens: int) -> Any:
    found = np.empty((len(rows), 2))
    for group in engine.plan([len(row) for row in rows]):
        found[group] = engine.label_logprobs([rows[index] for index in group], LABELS)
    return found


def write(engine: Any, rows: list[Any], tokens: int) -> list[tuple[int, ...]]:
    found: list[tuple[int, ...]] = [()] * len(rows)
    for group in engine.plan_writing([len(row) for row in rows], tokens):
        for index, text in zip(group, engine.write([rows[index] for index in group], tokens), strict=True):
            found[index] = text.ids
    return found


def compare(what: str, engines: dict[str, Served], count: int, arguments: argparse.Namespace) -> None:
    """Rounds in turn, after one that is not counted."""
    times: dict[str, list[float]] = {name: [] for name in engines}
    answers: dict[str, list[Any]] = {name: [] for name in engines}
    for engine in engines.values():
        engine.ask(what, 8, 1000)
    for seed in range(arguments.rounds):
        for name, engine in engines.items():
            seconds, found = engine.ask(what, count, seed)
            times[name].append(seconds)
            answers[name].append(found)
    pairs = [(a, b) for one in zip(*answers.values(), strict=True) for a, b in zip(*one, strict=True)]
    if what == "label":
        report("label requests", times, count)
        gap = max(float(np.abs(a - b).max()) for a, b in pairs)
        print(f"  max |difference| of log-probabilities {gap:.1e}")
        if gap > TOLERANCE[arguments.dtype]:
            raise SystemExit("the engines do not agree")
    else:
        report("written tokens", times, statistics.mean(sum(map(len, texts)) for texts in answers["vllm"]))
        print(f"  equal texts {sum(a == b for a, b in pairs)} of {len(pairs)}")


def report(what: str, times: dict[str, list[float]], amount: float) -> None:
    base, *_ = times
    print(what)
    for name, seconds in times.items():
        ratio = statistics.median(a / b for a, b in zip(times[base], seconds, strict=True))
        print(f"  {name:14s} {amount / statistics.median(seconds):9.1f}/s  x{ratio:.2f}", flush=True)


if __name__ == "__main__":
    main()
