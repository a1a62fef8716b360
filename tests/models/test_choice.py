"""`rating:` and `choice:`: what is asked by the number of responses, what the texts become, and whole runs."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import tiny
from fakes import FakeModel, Quiet, make_task, write_rows
from hypothesis import given
from hypothesis import strategies as st
from scripted import answering, ask, options, scripted
from serving import FAST, Server, said

from gram_eval import runner, store
from gram_eval.config import RunConfig
from gram_eval.errors import ModelError, UsageError
from gram_eval.kinds.ranking import outcome, requests
from gram_eval.models.card import RewardCard, write_card
from gram_eval.models.forms import Form
from gram_eval.models.load import load_model
from gram_eval.models.prompting import builtin_template
from gram_eval.rescore import rescore
from gram_eval.schema import Judgment, Message, Request, Sample
from gram_eval.tables import read_judgments
from gram_eval.verdicts import REWARDBENCH2, STRICT

PROMPT = (Message("user", "which?"),)
LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
CHOICE = Form("choice", "choose", many=builtin_template("choice"))


def asking(*responses: str) -> Request:
    return Request("".join(responses), "s", tuple(range(len(responses))), PROMPT, responses)


@pytest.fixture(scope="module")
def writer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.save(tmp_path_factory.mktemp("models") / "writer", "label", max_position_embeddings=4096)


def knowing(prompt: str) -> str:
    """The text of a judge who knows the good answers, in whatever way it is asked."""
    if "Rate how well" in prompt:
        return "Well.\nRating: " + ("9" if "[Answer]\ngood" in prompt else "2")
    (letter,) = re.findall(r"\[Answer ([A-Z])\]\ngood", prompt)
    return f"Well.\n[[{letter}]]"


def test_a_rating_is_a_text_about_one_response(writer: Path) -> None:
    model = load_model(f"rating:{writer}", options())
    assert (model.ability, model.identity["kind"], model.name) == ("score", "rating", "writer")
    found = ask(answering(model, knowing), [asking("good one"), asking("bad one")])
    assert [STRICT.rating(one.text or "") for one in found.values()] == [9.0, 2.0]
    assert all(one.status == "ok" and one.reward is None for one in found.values())


@pytest.mark.parametrize(
    ("texts", "ends", "status", "reward"),
    [
        (("Rating: 8", "so 7/10", "hm"), "stop", "ok", 7.5),
        (("hm", "what", "11"), "stop", "unparsed", None),
        (("Rating: 8", "so 7", "hm"), "length", "unparsed", None),  # 7.5, perhaps
    ],
)
def test_votes_on_a_rating(writer: Path, texts: Sequence[str], ends: str, status: str, reward: float | None) -> None:
    model = scripted(load_model(f"rating:{writer}", options(votes=3)), *texts, ends=ends)
    found = ask(model, [asking("x")])["x"]
    assert (found.status, found.reward, found.logprobs) == (status, reward, None)
    assert [one["text"] for one in json.loads(found.text or "")] == list(texts)


def test_a_chooser_is_asked_by_the_number_of_responses(writer: Path, tmp_path: Path) -> None:
    model: Any = load_model(f"choice:{writer}", options())
    assert (model.ability, model.identity["kind"]) == ("choose", "choice")
    asked = [asking(*LETTERS[:count].lower()) for count in (1, 2, 3, 26)]
    plan = [(one, row) for batch in model.plan(asked) for one, row in zip(batch.requests, batch.encoded, strict=True)]
    prompts = {len(one.responses): tiny.tokenizer().decode(row.tolist()) for one, row in plan}
    assert "Rating: 5" in prompts[1] and "[Answer]\na\n" in prompts[1]
    assert "[[A]] if answer A is better" in prompts[2] and "[Answer B]\nb\n" in prompts[2]
    assert "[[A]], [[B]] or [[C]]" in prompts[3] and "[Answer C]\nc\n" in prompts[3] and "[[D]]" not in prompts[3]
    assert "[Answer Z]\nz\n" in prompts[26] and prompts[26].count("[[Z]]") == 2


def test_more_responses_than_letters_are_an_error_of_that_request(writer: Path, server: Server) -> None:
    server.reply = lambda body: said("[[A]]")
    local = scripted(load_model(f"choice:{writer}", options()), "[[A]]")
    remote: Any = load_model(f"openai-choice:org/judge@{server.url}")
    many = asking(*(f"r{number}" for number in range(27)))
    for model in (local, remote):
        found = ask(model, [many, asking("x", "y", "z")])
        assert found["xyz"].text == "[[A]]"
        assert (found[many.key].status, found[many.key].error) == (
            "error",
            f"{model.identity['kind']} has no prompt for 27 responses at once; at most 26 have a letter.",
        )
    assert len(server.bodies) == 1


def test_votes_on_a_choice(writer: Path) -> None:
    texts = ["[[B]]", "[[D]]", "[[B]]", "[[E]]", "hm"]
    model = scripted(load_model(f"choice:{writer}", options(votes=5)), *texts)
    found = ask(model, [asking("w", "x", "y", "z")])["wxyz"]
    assert found.status == "ok" and found.logprobs == (-1000.0, math.log(2 / 3), -1000.0, math.log(1 / 3))
    pairwise = scripted(load_model(f"choice:{writer}", options(votes=2)), "[[B]]", "[[C]]")
    assert ask(pairwise, [asking("x", "y")])["xy"].logprobs == pytest.approx((math.log(0.25), math.log(0.75)))
    single = scripted(load_model(f"choice:{writer}", options(votes=2)), "Rating: 3", "Rating: 4")
    assert ask(single, [asking("x")])["x"].reward == 3.5


@given(st.integers(3, 26), st.data(), st.integers(0, 2**31))
def test_the_letter_of_a_response_is_read_as_that_candidate(count: int, data: st.DataObject, seed: int) -> None:
    best, named = data.draw(st.integers(0, count - 1)), data.draw(st.integers(0, count - 1))
    name = data.draw(st.text(max_size=5))
    candidates = tuple(f"response {index}" for index in range(count))
    sample = Sample(name, PROMPT, candidates, tuple(float(index == best) for index in range(count)), "s", "c")
    (asked,) = requests(make_task(), sample, FakeModel("choose"), seed=seed)
    assert asked.responses[asked.indices.index(best)] == candidates[best]
    shown = CHOICE.fill(asked.prompt, asked.responses)
    letters = re.findall(rf"^\[Answer ([A-Z])\]\n{candidates[named]}\n\[End", shown, re.MULTILINE)
    assert len(letters) == 1
    for text in (f"Well.\n[[{letters[0]}]]", f"<think>[[A]]</think> not [[B]], no: [[ {letters[0].lower()} ]]"):
        found = outcome(make_task(), sample, [asked], {asked.key: Judgment(asked.key, text=text)}, STRICT)
        assert (found.status, found.credit) == ("ok", float(named == best))


def test_own_prompts(writer: Path, tmp_path: Path) -> None:
    mine = tmp_path / "mine.jinja"
    mine.write_text("{% for one in responses %}{{ one }}|{% endfor %}")
    model: Any = load_model(f"choice:{writer}", options(template=mine))
    plain: Any = load_model(f"choice:{writer}", options())
    assert model._form.fill(PROMPT, ("x", "y", "z")) == "x|y|z|"
    assert [model._form.fill(PROMPT, r) for r in ("x", "xy")] == [plain._form.fill(PROMPT, r) for r in ("x", "xy")]
    assert model.identity["template"] != plain.identity["template"]
    mine.write_text("{{ response }}?")
    rater: Any = load_model(f"rating:{writer}", options(template=mine))
    assert rater._form.fill(PROMPT, ("{{ x }}",)) == "{{ x }}?"


@pytest.mark.parametrize("kind", ["rating", "choice", "rationale", "openai-choice", "openai-rating"])
@pytest.mark.parametrize(
    ("text", "message"), [("{{ thrid }}", "'thrid' is undefined"), ("{% for %}", "template fails"), (None, "be read")]
)
def test_a_faulty_prompt_is_refused_before_anything_is_loaded(
    writer: Path, tmp_path: Path, kind: str, text: str | None, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gram_eval.models.rationale.open_engine", lambda *args, **more: pytest.fail("loaded"))
    monkeypatch.setenv("OPENAI_API_KEY", "x")
    if text is not None:
        (tmp_path / "mine.jinja").write_text(text)
    with pytest.raises((ModelError, UsageError), match=message) as caught:
        load_model(f"{kind}:{writer}", options(template=tmp_path / "mine.jinja"))
    assert "\n" not in str(caught.value)


def test_cards(tmp_path: Path) -> None:
    folder = tiny.save(tmp_path / "judge", "label")
    write_card(folder, RewardCard(kind="rationale", template="{{ first }}/{{ second }}"))
    model: Any = load_model(f"choice:{folder}", options())
    assert model._form.fill(PROMPT, ("x", "y")) == "x/y"
    with pytest.raises(UsageError, match="verdicts in texts are A and B"):
        load_model(f"choice:{folder}", options(labels=("x", "y")))
    assert load_model(f"rating:{folder}", options(labels=("x", "y"))).ability == "score"
    write_card(folder, RewardCard(kind="label"))
    for kind in ("rating", "choice"):
        with pytest.raises(UsageError, match=f"says kind 'label'; leave out '{kind}:'"):
            load_model(f"{kind}:{folder}", options())


def test_a_chooser_cannot_sit_in_a_jury_but_a_rater_can(writer: Path) -> None:
    with pytest.raises(UsageError, match=r"^choice:\S+ chooses among all responses; in a jury use rationale:, rating:"):
        load_model(f"jury:null:longest,choice:{writer}", options())
    jury: Any = load_model(f"jury:rating:{writer},null:first", options())
    answering(jury._members[0], knowing)
    first, second = ask(jury, [asking("good", "bad"), asking("bad", "good")]).values()
    assert first.logprobs == pytest.approx((math.log((1 + 1 / (1 + math.exp(-7))) / 2), -7.694), abs=1e-3)
    assert math.exp(second.logprobs[0]) == pytest.approx((1 + 1 / (1 + math.exp(7))) / 2)


def rewardbench2_rows(count: int = 12) -> list[dict[str, Any]]:
    """Best of four, and the two questions of a Ties pair."""
    plain = [
        {
            "id": str(number),
            "subset": "Math",
            "prompt": f"prompt {number}",
            "chosen": [f"good {number}"],
            "rejected": [f"bad {number} {index}" for index in range(3)],
        }
        for number in range(count)
    ]
    ties = [("ref:0", ["good"]), ("tied:0", ["good 1", "good 2", "good 3"])]
    return plain + [
        {"id": name, "subset": "Ties", "prompt": f"name {name}", "chosen": right, "rejected": ["bad 1", "bad 2"]}
        for name, right in ties
    ]


@pytest.mark.parametrize("votes", [1, 3])
@pytest.mark.parametrize("kind", ["choice", "rating"])
def test_rewardbench2_from_end_to_end(writer: Path, tmp_path: Path, kind: str, votes: int) -> None:
    data = write_rows(tmp_path / "rows.jsonl", rewardbench2_rows())
    config = RunConfig(task="rewardbench2", data=data, results=tmp_path / "results", allow_partial=True, votes=votes)
    model = answering(load_model(f"{kind}:{writer}", options(votes=votes)), knowing)
    result = runner.run(config, lambda: model, Quiet())
    values = {name: one["value"] for name, one in result.record["metrics"].items()}
    # Equal ratings of the right answers: nothing between them, so the bonus of the newer version is whole.
    assert values == pytest.approx(
        {"overall": 1.005, "Math": 1.0, "Ties": 1.01, "overall (0.1.4)": 1.0, "Ties (0.1.4)": 1.0, "Ties accuracy": 1.0}
    )
    asked = [len(one.indices) for one in read_judgments(result.folder)]
    assert asked == ([4] * 12 if kind == "choice" else [1] * 48) + [1] * 8
    again = rescore(result.folder)
    official = rescore(result.folder, reading="official")
    assert (again.changed, official.changed) == (0, 0)


def test_unreadable_texts_are_bounded_or_credited_as_upstream(writer: Path, tmp_path: Path) -> None:
    data = write_rows(tmp_path / "rows.jsonl", rewardbench2_rows()[:12])
    config = RunConfig(task="rewardbench2", data=data, results=tmp_path / "results", allow_partial=True)
    result = runner.run(config, lambda: load_model(f"choice:{writer}", options()), Quiet())  # a random model's texts
    assert result.record["counts"]["unparsed"] + result.record["counts"]["truncated"] == 12
    assert result.record["metrics"]["Math"]["value"] is None
    assert result.record["metrics"]["Math"]["bounds"] == [0.0, 1.0]
    assert rescore(result.folder).changed == 0
    official = rescore(result.folder, reading="official")
    assert official.record["metrics"]["Math"]["value"] == REWARDBENCH2.unparsed["choose"] == 0.25
    assert set(store.read_outcomes(result.folder)["credit"]) == {0.25}


def test_a_chooser_behind_a_server(server: Server, tmp_path: Path) -> None:
    server.reply = lambda body: said(knowing(body["messages"][0]["content"]))
    data = write_rows(tmp_path / "rows.jsonl", rewardbench2_rows())
    config = RunConfig(task="rewardbench2", data=data, results=tmp_path / "results", allow_partial=True)
    model: Any = load_model(f"openai-choice:org/judge@{server.url}", options(max_new_tokens=99))
    model._endpoint.policy = FAST
    result = runner.run(config, lambda: model, Quiet())
    assert (result.record["protocol"]["ability"], result.record["protocol"]["order_seed"]) == ("choose", 0)
    assert result.record["metrics"]["overall"]["value"] == pytest.approx(1.005)
    assert len(server.bodies) == 12 + 8 and {body["max_tokens"] for body in server.bodies} == {99}
    assert sum("best answer in double brackets" in prompt for prompt in server.prompts()) == 12
    assert model.identity["decoding"] == {"temperature": 0, "max_tokens": 99}
    pairs = Request("k", "s", (0, 1), PROMPT, ("good", "bad"))
    assert ask(model, [pairs])["k"].text == "Well.\n[[A]]"
