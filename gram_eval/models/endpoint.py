"""Judges behind an OpenAI-compatible server: `openai:MODEL@URL`, `openai-rating:`, `openai-choice:`, `openai-label:`.

The server writes; what its text means is read later, by the harness's own readers. Only `openai-label` is read
here, from the probabilities of the answer's first token.
"""

from __future__ import annotations

import math
import os
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Literal
from urllib.parse import urlsplit

from ..engines.openai import Answer, Endpoint
from ..errors import ModelError, UsageError
from ..schema import Json, Judgment, Request
from .base import Batch
from .forms import Form
from .prompting import DEFAULT_LABELS, builtin_template, given_template

if TYPE_CHECKING:
    from .load import ModelOptions

PER_BATCH = 64
"""What an interruption may lose of answers that were paid for."""

MAX_TOKENS = 4096
TOP_LOGPROBS = 20
DEFAULT_URL = "https://api.openai.com/v1"
KEY_VARIABLES = ("GRAM_EVAL_API_KEY", "OPENAI_API_KEY")

Read = Callable[[str, Mapping[str, Json]], Judgment]
"""From a request's key and the server's first choice to a judgment, still without token counts."""


@dataclass(frozen=True, slots=True)
class Way:
    """How a server writes its answer, and how that is read.

    Attributes:
        decoding: Fields of the request's body that change the answer.
        labels: Where the answer is one of two labels.
    """

    decoding: Mapping[str, Json]
    read: Read
    labels: tuple[str, ...] = ()


class EndpointModel:
    """A model on a server; see `RewardModel`."""

    keyed_by: Literal["content", "sample"] = "content"
    asks_failed_again: Literal[True] = True

    def __init__(self, model: str, url: str, form: Form, way: Way, endpoint: Endpoint) -> None:
        self.name, self.ability = f"{form.kind}:{model}", form.ability
        self._model, self._form, self._way, self._endpoint = model, form, way, endpoint
        parts = urlsplit(url)
        self._decoding = dict(way.decoding)
        if parts.hostname == "api.openai.com":  # whose newer models refuse the name that all others know
            self._decoding["max_completion_tokens"] = self._decoding.pop("max_tokens")
        self.identity: Mapping[str, Json] = {
            "kind": form.kind,
            "model": model,
            "url": parts.netloc.rpartition("@")[2].lower() + parts.path.rstrip("/"),
            "template": form.key,
            "decoding": dict(way.decoding),
        } | ({"labels": list(way.labels)} if way.labels else {})

    def plan(self, requests: Sequence[Request]) -> list[Batch]:
        """Requests in their own order."""
        return [Batch(tuple(requests[start : start + PER_BATCH])) for start in range(0, len(requests), PER_BATCH)]

    def judge(self, batch: Batch) -> list[Judgment]:
        """Asks the server about one batch; a call that fails for good is a judgment with status `error`.

        Raises:
            ModelError: The server refuses the key or the model, cannot be reached, or answers none of many calls.
        """
        prompts = [self._prompt(request) for request in batch.requests]
        answers = iter(self._endpoint.ask_all([self._body(one) for one in prompts if isinstance(one, str)]))
        return [
            self._judgment(request.key, next(answers)) if isinstance(prompt, str) else prompt
            for request, prompt in zip(batch.requests, prompts, strict=True)
        ]

    def _prompt(self, request: Request) -> str | Judgment:
        """The question; the judgment of a request that cannot be put into words."""
        try:
            return self._form.fill(request.prompt, request.responses)
        except ModelError as error:
            return Judgment(request.key, "error", error=str(error))

    def _body(self, prompt: str) -> dict[str, Json]:
        return {"model": self._model, "messages": [{"role": "user", "content": prompt}], **self._decoding}

    def _judgment(self, key: str, answer: Answer) -> Judgment:
        if answer.body is None:
            return Judgment(key, "too_long" if answer.too_long else "error", error=answer.error)
        choices, usage = answer.body.get("choices"), answer.body.get("usage")
        usage = usage if isinstance(usage, dict) else {}
        counts = _count(usage.get("prompt_tokens")), _count(usage.get("completion_tokens"))
        details = usage.get("prompt_tokens_details")
        if not (isinstance(choices, list) and choices and isinstance(choices[0], dict)):
            return Judgment(key, "error", error="the server answered without a choice", prompt_tokens=counts[0])
        read = self._way.read(key, choices[0])
        text = None if read.text is None else self._endpoint.scrub(read.text)
        reason = choices[0].get("finish_reason")
        return Judgment(
            key,
            read.status,
            logprobs=read.logprobs,
            text=text,
            finish_reason=self._endpoint.scrub(reason)[:40] if isinstance(reason, str) else None,
            prompt_tokens=counts[0],
            completion_tokens=counts[1],
            cached_tokens=_count(details.get("cached_tokens")) if isinstance(details, dict) else None,
            error=read.error,
        )


def load(name: str, options: ModelOptions) -> EndpointModel:
    """Makes `openai:MODEL[@URL]`: a judge that compares two responses in words and ends with [[A]] or [[B]].

    Raises:
        UsageError: The spec is malformed, a key or the openai package is missing, or the template cannot be read.
        ModelError: The template is not valid.
    """
    return make(name, Form("openai", "prefer", two=_template(options, "judge")), in_words(options))


def load_rating(name: str, options: ModelOptions) -> EndpointModel:
    """Makes `openai-rating:MODEL[@URL]`: a judge that rates one response from 1 to 10 in words.

    Raises:
        UsageError: As `load`.
        ModelError: As `load`.
    """
    return make(name, Form("openai-rating", "score", one=_template(options, "rating")), in_words(options))


def load_choice(name: str, options: ModelOptions) -> EndpointModel:
    """Makes `openai-choice:MODEL[@URL]`: a judge that names the best of all responses, [[A]], [[B]], [[C]] ...

    A single response is rated, and two are compared, by the built-in prompts.

    Raises:
        UsageError: As `load`.
        ModelError: As `load`.
    """
    one, two = builtin_template("rating"), builtin_template("judge")
    form = Form("openai-choice", "choose", one=one, two=two, many=_template(options, "choice"))
    return make(name, form, in_words(options))


def load_label(name: str, options: ModelOptions) -> EndpointModel:
    """Makes `openai-label:MODEL[@URL]`: a judge whose first token is one of two labels, read by probability.

    Raises:
        UsageError: As `load`.
        ModelError: As `load`.
    """
    labels = options.labels or DEFAULT_LABELS
    if labels[0].strip() == labels[1].strip() or not all(label.strip() for label in labels):
        raise UsageError(f"labels {labels[0]!r} and {labels[1]!r} must be two different words; choose others.")
    decoding = {"temperature": 0, "max_tokens": 1, "logprobs": True, "top_logprobs": TOP_LOGPROBS}
    way = Way(decoding, partial(read_labels, labels=labels), labels)
    return make(name, Form("openai-label", "prefer", two=_template(options, "label")), way)


def in_words(options: ModelOptions) -> Way:
    """The likeliest text, as it is."""
    return Way({"temperature": 0, "max_tokens": options.max_new_tokens or MAX_TOKENS}, read_text)


def make(name: str, form: Form, way: Way) -> EndpointModel:
    """Puts a model together from `MODEL[@URL]`, what it is asked and how it answers.

    Raises:
        UsageError: As `load`.
        ModelError: As `load`.
    """
    model, url = split_name(name)
    form.check()
    return EndpointModel(model, url, form, way, Endpoint(url, api_key(url)))


def split_name(name: str) -> tuple[str, str]:
    """The model's name on the server, and the base URL: what is written, else OPENAI_BASE_URL, else OpenAI's own.

    Raises:
        UsageError: There is no model's name, or the URL holds a key or is none; never repeats what it holds.
    """
    found = re.fullmatch(r"(.*?)(?:@(https?://.*))?", name, re.DOTALL)
    model, url = (found[1], found[2]) if found else (name, None)
    if url is None and re.search(r"@[\w.-]+:\d+", model):
        raise UsageError(f"'{model}': write the server's URL in full, MODEL@http://HOST:PORT/v1.")
    if not model:
        raise UsageError("the model's name is missing; write openai:MODEL or openai:MODEL@https://HOST/v1.")
    url = url or os.environ.get("OPENAI_BASE_URL", "").strip() or DEFAULT_URL
    try:
        parts = urlsplit(url)
        valid = parts.scheme in ("http", "https") and parts.hostname and (parts.port or True)
    except ValueError:
        valid = None
    if not valid or re.search(r"\s", url):
        raise UsageError("the server's URL is not valid; write it as https://HOST[:PORT]/v1.")
    if "@" in parts.netloc or parts.query or parts.fragment:
        # The spec is written into config.json; a key must not get there.
        raise UsageError(
            f"the server's URL may hold no user, password or query; put the key into {' or '.join(KEY_VARIABLES)}."
        )
    return model, url


def api_key(url: str) -> str | None:
    """The key from the environment; a server other than OpenAI's may need none.

    Raises:
        UsageError: OpenAI's own server is asked without a key, or the key cannot be sent.
    """
    for variable in KEY_VARIABLES:
        key = os.environ.get(variable, "").strip()
        if key and not re.fullmatch(r"[\x21-\x7e]+", key):
            raise UsageError(f"{variable} holds characters that no key has; copy the key again.")
        if key:
            return key
    if urlsplit(url).hostname == "api.openai.com":
        raise UsageError(
            f"{DEFAULT_URL} needs a key: set {' or '.join(KEY_VARIABLES)}, or name another server, openai:MODEL@URL."
        )
    return None


def read_text(key: str, choice: Mapping[str, Json]) -> Judgment:
    """The text that was written; `truncated` when it was cut off."""
    text = _content(choice)
    if choice.get("finish_reason") == "length":
        return Judgment(key, "truncated", text=text, error="the answer was cut off at the limit of tokens")
    if text is None:
        reason = " (stopped by a content filter)" if choice.get("finish_reason") == "content_filter" else ""
        return Judgment(key, "unparsed", error=f"the server's message holds no text{reason}")
    return Judgment(key, text=text)


def read_labels(key: str, choice: Mapping[str, Json], *, labels: Sequence[str]) -> Judgment:
    """The two labels' log-probabilities as first token; a label's spellings with and without blanks add up."""
    text = _content(choice)
    try:
        tops = choice["logprobs"]["content"][0]["top_logprobs"]
        pairs = [(str(top["token"]), _finite(top["logprob"])) for top in tops]
    except (KeyError, IndexError, TypeError):
        return Judgment(key, "unparsed", text=text, error="the server gives no log-probabilities; use openai:MODEL")
    found: list[float] = []
    for label in labels:
        values = [value for token, value in pairs if token.strip() == label.strip() and value is not None]
        if not values:
            error = f"label {label!r} is not among the {len(pairs)} likeliest first tokens"
            return Judgment(key, "unparsed", text=text, error=error)
        top = max(values)
        found.append(top + math.log(math.fsum(math.exp(value - top) for value in values)))
    return Judgment(key, logprobs=tuple(found), text=text)


def _template(options: ModelOptions, name: str) -> str:
    return given_template(options.template) or builtin_template(name)


def _content(choice: Mapping[str, Json]) -> str | None:
    message = choice.get("message")
    content = message.get("content") if isinstance(message, dict) else None
    return content if isinstance(content, str) else None


def _count(value: Json) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**31 else None


def _finite(value: Json) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if -1e6 < value <= 1e-3 else None
