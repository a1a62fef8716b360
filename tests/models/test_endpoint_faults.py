"""Judges behind a server that fails, or answers oddly, against a real HTTP server on loopback."""

import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from email.utils import formatdate
from pathlib import Path
from typing import Any

import pytest
from fakes import Quiet, rewardbench_rows, write_rows
from serving import KEY, Server, asking, better, judge, made, refusal, said

from gram_eval import runner
from gram_eval.config import RunConfig
from gram_eval.engines.openai import Policy, retry_after
from gram_eval.errors import ModelError
from gram_eval.verdicts import pair

pytest.importorskip("openai")

Reply = tuple[int, Any, dict[str, str]]


def failing(times: int, *replies: Reply) -> Callable[[dict[str, Any]], Any]:
    """The replies in turn for the first calls, then a verdict."""
    left = [replies[index % len(replies)] for index in range(times)]
    return lambda body: left.pop(0) if left else said("[[B]]")


def test_what_passes_is_tried_again(server: Server) -> None:
    server.reply = failing(
        5,
        (500, refusal("oops"), {}),
        (503, b"<html>busy</html>", {"Content-Type": "text/html"}),
        (200, b"<html>busy</html>", {"Content-Type": "text/html"}),
        (200, refusal("upstream", "502"), {}),
        (408, refusal("slow"), {}),
    )
    (found,) = judge(made(server), asking("x", "y"))
    assert (found.status, found.text, len(server.bodies)) == ("ok", "[[B]]", 6)


def test_retry_after_is_honoured(server: Server) -> None:
    server.reply = failing(1, (429, refusal("slow down"), {"Retry-After": "0.6"}))
    begun = time.monotonic()
    (found,) = judge(made(server), asking("x", "y"))
    assert found.text == "[[B]]" and 0.6 <= time.monotonic() - begun < 2.0


def test_retry_after_in_its_forms() -> None:
    assert retry_after({"retry-after": "2.5"}) == 2.5
    assert 3 < retry_after({"retry-after": formatdate(time.time() + 5, usegmt=True)}) <= 5
    assert retry_after({"retry-after": formatdate(time.time() - 50, usegmt=True)}) == 0.0
    for odd in ({}, {"retry-after": "soon"}, {"retry-after": "nan"}):
        assert retry_after(odd) is None


def test_what_fails_for_good_is_an_error_and_no_verdict(server: Server) -> None:
    def reply(body: dict[str, Any]) -> Any:
        content = body["messages"][0]["content"]
        if "poison" in content:
            return 500, refusal(f"crashed with {KEY} on\nline 2 \ud83d [[A]]"), {}
        return (400, refusal("bad words"), {}) if "bad" in content else said("[[A]]")

    server.reply = reply
    fine, broken, refused = judge(made(server), asking("x", "y"), asking("poison", "y"), asking("bad", "y"))
    assert fine.status == "ok"
    assert (broken.status, broken.text) == ("error", None)
    assert broken.error == "HTTP 500: crashed with *** on line 2 ? [[A]] (6 tries)"
    assert (refused.status, refused.error) == ("error", "HTTP 400: bad words")
    assert len(server.bodies) == 1 + 6 + 1


def test_a_prompt_beyond_the_context_is_too_long(server: Server) -> None:
    server.reply = lambda body: (400, refusal("This model's maximum context length is 8 tokens"), {})
    found = judge(made(server), *(asking(str(number), "y") for number in range(9)))
    assert {one.status for one in found} == {"too_long"} and len(server.bodies) == 9


@pytest.mark.parametrize(
    ("status", "code", "message"),
    [
        (401, "invalid_api_key", "refuses the key; set GRAM_EVAL_API_KEY or OPENAI_API_KEY"),
        (403, None, "refuses the key"),
        (404, "model_not_found", "does not know the model 'org/judge', or is no API's base URL"),
        (429, "insufficient_quota", "quota is used up"),
    ],
)
def test_faults_that_every_call_would_meet_stop_the_run(
    server: Server, status: int, code: str | None, message: str
) -> None:
    server.reply = lambda body: (status, refusal(f"no, {KEY}!\nTraceback", code), {})
    with pytest.raises(ModelError, match=message) as caught:
        judge(made(server), asking("x", "y"))
    assert KEY not in str(caught.value) and "\n" not in str(caught.value)
    assert len(server.bodies) == 1


def test_a_refusal_of_one_text_does_not_stop_a_run_that_goes(server: Server) -> None:
    server.reply = lambda body: (403, refusal("moderated"), {}) if "bad" in str(body) else said("[[A]]")
    model = made(server)
    assert judge(model, asking("x", "y"))[0].status == "ok"
    assert judge(model, asking("bad", "y"))[0].error == "HTTP 403: moderated"


def test_an_endpoint_that_answers_nothing_stops_the_run(server: Server) -> None:
    server.reply = lambda body: (400, refusal("Unsupported value: temperature"), {})
    with pytest.raises(ModelError, match=r"answered none of 8 calls \(first: HTTP 400: Unsupported value: temp"):
        judge(made(server), *(asking(str(number), "y") for number in range(8)))
    server.http.shutdown()
    server.http.server_close()
    with pytest.raises(ModelError, match=r"no connection \(.*refused.* is the server running"):
        judge(made(server), asking("x", "y"))


def test_a_call_that_takes_too_long_is_an_error(server: Server) -> None:
    server.reply = lambda body: time.sleep(0.5) or said("[[A]]")
    model = made(server, policy=Policy(tries=2, first_wait=0.01, timeout=0.1))
    model._endpoint._client = model._endpoint._client.with_options(timeout=0.1)
    (found,) = judge(model, asking("x", "y"))
    assert (found.status, found.error) == ("error", "no answer within 0.1 s (2 tries)")


def test_a_cut_answer_is_truncated_and_kept(server: Server) -> None:
    server.reply = lambda body: said("so far [[A]] but", "length")
    (found,) = judge(made(server), asking("x", "y"))
    assert (found.status, found.text, found.finish_reason) == ("truncated", "so far [[A]] but", "length")


def test_odd_answers(server: Server) -> None:
    model = made(server)
    cases: list[tuple[Any, str, str | None]] = [
        (said(None), "unparsed", "no text"),
        (said(None, "content_filter"), "unparsed", "content filter"),
        (said([{"type": "text", "text": "[[A]]"}]), "unparsed", "no text"),
        (said(""), "ok", None),
        ({"choices": []}, "error", "without a choice"),
        ({"choices": "A", "usage": 3}, "error", "without a choice"),
        ({"choices": [{"message": "A"}], "usage": {"prompt_tokens": -1}}, "unparsed", "no text"),
        ([1, 2], "error", "not a JSON object"),
        (b"[" * 100_000, "error", "not JSON"),
        (b"", "error", "not JSON"),
    ]
    for reply, status, reason in cases:
        server.reply = lambda body, reply=reply: reply
        (found,) = judge(model, asking("x", "y"))
        assert found.status == status, reply
        assert found.error is None if reason is None else reason in found.error, reply
        assert found.prompt_tokens in (None, 11)


def test_hostile_texts_go_through_as_they_are(server: Server) -> None:
    texts = ["\x00\u202e<|im_end|>{{ 7*7 }}{% raw %}</s>", "ｆｕｌｌ 🦑 \u0301" * 3, "y" * 500_000, "[[A]]\r\n\u2028"]
    server.reply = lambda body: said("\ud83d half \x00 [[B]]")
    found = judge(made(server), *(asking(text, "other") for text in texts), asking("\ud83d", "other"))
    assert all(one.text == "? half \x00 [[B]]" and pair(one.text) == 0.0 for one in found[:4])
    sent = sorted(server.prompts(), key=len)
    assert all(any(text in prompt for prompt in sent) for text in texts)
    assert found[4].status == "error" and "surrogate" in found[4].error


def test_a_cut_run_asks_nothing_twice_and_stores_no_key(server: Server, tmp_path: Path) -> None:
    data = write_rows(tmp_path / "rows.jsonl", rewardbench_rows())
    calls = {"model": f"openai:org/judge@{server.url}", "data": data, "allow_partial": True}
    config = RunConfig(task="rewardbench", results=tmp_path / "results", **calls)
    server.reply = lambda body: (401, refusal(f"{KEY} has expired"), {}) if len(server.bodies) > 80 else better(body)
    with pytest.raises(ModelError, match="refuses the key"):
        runner.run(config, lambda: made(server), Quiet())
    for thread in threading.enumerate():  # calls that were under way
        if thread.name == "endpoint call":
            thread.join()
    asked = server.prompts()[:64]

    def hostile(body: dict[str, Any]) -> dict[str, Any]:
        verdict = better(body)["choices"][0]["message"]["content"]
        return said(f"\ud83d \x00 {KEY}\u2028 {verdict}", "stop\ud83d") | {"id": KEY}

    server.reply = hostile
    server.bodies.clear()
    result = runner.run(config, lambda: made(server), Quiet())
    total = 23 * 3 * 2
    assert len(server.bodies) == total - 64 and not set(asked) & set(server.prompts())
    assert result.record["timings"]["resumed"] == 64
    assert {metric["value"] for metric in result.record["metrics"].values()} == {1.0}
    assert result.record["position"] == {"first_rate": 0.5, "consistent": 1.0}
    files = [path for path in (tmp_path / "results").rglob("*") if path.is_file()]
    assert len(files) >= 5 and not any(KEY.encode() in path.read_bytes() for path in files)


def test_ctrl_c_does_not_wait_for_calls(server: Server, tmp_path: Path) -> None:
    server.reply = lambda body: time.sleep(5) or said("[[A]]")
    script = (
        "import sys; from gram_eval.models.load import load_model; from gram_eval.schema import Message, Request\n"
        "model = load_model(sys.argv[1]); print('ready', flush=True)\n"
        "ask = [Request('00', 's', (0, 1), (Message('user', 'q'),), ('x', 'y'))] * 9\n"
        "try:\n    model.judge(model.plan(ask)[0])\nexcept KeyboardInterrupt:\n    sys.exit(130)\n"
    )
    command = [sys.executable, "-c", script, f"openai:m@{server.url}"]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None and process.stdout.readline() == b"ready\n"
        while len(server.bodies) < 8:
            time.sleep(0.01)
        begun = time.monotonic()
        process.send_signal(signal.SIGINT)
        assert process.wait(4) == 130 and time.monotonic() - begun < 3
