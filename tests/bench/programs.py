"""Two programs that score the same checkpoint on the same rows, each as a process of its own with its own files."""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent

Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Scored:
    """What one process did.

    Attributes:
        whole_s: Seconds from start to exit.
        processor_s: Seconds of all its threads and children on a processor.
        scoring_s: Seconds of scoring alone, by the program's own clock.
        rendering_s: Seconds of rendering chats that are not part of scoring_s.
        rewards: Chosen and rejected reward by sample id, in the order of the data.
        tokens: Real tokens that the model read; gram-eval asks equal requests once.
        work: What the process says of itself (padding, longest row, versions).
    """

    whole_s: float
    processor_s: float
    scoring_s: float
    rendering_s: float
    rewards: dict[str, tuple[float, float]]
    tokens: int
    work: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Files:
    """What both programs are given: a folder to work in, the checkpoint in it, and the rows in either form."""

    work: Path
    checkpoint: Path
    rows: Path
    dialogues: Path


def write_files(work: Path, checkpoint: Path, rows: Sequence[Row]) -> Files:
    """Writes the rows as the data set has them, and as lists of turns, which rewardbench wants of a file."""
    files = Files(work, checkpoint, work / "rows.jsonl", work / "dialogues.jsonl")
    with files.rows.open("w", encoding="utf-8") as plain, files.dialogues.open("w", encoding="utf-8") as turns:
        for row in rows:
            plain.write(json.dumps(row) + "\n")
            user = {"role": "user", "content": row["prompt"]}
            dialogues = {side: [user, {"role": "assistant", "content": row[side]}] for side in ("chosen", "rejected")}
            turns.write(json.dumps({"sample": sample_id(row)} | dialogues) + "\n")
    return files


def sample_id(row: Row) -> str:
    """The sample's id in gram-eval's task; a bare id of RewardBench occurs twice."""
    return f"{row['subset']}/{row['id']}"


def readable_by_both(folder: Path) -> None:
    """Rewrites a checkpoint of transformers 5 so that transformers 4 reads the same model and tokenizer from it."""
    config = json.loads((folder / "config.json").read_text("utf-8"))
    config["torch_dtype"] = config["dtype"]
    config["rope_theta"] = config["rope_parameters"]["rope_theta"]
    (folder / "config.json").write_text(json.dumps(config, indent=2), "utf-8")
    tokenizer = json.loads((folder / "tokenizer_config.json").read_text("utf-8"))
    tokenizer |= {"tokenizer_class": "PreTrainedTokenizerFast", "model_input_names": ["input_ids", "attention_mask"]}
    (folder / "tokenizer_config.json").write_text(json.dumps(tokenizer, indent=2), "utf-8")


def run_rewardbench(files: Files, python: str, dtype: str, threads: int, batch: int, longest: int) -> Scored:
    """rewardbench's command line under its own interpreter; see rewardbench_start.py."""
    name = files.checkpoint.name
    times = files.work / "times.json"
    options = ["--model", name, "--dataset", str(files.dialogues), "--load_json", "--not_quantized"]
    options += ["--torch_dtype", dtype, "--batch_size", str(batch), "--max_length", str(longest)]
    environment = _environment(files, threads) | {"REWARDBENCH_TIMES": str(times)}
    used = _run([python, str(HERE / "rewardbench_start.py"), *options], files.work, environment)
    rewards: dict[str, tuple[float, float]] = {}
    with (files.work / "results" / f"{name}_outputs.jsonl").open(encoding="utf-8") as lines:
        for line in lines:
            row = json.loads(line)
            rewards[row["sample"]] = (float(row["scores_chosen"]), float(row["scores_rejected"]))
    said = json.loads(times.read_text("utf-8"))
    return Scored(*used, said["scoring_s"], said["prepare_s"], rewards, int(said["tokens"]), said)


def run_ours(files: Files, python: str, dtype: str, threads: int, engine: str = "transformers") -> Scored:
    """`gram-eval run` as a fresh run; its judging renders the chats too."""
    import pandas as pd

    config = files.work / "run.toml"
    config.write_text(f'engine = "{engine}"\n', "utf-8")
    options = ["--task", "rewardbench", "--data", str(files.rows), "--allow-partial", "--offline", "--fresh"]
    options += ["--model", str(files.checkpoint), "--results", str(files.work / "ours"), "--dtype", dtype]
    command = [python, "-m", "gram_eval", "run", "--config", str(config), "--json", *options]
    before = set((files.work / "ours").glob("runs/*"))
    used = _run(command, files.work, _environment(files, threads) | {"PYTHONPATH": str(ROOT)})
    (folder,) = set((files.work / "ours").glob("runs/*")) - before
    table = pd.read_parquet(folder / "judgments.parquet")
    table["index"] = [int(indices[0]) for indices in table["indices"]]
    if (table["status"] != "ok").any():
        raise SystemExit(f"gram-eval refused {(table['status'] != 'ok').sum()} of {len(table)} requests")
    sides = table.pivot(index="sample_id", columns="index", values="reward")
    rewards = {name: (float(sides.at[name, 0]), float(sides.at[name, 1])) for name in table["sample_id"].unique()}
    record = json.loads((folder / "run.json").read_text("utf-8"))
    asked = table.drop_duplicates("key")["prompt_tokens"]
    work = record["timings"] | {"longest": int(asked.max()), "requests": len(asked)}
    return Scored(*used, record["timings"]["judge_s"], 0.0, rewards, int(asked.sum()), work)


def _environment(files: Files, threads: int) -> dict[str, str]:
    """As many threads for either, no network, and caches in the folder that is thrown away."""
    kept = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "PYTHONHOME")}
    counts = {name: str(threads) for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS")}
    offline = {name: "1" for name in ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE", "HF_DATASETS_OFFLINE")}
    return kept | counts | offline | {"HF_HOME": str(files.work / "cache"), "WANDB_MODE": "disabled"}


def _run(command: Sequence[str], folder: Path, environment: dict[str, str]) -> tuple[float, float]:
    """Seconds by the clock, and on a processor."""
    before, started = _children(), time.perf_counter()
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    seconds = time.perf_counter() - started
    if done.returncode:
        print(done.stdout[-2000:], done.stderr[-4000:], sep="\n", file=sys.stderr)
        raise SystemExit(f"failed: {' '.join(command)}")
    return seconds, _children() - before


def _children() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime
