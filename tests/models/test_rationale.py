"""Judges that write: what their texts become, votes, limits, and a whole run."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import tiny
from fakes import FakeModel, Quiet, make_task, rewardbench_rows, write_rows
from scripted import ask, options, scripted

from gram_eval import runner
from gram_eval.config import RunConfig
from gram_eval.errors import ModelError, UsageError
from gram_eval.kinds import ranking
from gram_eval.kinds.answers import preference, read
from gram_eval.models.card import RewardCard, write_card
from gram_eval.models.forms import Form
from gram_eval.models.load import load_model
from gram_eval.models.prompting import builtin_template, judge_messages
from gram_eval.models.rationale import text_seed
from gram_eval.rescore import rescore
from gram_eval.schema import Judgment, Message, Request, Sample
from gram_eval.tables import read_judgments
from gram_eval.verdicts import STRICT, pair

PROMPT = (Message("user", "which?"),)
SHORT = "{{ first }}|{{ second }}"
DOCS = Path(__file__).resolve().parents[2] / "docs" / "templates.md"


def question(key: str, first: str, second: str) -> Request:
    return Request(key, "s", (0, 1), PROMPT, (first, second))


@pytest.fixture(scope="module")
def judge(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tiny.save(tmp_path_factory.mktemp("models") / "writer", "label")
    write_card(folder, RewardCard(kind="rationale", template=SHORT))
    return folder


QUESTIONS = [question(f"k{a}-{b}", "x" * a, "y" * b) for a in (1, 9, 30, 60) for b in (2, 20)]


def drawn(answer: Judgment) -> list[str]:
    """The texts of all votes."""
    return [one["text"] for one in json.loads(answer.text or "")]


@pytest.mark.parametrize("votes", [1, 3])
def test_texts_do_not_depend_on_the_batch_size(judge: Path, votes: int) -> None:
    found = [
        ask(load_model(str(judge), options(batch_tokens=size, votes=votes)), QUESTIONS) for size in (1, 300, 10**6)
    ]
    for key, one in found[0].items():
        for other in (found[1][key], found[2][key]):
            assert (drawn(one) == drawn(other)) if votes > 1 else (one.text == other.text)
            assert (one.finish_reason, one.completion_tokens) == (other.finish_reason, other.completion_tokens)
            assert one.mean_logprob == pytest.approx(other.mean_logprob, abs=1e-4)
    assert len({one.text for one in found[0].values()}) > 1


def test_a_text_at_the_limit_is_truncated_and_kept(judge: Path) -> None:
    answer = ask(load_model(str(judge), options(max_new_tokens=3)), [question("k", "x", "y")])["k"]
    assert (answer.status, answer.finish_reason, answer.completion_tokens) == ("truncated", "length", 3)
    assert answer.text and answer.logprobs is None
    assert answer.mean_logprob is not None and -20 < answer.mean_logprob < 0


def test_a_text_that_ends_is_ok_and_without_its_stop_token(judge: Path) -> None:
    answer = ask(scripted(load_model(str(judge), options()), "why\n[[B]]"), [question("k", "x", "y")])["k"]
    assert (answer.status, answer.finish_reason, answer.text) == ("ok", "stop", "why\n[[B]]")
    assert STRICT.pair(answer.text or "") == 0.0


def test_votes_become_a_share(judge: Path) -> None:
    texts = ["[[A]]", "<answer>A</answer>", "[[B]]", "[[C]]", "no idea"]
    model = scripted(load_model(str(judge), options(votes=5)), *texts)
    answer = ask(model, [question("k", "x", "y")])["k"]
    assert answer.status == "ok" and answer.logprobs is not None
    assert preference(answer.logprobs) == pytest.approx(2.5 / 4)
    each = json.loads(answer.text or "")
    assert [one["text"] for one in each] == texts
    assert sum(one["tokens"] for one in each) == answer.completion_tokens
    assert all(one["finish_reason"] == "stop" and one["mean_logprob"] <= 0.0 for one in each)
    counts = [len(model._engine.tokenizer(text)["input_ids"]) + 1 for text in texts]
    assert answer.completion_tokens == sum(counts)
    weighted = sum(-0.5 * place * count for place, count in enumerate(counts)) / sum(counts)
    assert answer.mean_logprob == pytest.approx(weighted)


def test_votes_that_none_can_read_are_unparsed(judge: Path) -> None:
    model = scripted(load_model(str(judge), options(votes=2)), "what", "hm", ends="length")
    answer = ask(model, [question("k", "x", "y")])["k"]
    assert (answer.status, answer.logprobs, answer.finish_reason) == ("unparsed", None, "length")


def test_votes_are_drawn_by_seed_question_and_number(judge: Path) -> None:
    texts = {}
    for seed in (0, 1):
        model = load_model(str(judge), options(votes=3, seed=seed))
        answers = ask(model, QUESTIONS[:2])
        again = ask(model, QUESTIONS[1::-1])
        assert {key: drawn(one) for key, one in answers.items()} == {key: drawn(one) for key, one in again.items()}
        texts[seed] = drawn(answers["k1-2"])
        assert len(set(texts[seed])) == 3
    assert texts[0] != texts[1]
    assert len({text_seed(*parts) for parts in [(0, "a", 0), (1, "a", 0), (0, "b", 0), (0, "a", 1)]}) == 4


def test_identity_holds_what_changes_answers(judge: Path) -> None:
    plain = load_model(str(judge), options()).identity
    assert plain["decoding"] == "greedy" and "seed" not in plain and "template" in plain
    assert load_model(str(judge), options(seed=7, batch_tokens=9)).identity == plain
    assert load_model(str(judge), options(max_new_tokens=13)).identity != plain
    assert load_model(str(judge), options(template=Path("verdict"))).identity["template"] != plain["template"]
    drawn = load_model(str(judge), options(votes=2)).identity
    assert drawn["votes"] == 2 and drawn != load_model(str(judge), options(votes=2, seed=7)).identity
    json.dumps(drawn)


def test_prompt_and_text_must_fit_into_the_context_together(judge: Path) -> None:
    model = load_model(str(judge), options(max_new_tokens=100))
    around = len(model.plan([question("k", "", "")])[0].encoded[0])
    fits, not_quite = "x" * (156 - around), "x" * (157 - around)
    answers = ask(model, [question("a", fits, ""), question("b", not_quite, "")])
    assert answers["a"].text and answers["a"].prompt_tokens == 156
    assert (answers["b"].status, answers["b"].text) == ("too_long", None)
    assert answers["b"].error == "the prompt has 157 tokens and max_new_tokens is 100; the model takes 256 together"
    with pytest.raises(UsageError, match="takes 256 tokens and max_new_tokens is 256.*set a lower max_new_tokens"):
        load_model(str(judge), options(max_new_tokens=256))


def test_a_template_is_a_file_or_one_of_ours(judge: Path, tmp_path: Path) -> None:
    (tmp_path / "mine.jinja").write_text("{{ second }}")
    for path, start in ((tmp_path / "mine.jinja", "yy"), (None, "x|yy")):
        (batch,) = load_model(str(judge), options(template=path)).plan([question("k", "x", "yy")])
        assert tiny.tokenizer().decode(batch.encoded[0].tolist()).startswith(f"<|im_start|>user\n{start}<|im_end|>")
    with pytest.raises(UsageError, match=r"none\.jinja cannot be read"):
        load_model(str(judge), options(template=tmp_path / "none.jinja"))


def test_other_kinds_and_other_labels_are_refused(judge: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="says kind 'rationale'; leave out 'label:'"):
        load_model(f"label:{judge}", options())
    with pytest.raises(UsageError, match="verdicts in texts are A and B.*from the configuration"):
        load_model(str(judge), options(labels=("B", "A")))
    folder = tiny.save(tmp_path / "other", "label")
    assert load_model(f"rationale:{folder}", options()).identity["kind"] == "rationale"
    write_card(folder, RewardCard(kind="label"))
    with pytest.raises(UsageError, match="says kind 'label'; leave out 'rationale:'"):
        load_model(f"rationale:{folder}", options())


def test_answers_that_are_no_numbers_are_refused(judge: Path) -> None:
    import torch

    model: Any = load_model(str(judge), options())
    model._engine._model.lm_head.weight.data[:] = torch.nan
    with pytest.raises(ModelError, match="sample 's'"):
        ask(model, [question("k", "x", "y")])


OPENS = tiny.CHATML.replace("'<|im_start|>assistant\n'", "'<|im_start|>assistant\n<think>\n'")


def test_the_model_may_think(tmp_path: Path) -> None:
    thinker = tiny.save(tmp_path / "thinker", "label", template=tiny.THINKING)
    model = load_model(f"rationale:{thinker}", options(template=write(tmp_path)))
    (batch,) = model.plan([question("k", "x", "y")])
    assert "<think>" not in tiny.tokenizer().decode(batch.encoded[0].tolist())
    opener = tiny.save(tmp_path / "opener", "label", template=OPENS)
    model = scripted(load_model(f"rationale:{opener}", options(template=write(tmp_path))), "so [[A]]", "</think> [[B]]")
    # Cut off inside of a block that the prompt opened: what was thought is no verdict.
    first, second = (ask(model, [question("k", "x", "y")])["k"].text or "" for _ in range(2))
    assert (first, pair(first)) == ("<think>\nso [[A]]", None)
    assert pair(second) == 0.0


def write(folder: Path) -> Path:
    (folder / "short.jinja").write_text(SHORT)
    return folder / "short.jinja"


@pytest.mark.parametrize(
    ("texts", "status", "credit"),
    [
        (("[[A]]", "[[B]]"), "ok", 1.0),  # the verdict was there before the cut
        (("[[A]]", "I was just about to"), "truncated", None),
        (("hm", "hm"), "truncated", None),
    ],
)
def test_a_verdict_before_the_cut_counts(texts: tuple[str, str], status: str, credit: float | None) -> None:
    sample = Sample("s", PROMPT, ("good", "bad"), (1.0, 0.0), "x", "c")
    task, model = make_task(), FakeModel("prefer")
    asked = ranking.requests(task, sample, model)
    said = {
        one.key: Judgment(one.key, "truncated", text=text, finish_reason="length")
        for one, text in zip(asked, texts, strict=True)
    }
    found = ranking.outcome(task, sample, asked, said, STRICT)
    assert (found.status, found.credit) == (status, credit)


def test_a_rating_that_was_cut_is_no_rating() -> None:
    asked = [Request(str(index), "s", (index,), PROMPT, ("x",)) for index in range(2)]
    reply = read(asked, [Judgment("0", "truncated", text="I say 7"), Judgment("1", text="Rating: 5")], 2, STRICT)
    assert (reply.status, reply.answers.rewards) == ("truncated", (None, 5.0))


def test_a_cut_text_that_was_read_does_not_name_the_status() -> None:
    asked = [Request("0", "s", (0, 1), PROMPT, ("x", "y")), Request("1", "s", (1, 0), PROMPT, ("y", "x"))]
    cut, plain = Judgment("0", "truncated", text="[[A]] and"), Judgment("1", text="nothing")
    assert read(asked, [cut, plain], 2, STRICT).status == "unparsed"


@pytest.mark.parametrize("votes", [1, 2])
def test_a_whole_run(tmp_path: Path, votes: int) -> None:
    folder = tiny.save(tmp_path / "writer", "label")
    write_card(folder, RewardCard(kind="rationale", template="{{ first }}"))
    data = write_rows(tmp_path / "rows.jsonl", rewardbench_rows(1)[:12])
    config = RunConfig(data=data, results=tmp_path / "results", allow_partial=True, votes=votes, max_new_tokens=8)
    settings = options(max_new_tokens=config.max_new_tokens, votes=config.votes)
    results = []
    for name in ("results", "again"):
        one = config.model_copy(update={"results": tmp_path / name})
        results.append(runner.run(one, lambda: load_model(str(folder), settings), Quiet()))
    result, again = results
    assert result.record["model"]["identity"]["kind"] == "rationale" and result.record["n"] == 12
    assert result.record["protocol"]["orders"] == "both"
    answered = list(read_judgments(result.folder))
    assert len(answered) == 24
    for one in answered:
        assert one.judgment.text and one.judgment.mean_logprob is not None and one.judgment.mean_logprob < 0
        assert one.judgment.status in ("ok", "truncated", "unparsed")
    # Garbage holds no verdict: all samples are left out, and counted.
    assert sum(result.record["counts"][name] for name in ("truncated", "unparsed")) == 12
    tables = [(one.folder / "judgments.parquet").read_bytes() for one in (result, again)]
    assert tables[0] == tables[1]
    assert rescore(result.folder).changed == 0


EXAMPLE = (
    (Message("user", "What is the capital of Australia?"),),
    "The capital of Australia is Canberra.",
    "Sydney, of course!",
)


@pytest.mark.parametrize("name", ["label", "rationale", "verdict", "rating", "choice"])
def test_the_templates_are_documented_as_they_are(name: str) -> None:
    prompt, *two = EXAMPLE
    text = builtin_template(name)
    shown, form = {
        "rating": (two[:1], Form("", "score", one=text)),
        "choice": ([*two, "Melbourne.", "I do not know."], Form("", "choose", many=text)),
    }.get(name, (two, Form("", "prefer", two=text)))
    assert f"## {name}\n" in DOCS.read_text("utf-8")
    assert f"```text\n{form.fill(prompt, shown)}\n```" in DOCS.read_text("utf-8")


@pytest.mark.parametrize("name", ["rationale", "verdict"])
def test_what_a_template_asks_for_is_read(name: str) -> None:
    (turn,) = judge_messages(builtin_template(name), *EXAMPLE)
    if name == "rationale":
        block = turn.content[turn.content.index("<think>") : turn.content.index("</answer>") + len("</answer>")]
        assert pair(block) is None  # "A or B" is no verdict
        assert [pair(block.replace("A or B", letter)) for letter in "AB"] == [1.0, 0.0]
    else:
        assert [pair(f"reasons\n[[{letter}]]") for letter in "AB" if f"[[{letter}]]" in turn.content] == [1.0, 0.0]
