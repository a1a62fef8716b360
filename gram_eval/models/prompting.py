"""From a question to token ids: judge prompts, chat templates and label tokens.

A chat template is applied once and its token ids are passed on; text is never tokenised a second time with
special tokens, which is how double BOS tokens come about. Prompts and responses are hostile text: a control
token that is spelled out in them ("<|im_end|>") is encoded as the ordinary text it is, so that a response
cannot close its own turn and speak for somebody else. Only tokens that the tokenizer marks as special are
guarded; what a response writes in the judge prompt's own plain-text markers is left to the judge.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from importlib import resources
from pathlib import Path
from typing import Any

import jinja2
from jinja2.sandbox import ImmutableSandboxedEnvironment

from ..errors import ModelError, UsageError
from ..schema import Message

Chat = Sequence[Message]

DEFAULT_LABELS = ("A", "B")
"""Answers of the default judge prompt for: first is better, second is better."""


def builtin_template(name: str) -> str:
    """Text of a template that ships with the package, such as label, rating or choice."""
    return resources.files("gram_eval.models").joinpath("templates", f"{name}.jinja").read_text("utf-8")


def given_template(path: Path | None, names: Sequence[str] = ()) -> str | None:
    """Text of the template that the user gave: a file, or one of the package's own by name; None: none was given.

    Raises:
        UsageError: The file cannot be read.
    """
    if path is None:
        return None
    if str(path) in names and not path.exists():
        return builtin_template(str(path))
    try:
        return path.expanduser().read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"template {path} cannot be read ({error}).") from None


def judge_messages(template: str, prompt: tuple[Message, ...], first: str, second: str) -> list[Message]:
    """The judge's prompt about two responses, as one user turn.

    Args:
        template: Jinja2 text with the variables `prompt` (the question as text; a plain transcript when the
            conversation has several turns), `messages` (its turns), `first` and `second`. It runs in a sandbox,
            and the values are never read as templates.
        prompt: The conversation that the responses answer.
        first: The response shown first.
        second: The response shown second.

    Raises:
        ModelError: The template is not valid, or uses a variable that does not exist.
    """
    return [Message("user", render_template(template, prompt, first=first, second=second))]


def render_template(template: str, prompt: tuple[Message, ...], **values: str | list[str]) -> str:
    """Fills in a prompt template; `prompt` and `messages` are as in `judge_messages`."""
    turns = [{"role": turn.role, "content": turn.content} for turn in prompt]
    try:
        return _compile(template).render(prompt=transcript(prompt), messages=turns, **values)
    except jinja2.TemplateError as error:
        raise ModelError(f"the judge's prompt template fails: {_one_line(error)}. Fix the template.") from None


def transcript(prompt: tuple[Message, ...]) -> str:
    """A conversation as text: the bare question if it is one user turn, else "Role: text" paragraphs."""
    if len(prompt) == 1 and prompt[0].role == "user":
        return prompt[0].content
    return "\n\n".join(f"{turn.role.capitalize()}: {turn.content}" for turn in prompt)


@lru_cache(maxsize=32)
def _compile(template: str) -> jinja2.Template:
    return ImmutableSandboxedEnvironment(undefined=jinja2.StrictUndefined).from_string(template)


def render_chat(tokenizer: Any, messages: Chat, *, add_generation_prompt: bool) -> list[int]:
    """Token ids of a conversation under the tokenizer's chat template.

    Reasoning models are told `enable_thinking=False` when they are to answer, so that the first token of the
    answer is the answer.

    Raises:
        ModelError: There is no chat template, it rejects the conversation, or it begins with two BOS tokens.
    """
    return render_chats(tokenizer, [messages], add_generation_prompt=add_generation_prompt)[0]


def render_chats(tokenizer: Any, chats: Sequence[Chat], *, add_generation_prompt: bool) -> list[list[int]]:
    """`render_chat` for many conversations; several times faster than one by one.

    Raises:
        ModelError: As `render_chat`.
    """
    control = _control_tokens(tokenizer)
    texts: list[str] = []
    spelled: dict[int, list[bool]] = {}
    for index, messages in enumerate(chats):
        if control and any(control.search(message.content) for message in messages):
            text, spelled[index] = _guarded_text(tokenizer, messages, control, add_generation_prompt)
        else:
            text = _chat_text(tokenizer, messages, add_generation_prompt)
        texts.append(text)
    encoded: list[list[int]] = _encode(tokenizer, texts)
    for index, flags in spelled.items():
        encoded[index] = _spell_out(tokenizer, encoded[index], flags)
    for ids in encoded:
        _refuse_double_bos(tokenizer, ids)
    return encoded


def label_token_ids(tokenizer: Any, labels: Sequence[str]) -> tuple[int, int]:
    """Token ids of the two labels as first token of the assistant's turn.

    Raises:
        ModelError: A label is not exactly one token there, or both are the same token.
    """
    if len(labels) != 2:
        raise ModelError(f"a judge needs two labels, found {len(labels)}.")
    before = _chat_text(tokenizer, [Message("user", "?")], add_generation_prompt=True)
    stem, *encoded = _encode(tokenizer, [before, *(before + label for label in labels)])
    found: list[int] = []
    for label, ids in zip(labels, encoded, strict=True):
        added = ids[len(stem) :]
        if ids[: len(stem)] != stem or len(added) != 1:
            tokens = tokenizer.convert_ids_to_tokens(added if ids[: len(stem)] == stem else ids[-4:])
            raise ModelError(
                f"label {label!r} is not one token at the start of the answer but {tokens}; "
                "choose labels that are (for chat templates usually without a leading space)."
            )
        found.append(int(added[0]))
    if found[0] == found[1]:
        raise ModelError(f"labels {labels[0]!r} and {labels[1]!r} are the same token ({found[0]}); choose two.")
    return found[0], found[1]


def _chat_text(tokenizer: Any, messages: Chat, add_generation_prompt: bool) -> str:
    turns = [{"role": message.role, "content": message.content} for message in messages]
    extra: Mapping[str, Any] = {"enable_thinking": False} if add_generation_prompt else {}
    if not getattr(tokenizer, "chat_template", None):
        raise ModelError(
            "the tokenizer has no chat template; add chat_template.jinja to the checkpoint, as the model was trained."
        )
    try:
        text = tokenizer.apply_chat_template(
            turns, tokenize=False, add_generation_prompt=add_generation_prompt, **extra
        )
    except (jinja2.TemplateError, ValueError, TypeError) as error:
        raise ModelError(f"the chat template rejects the conversation: {_one_line(error)}.") from None
    return str(text)


def _encode(tokenizer: Any, texts: Sequence[str]) -> list[list[int]]:
    if not texts:
        return []
    for text in texts:
        try:
            text.encode()
        except UnicodeEncodeError:
            raise ModelError("the prompt or a response holds half of a surrogate pair, which is no text.") from None
    # verbose=False: the tokenizer's own warning about its maximum length; ours refuses by the model's context.
    out = tokenizer(list(texts), add_special_tokens=False, padding=False, truncation=False, verbose=False)
    return [list(ids) for ids in out["input_ids"]]


def _control_tokens(tokenizer: Any) -> re.Pattern[str] | None:
    # Longest first, as the tokenizer itself matches.
    names = sorted(_special_tokens(tokenizer).values(), key=lambda name: (-len(name), name))
    return re.compile("|".join(map(re.escape, names))) if names else None


def _special_tokens(tokenizer: Any) -> dict[int, str]:
    """Control tokens by id; without the one for unknown text, which is no control token."""
    added = {index: token.content for index, token in tokenizer.added_tokens_decoder.items() if token.special}
    named = dict(zip(tokenizer.all_special_ids, tokenizer.all_special_tokens, strict=True))
    return {index: name for index, name in (added | named).items() if name and index != tokenizer.unk_token_id}


def _guarded_text(
    tokenizer: Any, messages: Chat, control: re.Pattern[str], add_generation_prompt: bool
) -> tuple[str, list[bool]]:
    """The chat's text, and for each control token in it whether the content spelled it.

    The template is run on contents whose control tokens are replaced by a private character, so that what
    is left in its output is the template's own; then they are put back.
    """
    contents = "".join(message.content for message in messages)
    mark = next(chr(code) for code in range(0xE000, 0xF8FF) if chr(code) not in contents)
    names = sorted({found for message in messages for found in control.findall(message.content)})
    holders = {name: f"{mark}{index}{mark}" for index, name in enumerate(names)}
    marked = [Message(turn.role, control.sub(lambda match: holders[match[0]], turn.content)) for turn in messages]
    text = _chat_text(tokenizer, marked, add_generation_prompt)
    either = re.compile(f"{mark}[0-9]+{mark}|{control.pattern}")
    flags = [match[0].startswith(mark) for match in either.finditer(text)]
    for name, holder in holders.items():
        text = text.replace(holder, name)
    return text, flags


def _spell_out(tokenizer: Any, ids: Sequence[int], flags: Sequence[bool]) -> list[int]:
    """Replaces the control tokens whose flag is set by the ordinary tokens of their text."""
    special = _special_tokens(tokenizer)
    if sum(index in special for index in ids) != len(flags):
        raise ModelError(
            "a prompt or response spells out control tokens and this tokenizer does not show which are whose; "
            "remove them from the data."
        )
    remaining = iter(flags)
    out: list[int] = []
    for index in ids:
        if index in special and next(remaining):
            out.extend(_plain_ids(tokenizer, index, special[index]))
        else:
            out.append(index)
    return out


def _plain_ids(tokenizer: Any, special_id: int, text: str) -> list[int]:
    ids = list(tokenizer(text, add_special_tokens=False, split_special_tokens=True)["input_ids"])
    if special_id in ids:
        raise ModelError(f"a text spells out the control token {text!r}, which this tokenizer cannot encode as text.")
    return ids


def _refuse_double_bos(tokenizer: Any, ids: Sequence[int]) -> None:
    bos = tokenizer.bos_token_id
    if bos is not None and len(ids) > 1 and ids[0] == bos and ids[1] == bos:
        raise ModelError(
            f"the chat template begins with two BOS tokens ({tokenizer.bos_token!r}); remove one from the template."
        )


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split())[:200].rstrip(".")
