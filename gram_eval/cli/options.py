"""Command line options made from a pydantic model, so that flags, file and record are one object."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer
from pydantic import BaseModel, ValidationError
from pydantic_core import PydanticUndefined

from ..config import first_problem, read_config
from ..errors import UsageError
from ..registry import did_you_mean

M = TypeVar("M", bound=BaseModel)

_file_only: set[str] = set()
"""Settings without a flag, of the verbs that were imported."""


def with_options(model: type[BaseModel], short: Mapping[str, str] | None = None) -> Callable[[Any], Any]:
    """Gives a command the fields of `model` as options, and one `given` dict of those that were set.

    The command is written as `def verb(given, ...its own options...)`. Fields marked
    `json_schema_extra={"flag": False}` are set in the TOML file alone.

    Args:
        short: One-letter flags by field name.
    """

    def decorate(command: Callable[..., Any]) -> Callable[..., Any]:
        own = [
            p.replace(kind=inspect.Parameter.KEYWORD_ONLY)
            for name, p in inspect.signature(command, eval_str=True).parameters.items()
            if name != "given"
        ]
        names = flag_names(model)
        _file_only.update(set(model.model_fields) - set(names))

        def verb(**values: Any) -> Any:
            given = {name: values.pop(name) for name in names}
            return command({name: value for name, value in given.items() if value is not None}, **values)

        verb.__signature__ = inspect.Signature([*_parameters(model, short or {}), *own])  # type: ignore[attr-defined]
        verb.__doc__ = command.__doc__
        verb.__name__ = command.__name__
        return verb

    return decorate


def flag_names(model: type[BaseModel]) -> list[str]:
    """Fields that have a flag."""
    return [name for name, field in model.model_fields.items() if field.json_schema_extra != {"flag": False}]


def hint(option: str) -> str | None:
    """Where a setting is made that was tried as a flag and has none."""
    name = option.lstrip("-").replace("-", "_")
    return f"{option} is no flag: write {name} = ... in the file given by --config" if name in _file_only else None


def file_option(model: type[BaseModel]) -> Any:
    """The `--config` option; its help names what only the file can set."""
    only = [name for name in model.model_fields if name not in flag_names(model)]
    more = f" Only there: {', '.join(only)}." if only else ""
    return typer.Option(help=f"TOML file with these settings; flags win over it.{more}")


def build(model: type[M], given: Mapping[str, Any], file: Path | None = None) -> M:
    """The configuration: defaults, overlaid by the TOML file, overlaid by the flags that were set.

    Raises:
        UsageError: An unknown or wrong setting; names it.
    """
    settings = read_config(file) if file else {}
    for name in settings:
        if name not in model.model_fields:
            raise UsageError(f"{file}: {did_you_mean('setting', name, model.model_fields)}")
    try:
        return model.model_validate({**settings, **given})
    except ValidationError as error:
        raise UsageError(first_problem(error)) from None


def _parameters(model: type[BaseModel], short: Mapping[str, str]) -> list[inspect.Parameter]:
    made = []
    for name in flag_names(model):
        field = model.model_fields[name]
        flag = "--" + name.replace("_", "-")
        flags = [flag, f"-{short[name]}"] if name in short else [flag]
        kind: Any = field.annotation
        if kind is bool:
            flags = [f"{flag}/--no{flag[1:]}"] if field.default else flags
        option = typer.Option(*flags, help=_help(field.description, field.default), show_default=False)
        made.append(
            inspect.Parameter(
                name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=Annotated[_optional(kind), option]
            )
        )
    return made


def _optional(kind: Any) -> Any:
    # Typer reads Literal as a choice; None tells a flag that was not given from one that was.
    return kind | None if not _takes_none(kind) else kind


def _takes_none(kind: Any) -> bool:
    return type(None) in getattr(kind, "__args__", ())


def _help(description: str | None, default: Any) -> str:
    text = description or ""
    told = default is None or default is False or default is PydanticUndefined or "efault" in text
    return text if told else f"{text} Default: {default}."
