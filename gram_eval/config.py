"""The configuration of a run: at once the flags, the TOML file and the record."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from .errors import UsageError

DEFAULT_RESULTS = Path("results")

Target = Literal["population", "benchmark"]
"""What a comparison is about: all prompts like the samples, or the fixed list of samples alone."""


class RunConfig(BaseModel):
    """What `gram-eval run` is asked to do."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    task: str = Field(
        "rewardbench", description="Task to run (`gram-eval tasks` lists them), or a Python file that defines one."
    )
    pairs: str | None = Field(
        None, description="Your own preference data instead of a task: a file (JSONL, JSON, CSV, Parquet) or a hub id."
    )
    pairs_format: str | None = Field(None, description="Format of --pairs, when it is not to be recognised.")
    model: str | None = Field(
        None,
        description="Checkpoint folder or hub id, kind:ID, null:longest|shortest|first|random, or replay:FILE. "
        "Default: a small demonstration model, trained once.",
    )
    data: Path | None = Field(None, description="Local file or folder with the task's rows, instead of the hub.")
    results: Path = Field(DEFAULT_RESULTS, description="Folder that the run is written under.")
    orders: Literal["both", "one"] = Field(
        "both", description="Orders in which pairwise judges see a pair.", json_schema_extra={"flag": False}
    )
    seed: int = Field(0, description="Seeds the order of a one-order run, --limit, null:random, and votes.")
    reading: Literal["strict", "official"] = Field(
        "strict",
        description="How judges' texts are read: strictly, or as the benchmark's own code does.",
        json_schema_extra={"flag": False},
    )
    limit: int | None = Field(None, ge=1, description="Judge only this many samples, drawn at random by --seed.")
    allow_partial: bool = Field(
        False, description="Accept missing subsets, missing recorded scores, faulty rows; the result says so."
    )
    offline: bool = Field(False, description="Use no network: data and models come from the cache or from files.")
    with_null: bool = Field(False, description="Also run null:longest, null:shortest and null:random.")
    fresh: bool = Field(False, description="Start a new run even if this one exists.")
    engine: Literal["auto", "transformers", "vllm"] = Field(
        "auto", description="What runs a checkpoint; auto: vLLM where it has a GPU, else transformers."
    )
    replicas: int | None = Field(
        None, ge=1, description="Run the checkpoint in this many processes, one GPU each. Default: in this process."
    )
    tensor_parallel: int = Field(
        1, ge=1, description="GPUs that share each layer of the model (vLLM).", json_schema_extra={"flag": False}
    )
    stall_s: float = Field(
        600.0,
        gt=0,
        description="Seconds without a sign of life after which vLLM is given up, or a replica started again.",
        json_schema_extra={"flag": False},
    )
    prompt_price: float | None = Field(
        None, ge=0, description="Price of a million tokens read.", json_schema_extra={"flag": False}
    )
    completion_price: float | None = Field(
        None, ge=0, description="Price of a million tokens written.", json_schema_extra={"flag": False}
    )
    hour_price: float | None = Field(
        None, ge=0, description="Price of an hour of the machine.", json_schema_extra={"flag": False}
    )
    batch_tokens: int | None = Field(
        None,
        ge=1,
        description="Tokens per batch; default by device.",
        json_schema_extra={"flag": False},
    )
    device: str = Field("auto", description="cpu, cuda, cuda:1 ...; auto takes a GPU if there is one.")
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = Field(
        "auto", description="auto: bfloat16 on a GPU, float32 on a CPU."
    )
    template: Path | None = Field(None, description="Jinja2 file with the judge's prompt, in place of the model's own.")
    revision: str | None = Field(
        None, description="Commit of the model's hub repository.", json_schema_extra={"flag": False}
    )
    trust_remote_code: bool = Field(
        False, description="Run code that a model repository brings.", json_schema_extra={"flag": False}
    )
    labels: tuple[str, str] | None = Field(
        None, description="A judge's answers for: first is better, second is better.", json_schema_extra={"flag": False}
    )
    attn: str | None = Field(
        None, description="Attention implementation by transformers' name.", json_schema_extra={"flag": False}
    )
    max_new_tokens: int | None = Field(
        None,
        ge=1,
        description="Longest text that a judge may write, in tokens; default 2048, on a server 4096.",
        json_schema_extra={"flag": False},
    )
    votes: int = Field(
        1,
        ge=1,
        description="Texts per question that a judge writes and that vote; 1: one text, greedily.",
        json_schema_extra={"flag": False},
    )

    @model_validator(mode="after")
    def _one_source_of_rows(self) -> RunConfig:
        if self.pairs is None and self.pairs_format is not None:
            raise ValueError("--pairs-format says how --pairs is read: give --pairs FILE, or leave it out")
        for other in ("task", "data"):
            if self.pairs is not None and other in self.model_fields_set:
                raise ValueError(f"--pairs and --{other} exclude each other: --pairs is a task and its data at once")
        return self


def read_config(path: Path) -> dict[str, object]:
    """The settings in a TOML file.

    Raises:
        UsageError: It is missing or not valid TOML.
    """
    try:
        return tomllib.loads(path.read_text("utf-8"))
    except OSError as error:
        raise UsageError(f"{path}: cannot be read ({error.strerror}).") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"{path}: not valid TOML ({error}).") from None


def first_problem(error: ValidationError) -> str:
    """The first fault of a configuration as one line that names the flag."""
    problem = error.errors()[0]
    if not problem["loc"]:  # several flags together
        return problem["msg"].removeprefix("Value error, ")
    name = "--" + "-".join(str(part) for part in problem["loc"]).replace("_", "-")
    return f"{name}: {problem['msg'][0].lower()}{problem['msg'][1:]}"
