"""Judges behind a server: what is asked and how it is read, against a real HTTP server on loopback."""

import json
import math
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from serving import KEY, Server, asking, better, judge, made, said, tops

from gram_eval.engines.openai import Policy
from gram_eval.errors import ModelError, UsageError
from gram_eval.kinds.answers import preference
from gram_eval.models.endpoint import EndpointModel, split_name
from gram_eval.models.load import load_model
from gram_eval.verdicts import pair, rating

pytest.importorskip("openai")


def test_both_orders_are_asked_and_read_from_the_text(server: Server) -> None:
    server.reply = better
    first, second = judge(made(server), asking("good 1", "bad 1"), asking("bad 1", "good 1"))
    assert (pair(first.text), pair(second.text)) == (1.0, 0.0)
    assert (first.status, first.finish_reason, first.prompt_tokens, first.completion_tokens) == ("ok", "stop", 11, 7)
    assert first.logprobs is None and first.reward is None
    assert server.keys == {f"Bearer {KEY}"}
    body = server.bodies[0]
    assert body["model"] == "org/judge" and body["temperature"] == 0 and body["max_tokens"] == 4096
    assert "Why?" in server.prompts()[0]


def test_answers_come_in_the_order_of_the_requests_and_bounded_in_number(server: Server) -> None:
    def slow(body: dict[str, Any]) -> dict[str, Any]:
        number = int(body["messages"][0]["content"].split("first-")[1].split()[0])
        time.sleep(0.03 if number % 3 else 0.06)
        return said(f"{number}")

    server.reply = slow
    found = judge(made(server), *(asking(f"first-{number} ", "b") for number in range(40)))
    assert [one.text for one in found] == [str(number) for number in range(40)]
    assert 4 < server.most <= 8


def test_batches_are_small_and_in_order(server: Server) -> None:
    requests = [asking(str(number), "b") for number in range(150)]
    batches = made(server).plan(requests)
    assert [len(batch.requests) for batch in batches] == [64, 64, 22]
    assert [request for batch in batches for request in batch.requests] == requests


def test_a_rating_is_a_text_of_one_response(server: Server) -> None:
    server.reply = lambda body: said("Fine.\nRating: 8")
    model = made(server, "openai-rating")
    (found,) = judge(model, asking("the response"))
    assert model.ability == "score" and rating(found.text) == 8.0 and found.reward is None
    assert "the response" in server.prompts()[0]


def test_labels_are_read_by_their_probability(server: Server) -> None:
    server.reply = lambda body: said("A", "length", tops(A=math.log(0.5), _A=math.log(0.1), B=math.log(0.2), a=-0.1))
    model = made(server, "openai-label")
    (found,) = judge(model, asking("x", "y"))
    assert found.status == "ok" and found.logprobs == pytest.approx((math.log(0.6), math.log(0.2)))
    assert preference(found.logprobs) == pytest.approx(0.75)
    body = server.bodies[0]
    assert (body["logprobs"], body["top_logprobs"], body["max_tokens"]) == (True, 20, 1)


def test_labels_that_are_not_there_are_never_guessed(server: Server) -> None:
    model = made(server, "openai-label")
    cases: list[tuple[Any, str]] = [
        (tops(A=-0.1, C=-3.0), "label 'B' is not among the 2 likeliest first tokens"),
        (tops(B=-0.1, A=math.nan), "label 'A' is not among"),
        (tops(B=-0.1, A=-math.inf), "label 'A' is not among"),
        (tops(B=-0.1, A=5), "label 'A' is not among"),
        (None, "gives no log-probabilities"),
        ({"content": []}, "gives no log-probabilities"),
        ({"content": [{"top_logprobs": None}]}, "gives no log-probabilities"),
        ("A", "gives no log-probabilities"),
    ]
    for logprobs, reason in cases:
        server.reply = lambda body, logprobs=logprobs: said("A", "length", logprobs)
        (found,) = judge(model, asking("x", "y"))
        assert (found.status, found.logprobs, found.text) == ("unparsed", None, "A"), logprobs
        assert reason in found.error, logprobs


def test_own_labels_and_template(server: Server, tmp_path: Path) -> None:
    (tmp_path / "mine.jinja").write_text("{{ first }} or {{ second }}?")
    server.reply = lambda body: said("one", "length", tops(one=-0.5, two=-1.0))
    model = made(server, "openai-label", template=tmp_path / "mine.jinja", labels=("one", "two"))
    (found,) = judge(model, asking("{{ x }}", "y"))
    assert found.logprobs == (-0.5, -1.0) and server.prompts() == ["{{ x }} or y?"]
    plain = made(server, "openai-label")
    assert model.identity["template"] != plain.identity["template"] and model.identity["labels"] == ["one", "two"]
    (tmp_path / "mine.jinja").write_text("{{ third }}")
    with pytest.raises(ModelError, match="template fails"):
        made(server, template=tmp_path / "mine.jinja")
    with pytest.raises(UsageError, match="two different words"):
        made(server, "openai-label", labels=("A", " A"))


def test_a_local_server_needs_no_key(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY")
    assert judge(made(server), asking("x", "y"))[0].status == "ok"
    assert not any(KEY in str(key) for key in server.keys)
    with pytest.raises(UsageError, match="needs a key: set GRAM_EVAL_API_KEY or OPENAI_API_KEY"):
        load_model("openai:gpt-x")
    monkeypatch.setenv("OPENAI_BASE_URL", server.url)
    monkeypatch.setenv("GRAM_EVAL_API_KEY", KEY)
    model = load_model("openai:org/judge")
    assert model.identity == made(server).identity
    assert judge(model, asking("x", "y"))[0].status == "ok" and f"Bearer {KEY}" in server.keys
    monkeypatch.setenv("GRAM_EVAL_API_KEY", "sk-ü\nsecret")
    with pytest.raises(UsageError, match="^GRAM_EVAL_API_KEY holds characters that no key has; copy the key again.$"):
        load_model("openai:org/judge")


def test_specs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)
    assert split_name("gpt-x") == ("gpt-x", "https://api.openai.com/v1")
    assert split_name("@cf/m@1@https://h/v1") == ("@cf/m@1", "https://h/v1")
    for name, message in {
        "m@localhost:8000/v1": "in full, MODEL@http://",
        "@http://h/v1": "name is missing",
        "m@http://": "URL is not valid",
        "m@http://h:99999/v1": "URL is not valid",
        "m@http://[x/v1": "URL is not valid",
        "m@https://me:hunter2@h/v1": "no user, password or query",
        "m@https://h/v1?key=hunter2": "no user, password or query",
    }.items():
        with pytest.raises(UsageError, match=message) as caught:
            split_name(name)
        assert "hunter2" not in str(caught.value)


def test_identity_says_what_changes_answers_and_nothing_else(server: Server) -> None:
    model = made(server)
    assert set(model.identity) == {"kind", "model", "url", "template", "decoding"}
    assert model.identity["url"] == server.url.removeprefix("http://")
    assert made(server, policy=Policy(concurrency=2)).identity == model.identity
    assert made(server, "openai-label").identity != model.identity
    assert KEY not in json.dumps([model.identity, model.name]) and model.name == "openai:org/judge"


def test_newer_openai_models_are_told_the_limit_by_its_new_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    model = load_model("openai:gpt-x@https://api.openai.com/v1")
    assert isinstance(model, EndpointModel)
    body = model._body("x or y?")
    assert body["max_completion_tokens"] == 4096 and "max_tokens" not in body


def test_the_package_is_asked_for(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "openai", None)
    with pytest.raises(UsageError, match=r"^a model on a server needs openai: pip install 'gram-eval\[api\]'\.$"):
        made(server)
