"""What several texts say together."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gram_eval.kinds.answers import preference
from gram_eval.models.votes import choice_votes, mean_rating, pair_votes
from gram_eval.verdicts import pair

RATINGS = {"Rating: 3": 3.0, "so 7/10": 7.0, "**9**": 9.0, "6.5": 6.5, "11": None, "good": None}


@given(st.lists(st.sampled_from(["[[A]]", "[[B]]", "[[C]]", "?"]), min_size=1, max_size=9))
def test_a_vote_is_a_probability_that_swaps_with_the_letters(texts: list[str]) -> None:
    found = pair_votes(texts)
    known = [one for one in map(pair, texts) if one is not None]
    if not known:
        assert found is None
        return
    assert found is not None and all(-1000.0 <= value <= 0.0 for value in found)
    assert preference(found) == pytest.approx(sum(known) / len(known))
    swap = {"[[A]]": "[[B]]", "[[B]]": "[[A]]"}
    assert pair_votes([swap.get(text, text) for text in texts]) == pytest.approx(found[::-1])
    assert sum(map(math.exp, found)) == pytest.approx(1.0)


@given(st.lists(st.sampled_from(sorted(RATINGS)), max_size=9), st.randoms())
def test_ratings_are_averaged_over_those_that_can_be_read(texts: list[str], dice: object) -> None:
    known = [value for value in (RATINGS[text] for text in texts) if value is not None]
    found = mean_rating(texts)
    if not known:
        assert found is None
        return
    assert found == pytest.approx(sum(known) / len(known))
    dice.shuffle(texts)  # type: ignore[attr-defined]
    assert mean_rating(texts) == found


@given(st.integers(3, 26), st.data())
def test_choices_become_shares_that_move_with_the_letters(shown: int, data: st.DataObject) -> None:
    votes = data.draw(st.lists(st.integers(-1, shown - 1), max_size=9))
    order = data.draw(st.permutations(range(shown)))

    def text(place: int) -> str:
        return "no idea" if place < 0 else f"well\n[[{chr(ord('A') + place)}]]"

    found = choice_votes(list(map(text, votes)), shown)
    known = [one for one in votes if one >= 0]
    if not known:
        assert found is None
        return
    assert found is not None and all(-1000.0 <= value <= 0.0 for value in found)
    shares = [known.count(place) / len(known) for place in range(shown)]
    assert [0.0 if value == -1000.0 else math.exp(value) for value in found] == pytest.approx(shares)
    moved = choice_votes([text(one if one < 0 else order[one]) for one in votes], shown)
    assert moved is not None and [moved[order[place]] for place in range(shown)] == list(found)


def test_letters_beyond_the_responses_have_no_vote() -> None:
    assert choice_votes(["[[D]]", "[[B]]"], 3) == (-1000.0, 0.0, -1000.0)
    assert choice_votes(["[[D]]"], 3) is None
