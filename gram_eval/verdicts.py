"""Reading a verdict out of a judge's text: strictly, and as the benchmarks' own code does.

The strict readers take the last verdict outside of the thinking block and nothing but a verdict, in any of the
forms that judges are trained to write; the
official ones repeat what the authors' code does, faults included, because published numbers rest on it.
A text is what a judge wrote; nothing here knows which model it was.
"""

from __future__ import annotations

import re

from .errors import UsageError
from .task import Readers, Reading, Task

# Some chat templates open the block in the prompt, so that a text may begin inside of it.
_THINKING = re.compile(r"\A(?:(?!<think>).)*?</think>|<think>.*?(?:</think>|\Z)", re.DOTALL)
_GRADES = {"A>>B": 1.0, "A>B": 1.0, "A=B": 0.5, "B=A": 0.5, "B>A": 0.0, "B>>A": 0.0, "A": 1.0, "B": 0.0, "C": 0.5}
_GRADE = r"(A>>B|A>B|A=B|B=A|B>A|B>>A|A|B|C)"
_PAIR = re.compile(
    rf"\[\[\s*{_GRADE}\s*\]\]"
    rf"|<answer>\s*{_GRADE}\s*(?:</answer>|\Z)"
    rf"|^[ \t#*]*Prefer(?:red|ence)[ \t*]*:[ \t*]*{_GRADE}[ \t\r.*]*$",
    re.IGNORECASE | re.MULTILINE,
)
_CHOICE = re.compile(r"\[\[\s*([A-Z])\s*\]\]", re.IGNORECASE)
_NUMBER = r"(?<![\d.\-/])(\d+(?:\.\d+)?)"
_OF_TEN = r"\s*(?:/|out of)\s*10\b"
_ENDS = r"(?![\d/]|\.\d)"
_RATING = re.compile(
    rf"(?:rating|score)\W{{0,6}}?{_NUMBER}(?:{_OF_TEN}|{_ENDS})"
    rf"|\[\[\s*{_NUMBER}\s*\]\]"
    rf"|{_NUMBER}{_OF_TEN}"
    rf"|{_NUMBER}[\s.*\]]*\Z",
    re.IGNORECASE,
)


def pair(text: str) -> float | None:
    """P(first is better) from the last verdict outside of the thinking.

    A verdict is A, B, C (a tie) or a grade such as A>B in one of these forms: `[[A]]` (MT-bench, RM-R1, also
    inside of `<answer>`), `<answer>A</answer>` (GRAM-R2), a line `#Preferred: A` or `Preference: A` (GRAM).
    """
    found = _PAIR.findall(_THINKING.sub(" ", text))
    return _GRADES[next(filter(None, found[-1])).upper()] if found else None


def choice(text: str, count: int) -> int | None:
    """Position of the last `[[A]]`, `[[B]]` ... that names one of `count` responses."""
    places = [ord(letter.upper()) - ord("A") for letter in _CHOICE.findall(_THINKING.sub(" ", text))]
    return places[-1] if places and places[-1] < count else None


def rating(text: str) -> float | None:
    """The last rating from 0 to 10: `8/10` is 8, `**9**` is 9, `7.5` is 7.5; a bare number must end the text."""
    found = [next(filter(None, groups)) for groups in _RATING.findall(_THINKING.sub(" ", text))]
    value = float(found[-1]) if found else None
    return value if value is not None and value <= 10.0 else None


def rewardbench_pair(text: str, form: str = "") -> float | None:
    """As RewardBench reads a verdict: the first letter *tested for* wins, not the last one written.

    Args:
        form: "" for `[[A]]`; "Atla", "offsetbias" and "prometheus" for those judges' own forms.
    """
    marks = {"": ("[[A]]", "[[B]]"), "offsetbias": ("Output (a)", "Output (b)")}
    if form in marks:
        return next((1.0 - place for place, mark in enumerate(marks[form]) if mark in text), None)
    pattern = {"Atla": r"\*\*Result:\*\*\s*(A|B)", "prometheus": r"(?s)\[RESULT\].*([AB])\Z"}[form]
    found = re.search(pattern, text)
    return None if found is None else float(found[1] == "A")


def rewardbench2_choice(text: str, count: int = 4) -> int | None:
    """As RewardBench 2 reads a four-way ranking: the first of `[[A]]` to `[[D]]`, in that order, that occurs."""
    return next((place for place in range(count) if f"[[{chr(ord('A') + place)}]]" in text), None)


def rewardbench_rating(text: str) -> float | None:
    """As RewardBench reads a rating: a whole number from 1 to 10 that ends the text (`9/10` is 10, `7.5` is 5)."""
    found = re.search(r"\b([1-9]|10)\b\s*$", text)
    return None if found is None else float(found[1])


def arena_hard_pair(text: str) -> float | None:
    """As Arena-Hard and JudgeBench read a verdict: unreadable when two different ones are named."""
    found = {mark for mark in re.findall(r"\[\[([AB<>=]+)\]\]", text) if mark}
    return _GRADES.get(found.pop()) if len(found) == 1 else None


def readers_of(task: Task, reading: Reading) -> Readers:
    """The readers of a run.

    Raises:
        UsageError: The task has no official reading that differs from the strict one.
    """
    if reading == "strict":
        return STRICT
    if task.official is None:
        raise UsageError(f"task {task.name} has no official reading of its own: leave reading at strict.")
    return task.official


STRICT = Readers(pair=pair, choice=choice, rating=rating)
REWARDBENCH = Readers(
    pair=rewardbench_pair,
    choice=rewardbench2_choice,
    rating=rewardbench_rating,
    unparsed={"prefer": 0.5, "score": 0.5, "choose": 0.25},
)
REWARDBENCH2 = Readers(
    pair=rewardbench_pair,
    choice=rewardbench2_choice,
    rating=rewardbench_rating,
    unparsed={"prefer": 0.25, "score": 0.25, "choose": 0.25},
)
ARENA_HARD = Readers(pair=arena_hard_pair, choice=choice, rating=rating)
