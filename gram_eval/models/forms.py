"""What judges that write are asked: one prompt for each number of responses that they may be shown."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ..errors import ModelError
from ..schema import Ability, Message, content_key
from .prompting import render_template

MOST = 26
"""Responses in one prompt: each has a letter."""


@dataclass(frozen=True, slots=True)
class Form:
    """A way of asking, as Jinja2 texts; None where so many responses are never shown.

    Attributes:
        kind: What a user writes before the colon.
        ability: What the model that is asked so can do.
        one: Asks for a rating of `response`.
        two: Asks which of `first` and `second` is better.
        many: Asks which of `responses`, a list of 2 to 26, is the best.
    """

    kind: str
    ability: Ability
    one: str | None = None
    two: str | None = None
    many: str | None = None

    @property
    def key(self) -> str:
        """A hash of the prompts, for the model's identity."""
        return content_key(*(text for text in (self.one, self.two, self.many) if text is not None))

    def fill(self, prompt: tuple[Message, ...], responses: Sequence[str]) -> str:
        """The question about these responses, in the order shown.

        Raises:
            ModelError: The template fails, or there is none for so many responses.
        """
        shown = len(responses)
        if shown == 1 and self.one is not None:
            return render_template(self.one, prompt, response=responses[0])
        if shown == 2 and self.two is not None:
            return render_template(self.two, prompt, first=responses[0], second=responses[1])
        if 2 <= shown <= MOST and self.many is not None:
            return render_template(self.many, prompt, responses=list(responses))
        raise ModelError(f"{self.kind} has no prompt for {shown} responses at once; at most {MOST} have a letter.")

    def check(self) -> None:
        """Fills every prompt once, so that a faulty template is refused before anything is loaded.

        Raises:
            ModelError: As `fill`.
        """
        for shown, text in ((1, self.one), (2, self.two), (MOST, self.many)):
            if text is not None:
                self.fill((Message("user", "?"),), ("!",) * shown)
