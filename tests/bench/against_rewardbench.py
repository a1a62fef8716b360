"""gram-eval against rewardbench 0.1.4: both score one scalar checkpoint on the same RewardBench rows.

    python tests/bench/against_rewardbench.py --data ../shared/data/rewardbench/filtered.jsonl.gz \\
        --rewardbench ../rewardbench-env/bin/python --rows 200 --rounds 2 --parts

Whole processes in turn (A B A B), each with its own command line, as many threads and a fresh cache; ratios are per
round, their median is reported. The checkpoint is random (Llama, 256 wide, 4 layers, 4.2 M parameters, BPE of 4,096
trained on the data) and its context longer than the longest row, so that nothing is cut. The rewards of every
row must agree within the dtype. `--parts` adds where the ratio comes from. rewardbench needs an environment of its
own (transformers 4.51.0); docs/performance.md says how it is made.

On a machine that others use set OMP_WAIT_POLICY=PASSIVE before the command: threads that wait for each other then
sleep. Otherwise they spin for a processor that they do not get, and neither clock says anything about the programs.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent), str(HERE.parent.parent)]

import numpy as np  # noqa: E402
import parts  # noqa: E402
import scoring  # noqa: E402
import torch  # noqa: E402
import transformers  # noqa: E402
from programs import Files, Scored, readable_by_both, run_ours, run_rewardbench, sample_id, write_files  # noqa: E402

from gram_eval.schema import Request  # noqa: E402

VOCABULARY = 4096
TOLERANCE = {"float32": 1e-4, "bfloat16": 0.05}
"""Largest difference of two rewards that is put down to rounding; rewards spread by about 0.7."""

BASE = "rewardbench, float32"


def main() -> None:
    arguments = parse()
    torch.set_num_threads(arguments.threads)
    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    rows = scoring.read(arguments.data, arguments.rows)
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        tokenizer = scoring.train_tokenizer(rows, VOCABULARY)
        checkpoint = scoring.save_model(work / "scalar", "scalar", tokenizer, VOCABULARY)
        readable_by_both(checkpoint)
        files = write_files(work, checkpoint, rows)
        requests = scoring.ask("scalar", rows)
        counts = parts.count(checkpoint, requests)
        print_counts(counts, len(rows), arguments.threads)
        ids = [sample_id(row) for row in rows]
        programs = contestants(files, arguments)
        steps = parts.steps(checkpoint, requests) if arguments.parts else {}
        scored, timed = rounds(programs, steps, arguments.rounds, ids)
        if steps:
            print_parts(scored, timed, counts, requests, ids)


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="RewardBench's rows (.jsonl[.gz])")
    parser.add_argument("--rewardbench", required=True, help="Python of the environment with rewardbench 0.1.4")
    parser.add_argument("--vllm", help="Python of an environment with gram-eval and vLLM, to run that engine too")
    parser.add_argument("--rows", type=int, default=0, help="pairs, spread evenly over the file; 0: all")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--batch", type=int, default=8, help="rewardbench's batch size; 8 is its default")
    parser.add_argument("--bfloat16", action="store_true", help="also run both programs in bfloat16")
    parser.add_argument("--parts", action="store_true", help="also say where the ratio comes from")
    return parser.parse_args()


def contestants(files: Files, arguments: argparse.Namespace) -> dict[str, Callable[[], Scored]]:
    """The programs by name, in the order of a round; the first is what the others are divided by."""
    threads, longest = arguments.threads, int(scoring.SHAPE["max_position_embeddings"])
    found: dict[str, Callable[[], Scored]] = {}
    for dtype in ("float32", "bfloat16") if arguments.bfloat16 else ("float32",):
        found[f"rewardbench, {dtype}"] = lambda dtype=dtype: run_rewardbench(  # type: ignore[misc]
            files, arguments.rewardbench, dtype, threads, arguments.batch, longest
        )
        found[f"gram-eval, {dtype}"] = lambda dtype=dtype: run_ours(  # type: ignore[misc]
            files, sys.executable, dtype, threads
        )
    if arguments.vllm:
        found["gram-eval on vLLM, float32"] = lambda: run_ours(files, arguments.vllm, "float32", threads, "vllm")
    return found


def rounds(
    programs: dict[str, Callable[[], Scored]],
    steps: dict[str, Callable[[], parts.Rewards]],
    count: int,
    ids: Sequence[str],
) -> tuple[dict[str, list[Scored]], dict[str, list[parts.Timed]]]:
    """Everything once per round, in turn; prints the programs' table after each round, so that a long run may end."""
    scored: dict[str, list[Scored]] = {name: [] for name in programs}
    timed: dict[str, list[parts.Timed]] = {name: [] for name in steps}
    for number in range(count):
        print(f"\nround {number + 1}; load before each program:", end="", flush=True)
        for name, run in programs.items():
            print(f" {os.getloadavg()[0]:.1f}", end="", flush=True)
            scored[name].append(run())
        for name, step in steps.items():
            timed[name].append(parts.timed(step))
        print_programs(scored, ids)
    return scored, timed


def print_counts(counts: parts.Counts, pairs: int, threads: int) -> None:
    fixed, planned = counts.fixed, counts.planned
    print(f"{pairs} pairs, {threads} threads; longest request {counts.longest} tokens, nothing is cut")
    print(f"  requests {counts.requests:,}, distinct {counts.distinct:,}")
    print(f"  tokens {counts.tokens:,}, of distinct requests {counts.distinct_tokens:,}")
    print(f"  beginnings that others share {counts.shared / counts.distinct_tokens:.1%} of the latter")
    print(f"  with padding: batches of 8 {fixed.rectangle:,}, gram-eval {planned.rectangle:,}")
    print(f"  GFLOP: batches of 8 with mask {fixed.flop / 1e9:,.0f}, gram-eval {planned.flop / 1e9:,.0f}", end="")
    print(f", floor {counts.floor_flop / 1e9:,.0f}; head on every token {counts.head_flop / counts.floor_flop:.2%}")


def print_programs(scored: dict[str, list[Scored]], ids: Sequence[str]) -> None:
    """One line per program; ratios are rewardbench's seconds over its own, in the same round."""
    base = scored[BASE]
    print(f"\n{'':28s}{'scoring':>9s}{'pairs/s':>9s}{'ratio':>7s}{'whole':>9s}{'ratio':>7s}{'processor':>11s}  rewards")
    for name, runs in scored.items():
        seconds = statistics.median(one.scoring_s for one in runs)
        whole = statistics.median(one.whole_s for one in runs)
        used = statistics.median(one.processor_s for one in runs)
        faster = ratio([one.scoring_s for one in base], [one.scoring_s for one in runs])
        sooner = ratio([one.whole_s for one in base], [one.whole_s for one in runs])
        print(
            f"{name:28s}{seconds:7.1f} s{len(ids) / seconds:9.1f}{faster:7.2f}{whole:7.1f} s{sooner:7.2f}{used:9.1f} s"
            f"  {compared(name, base[-1], runs[-1], ids)}"
        )
    print(f"rewardbench says of itself: {base[-1].work}; rendering {base[-1].rendering_s:.1f} s")


def compared(name: str, base: Scored, other: Scored, ids: Sequence[str]) -> str:
    """How the rewards of one program differ from rewardbench's in float32.

    Raises:
        SystemExit: By more than the dtype explains, or rows are missing or in another order.
    """
    if list(base.rewards) != list(ids) or list(other.rewards) != list(ids):
        raise SystemExit(f"{name} did not score the same rows in the same order")
    first, second = np.array(list(base.rewards.values())), np.array(list(other.rewards.values()))
    gap = float(np.abs(first - second).max())
    verdicts = int(((first[:, 0] > first[:, 1]) != (second[:, 0] > second[:, 1])).sum())
    ties = int((second[:, 0] == second[:, 1]).sum())
    if gap > TOLERANCE[name.rsplit(" ", 1)[1]]:
        raise SystemExit(f"{name}: a reward differs by {gap:.2e} from rewardbench's in float32")
    return f"spread {second.std():.2f}, max |difference| {gap:.1e}, other verdicts {verdicts}, ties {ties}"


def print_parts(
    scored: dict[str, list[Scored]],
    timed: dict[str, list[parts.Timed]],
    counts: parts.Counts,
    requests: Sequence[Request],
    ids: Sequence[str],
) -> None:
    """Seconds of scoring at each step from rewardbench to gram-eval, and of the floor at this machine's best rate."""
    check_steps(scored[BASE][-1], timed, requests, ids)
    wall = {BASE: [one.scoring_s for one in scored[BASE]]}
    wall |= {name: [one.scoring_s for one in runs] for name, runs in timed.items()}
    wall["gram-eval, float32"] = [one.scoring_s for one in scored["gram-eval, float32"]]
    used = {BASE: [float(one.work["scoring_processor_s"]) for one in scored[BASE]]}
    used |= {name: [one.processor_s for one in runs] for name, runs in timed.items()}
    print(
        f"\n{'where the ratio comes from':40s}{'scoring':>9s}{'ratio':>7s}{'processor':>11s}{'ratio':>7s}  of the floor"
    )
    for name, values in wall.items():
        seconds = statistics.median(values)
        line = f"{name:40s}{seconds:7.1f} s{ratio(wall[BASE], values):7.2f}"
        if name in used:
            line += f"{statistics.median(used[name]):9.1f} s{ratio(used[BASE], used[name]):7.2f}"
        else:
            line += " " * 18
        print(f"{line}{counts.floor_flop / seconds / 1e9:7.1f} GFLOP/s")
    peak = parts.peak_flops()
    print(f"a product of 1,024 x 1,024 matrices: {peak / 1e9:.1f} GFLOP/s; the floor at that rate takes", end=" ")
    print(f"{counts.floor_flop / peak:.1f} s")


def check_steps(
    base: Scored, timed: dict[str, list[parts.Timed]], requests: Sequence[Request], ids: Sequence[str]
) -> None:
    """The steps' rewards are rewardbench's.

    Raises:
        SystemExit: They are not.
    """
    official = np.array([value for name in ids for value in base.rewards[name]])
    for name, runs in timed.items():
        gap = float(np.abs(official - [runs[-1].rewards[request.key] for request in requests]).max())
        if gap > TOLERANCE["float32"]:
            raise SystemExit(f"{name}: a reward differs by {gap:.2e} from rewardbench's")


def ratio(base: Sequence[float], other: Sequence[float]) -> float:
    """Median over the rounds of how many times faster the other one is."""
    return statistics.median(a / b for a, b in zip(base, other, strict=True))


if __name__ == "__main__":
    main()
