"""Pairs per second of the scalar and label paths against a plain transformers script, on the same rows.

    python tests/bench/scoring.py --data ../shared/data/rewardbench/filtered.jsonl.gz --rows 300

The plain script is what one writes first: fixed batches of 8 in file order, padded on the right with an
attention mask, and for the judge full logits at every position. Both sides render and tokenise. Rounds are
interleaved (A B A B), ratios are per round, their median is reported, and scores must agree. The floor is the
arithmetic that no exact method avoids: matrix products and causal attention over real tokens, and one row of
logits per request. `--ablation` adds the three parts one by one.
"""

from __future__ import annotations

import argparse
import gzip
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent), str(HERE.parent.parent)]

import tiny  # noqa: E402

from gram_eval.engines.batching import plan_batches  # noqa: E402
from gram_eval.engines.transformers import BATCH_TOKENS, head_given  # noqa: E402
from gram_eval.models.load import ModelOptions, load_model  # noqa: E402
from gram_eval.models.prompting import builtin_template, judge_messages  # noqa: E402
from gram_eval.schema import Message, Request  # noqa: E402

SHAPE = {
    "hidden_size": 256,
    "intermediate_size": 688,
    "num_hidden_layers": 4,
    "num_attention_heads": 4,
    "num_key_value_heads": 4,
    "max_position_embeddings": 16384,
    "initializer_range": 0.05,
}
VOCABULARY = 32_000
PLAIN_BATCH = 8

Scores = dict[str, Any]


def main() -> None:
    arguments = parse()
    torch.set_num_threads(arguments.threads)
    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    rows = read(arguments.data, arguments.rows)
    with tempfile.TemporaryDirectory() as folder:
        tokenizer = train_tokenizer(rows)
        for head in arguments.heads:
            path = save_model(Path(folder) / head, head, tokenizer)
            requests = ask(head, rows)
            print(f"\n{head}: {len(rows)} pairs, {len(requests)} requests, {arguments.threads} threads")
            bench(head, path, requests, len(rows), arguments)


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="rows with prompt, chosen, rejected (.jsonl[.gz])")
    parser.add_argument("--rows", type=int, default=300, help="pairs, spread evenly over the file; 0: all")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--cpu-time", action="store_true", help="processor time, for a machine that others use too")
    parser.add_argument("--heads", nargs="+", default=["scalar", "label"], choices=["scalar", "label"])
    parser.add_argument("--sweep", type=int, nargs="*", default=[], help="also try these batch_tokens")
    parser.add_argument("--ablation", action="store_true", help="also add the parts one by one")
    return parser.parse_args()


def read(path: Path, count: int) -> list[dict[str, str]]:
    opener: Any = gzip.open if path.suffix == ".gz" else open
    with opener(path, "rt", encoding="utf-8") as file:
        rows = [json.loads(line) for line in file]
    step = len(rows) / count if 0 < count < len(rows) else 1.0
    return [rows[int(index * step)] for index in range(min(count or len(rows), len(rows)))]


def train_tokenizer(rows: Sequence[dict[str, str]], vocabulary: int = VOCABULARY) -> Any:
    return tiny.trained_tokenizer((row[name] for row in rows for name in ("prompt", "chosen", "rejected")), vocabulary)


def save_model(folder: Path, head: str, tokenizer: Any, vocabulary: int = VOCABULARY) -> Path:
    tiny.model(head, **SHAPE, head_dim=64, vocab_size=vocabulary).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def ask(head: str, rows: Sequence[dict[str, str]]) -> list[Request]:
    """Both responses (scalar) or both orders (label) of each row, in the file's order."""
    requests = []
    for number, row in enumerate(rows):
        texts, prompt = (row["chosen"], row["rejected"]), (Message("user", row["prompt"]),)
        for indices in [(0,), (1,)] if head == "scalar" else [(0, 1), (1, 0)]:
            shown = tuple(texts[index] for index in indices)
            requests.append(Request(f"{number}{indices}", str(number), indices, prompt, shown))
    return requests


def bench(head: str, path: Path, requests: list[Request], pairs: int, arguments: argparse.Namespace) -> None:
    ours = load_model(f"{head}:{path}", ModelOptions(device="cpu"))
    plain = Plain(head, path)
    lengths = [len(row) for batch in ours.plan(requests) for row in batch.encoded]
    floor = floor_flops(head, lengths)
    print(f"  tokens {sum(lengths):,} (median {int(statistics.median(lengths))}, longest {max(lengths)})")
    print(f"  floor {floor / 1e9:,.0f} GFLOP, {floor / sum(lengths) / 1e6:.1f} MFLOP/token")
    contestants: dict[str, Callable[[], Scores]] = {
        "plain script": lambda: plain.run(requests),
        f"ours, batch_tokens {BATCH_TOKENS['cpu']}": lambda: run_ours(ours, requests),
    }
    for size in arguments.sweep:
        other = load_model(f"{head}:{path}", ModelOptions(device="cpu", batch_tokens=size))
        contestants[f"ours, batch_tokens {size}"] = lambda other=other: run_ours(other, requests)  # type: ignore[misc]
    if arguments.ablation:
        contestants["plain + sorted, token budget"] = lambda: plain.run(requests, sort=True)
        contestants["  + no mask"] = lambda: plain.run(requests, sort=True, mask=False)
        if head == "label":
            contestants["plain + last logits only"] = lambda: plain.run(requests, last_only=True)
            contestants["  + sorted, token budget"] = lambda: plain.run(requests, sort=True, last_only=True)
    clock = time.process_time if arguments.cpu_time else time.perf_counter
    report(contestants, pairs, floor, arguments.rounds, clock)


def report(
    contestants: dict[str, Callable[[], Scores]], pairs: int, floor: float, rounds: int, clock: Callable[[], float]
) -> None:
    times: dict[str, list[float]] = {name: [] for name in contestants}
    scores: dict[str, Scores] = {}
    for _ in range(rounds):
        for name, run in contestants.items():
            started = clock()
            scores[name] = run()
            times[name].append(clock() - started)
    base, *_ = contestants
    for name in contestants:
        ratio = statistics.median(a / b for a, b in zip(times[base], times[name], strict=True))
        seconds = statistics.median(times[name])
        gap = max(float(np.abs(np.subtract(scores[base][key], scores[name][key])).max()) for key in scores[base])
        print(
            f"  {name:32s} {pairs / seconds:7.1f} pairs/s  x{ratio:.2f}  "
            f"{floor / seconds / 1e9:6.1f} GFLOP/s of the floor  max |difference| {gap:.1e}"
        )
        if gap > 1e-4:
            raise SystemExit(f"{name} does not give the plain script's scores")


def run_ours(model: Any, requests: list[Request]) -> Scores:
    answers = [one for batch in model.plan(requests) for one in model.judge(batch)]
    return {one.key: one.reward if one.reward is not None else one.logprobs for one in answers}


class Plain:
    """The plain script; its keyword arguments switch single parts of ours on."""

    def __init__(self, head: str, path: Path) -> None:
        name = "AutoModelForSequenceClassification" if head == "scalar" else "AutoModelForCausalLM"
        self.model = getattr(transformers, name).from_pretrained(path).eval()
        self.tokenizer = transformers.AutoTokenizer.from_pretrained(path)
        self.head, self.labels = head, self.tokenizer.convert_tokens_to_ids(["A", "B"])
        self.template = builtin_template("label")

    def chat(self, request: Request) -> list[dict[str, str]]:
        if self.head == "scalar":
            messages = [*request.prompt, Message("assistant", request.responses[0])]
        else:
            messages = judge_messages(self.template, request.prompt, *request.responses)
        return [{"role": one.role, "content": one.content} for one in messages]

    def run(self, requests: list[Request], *, sort: bool = False, mask: bool = True, last_only: bool = False) -> Scores:
        scores: Scores = {}
        for group in self.groups(requests, sort):
            batch = self.tokenizer.apply_chat_template(
                [self.chat(request) for request in group],
                add_generation_prompt=self.head == "label",
                padding=True,
                padding_side="right",
                return_tensors="pt",
                return_dict=True,
            )
            values = self.forward(batch["input_ids"], batch["attention_mask"], mask, last_only)
            scores |= {request.key: value for request, value in zip(group, values, strict=True)}
        return scores

    def groups(self, requests: list[Request], sort: bool) -> list[list[Request]]:
        if sort:
            chats = [self.chat(request) for request in requests]
            generation = {"add_generation_prompt": self.head == "label"}
            ids = self.tokenizer.apply_chat_template(chats, return_dict=False, **generation)
            batches = plan_batches([len(one) for one in ids], BATCH_TOKENS["cpu"])
            return [[requests[index] for index in batch] for batch in batches]
        if self.head == "scalar":  # eight chosen ones, then their rejected ones
            starts = range(0, len(requests), 2 * PLAIN_BATCH)
            requests = [one for at in starts for k in (0, 1) for one in requests[at : at + 2 * PLAIN_BATCH][k::2]]
        return [requests[at : at + PLAIN_BATCH] for at in range(0, len(requests), PLAIN_BATCH)]

    @torch.inference_mode()
    def forward(self, ids: torch.Tensor, attention: torch.Tensor, mask: bool, last_only: bool) -> list[Any]:
        last = attention.sum(1) - 1
        options = {"attention_mask": attention} if mask else {}
        if self.head == "scalar":
            return self.model(input_ids=ids, **options).logits[:, 0].tolist()  # type: ignore[no-any-return]
        if last_only:
            rows = torch.arange(len(ids))
            with head_given(self.model.lm_head, lambda _, inputs: (inputs[0][rows, last][:, None], *inputs[1:])):
                logits = self.model(input_ids=ids, use_cache=False, **options).logits[:, 0]
        else:
            logits = self.model(input_ids=ids, **options).logits[torch.arange(len(ids)), last]
        return logits.float().log_softmax(-1)[:, self.labels].tolist()  # type: ignore[no-any-return]


def floor_flops(head: str, lengths: Sequence[int]) -> float:
    """Multiply-adds x 2: projections and MLP per token, causal attention, one row of logits per request."""
    size, wide, layers = SHAPE["hidden_size"], SHAPE["intermediate_size"], SHAPE["num_hidden_layers"]
    per_token = 2 * layers * (4 * size * size + 3 * size * wide)
    attention = sum(layers * 4 * size * length * (length + 1) / 2 for length in lengths)
    logits = len(lengths) * 2 * size * (VOCABULARY if head == "label" else 1)
    return float(sum(lengths) * per_token + attention + logits)


if __name__ == "__main__":
    main()
