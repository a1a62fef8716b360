"""What several texts about one question say together. Texts are read strictly; one that cannot be read has no vote."""

from __future__ import annotations

import math
from collections.abc import Sequence

from ..verdicts import choice, pair, rating
from .recorded import NEVER


def pair_votes(texts: Sequence[str]) -> tuple[float, ...] | None:
    """Log of the share of votes for the first and for the second response; None when no text can be read.

    A tie is half a vote for each. A share of zero is -1000.
    """
    votes = [one for one in map(pair, texts) if one is not None]
    return _shares([math.fsum(votes), math.fsum(1.0 - one for one in votes)]) if votes else None


def choice_votes(texts: Sequence[str], shown: int) -> tuple[float, ...] | None:
    """Log of the share of votes for each of the responses shown; None when no text can be read.

    A share of zero is -1000.
    """
    votes = [one for one in (choice(text, shown) for text in texts) if one is not None]
    return _shares([float(votes.count(place)) for place in range(shown)]) if votes else None


def mean_rating(texts: Sequence[str]) -> float | None:
    """Mean of the ratings; None when no text can be read."""
    ratings = [one for one in map(rating, texts) if one is not None]
    return math.fsum(ratings) / len(ratings) if ratings else None


def _shares(votes: Sequence[float]) -> tuple[float, ...]:
    total = math.fsum(votes)
    return tuple(math.log(one / total) if one > 0.0 else NEVER for one in votes)
