"""The command line: one module per verb; each parses, calls the library, prints."""

from __future__ import annotations

import contextlib
import importlib
import os
import sys
from collections.abc import Sequence
from typing import Annotated

import typer

from .. import __version__
from ..errors import GramEvalError

app = typer.Typer(
    name="gram-eval",
    help="Train, judge and compare reward models, and know whether a difference is real.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


VERBS = {
    "quickstart": "Train a small GRAM and a discriminative baseline in a toy world, and compare them.",
    "run": "Run a reward model on a task.",
    "compare": "Compare runs of different models on the same task.",
    "report": "Write runs of one task as a self-contained HTML report.",
    "gate": "Judge whether a candidate is not worse than a baseline: PASS, FAIL or INCONCLUSIVE.",
    "baseline": "Keep a run as a small file that `gram-eval gate` compares candidates with.",
    "rescore": "Derive outcomes and metrics of a run again from its judgments.",
    "tasks": "List the tasks, show one, or look for what would mislead in its data.",
    "fetch": "Download the data of tasks, for runs without a network.",
    "train": "Train a reward model.",
    "doctor": "Check Python, torch, GPU, memory, disk and the hub.",
}


def _version(asked: bool) -> None:
    if asked:
        print(f"gram-eval {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and exit.")
    ] = False,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Log details to stderr.")] = False,
) -> None:
    import logging

    logging.basicConfig(
        level=logging.INFO if verbose else logging.WARNING, format="%(name)s: %(message)s", stream=sys.stderr
    )


def _register(arguments: Sequence[str]) -> None:
    """Adds the verbs; only the one that is asked for is imported, so that help is quick."""
    asked = next((word for word in arguments if not word.startswith("-")), None)
    everything = any(name.endswith("_COMPLETE") for name in os.environ)
    for verb, summary in VERBS.items():
        if verb == asked or everything:
            module = importlib.import_module(f".{verb}", __name__)
            found = module.app if hasattr(module, "app") else getattr(module, verb)
            if isinstance(found, typer.Typer):
                app.add_typer(found, name=verb)
            else:
                app.command(verb)(found)
        else:
            app.command(verb, help=summary)(_not_asked)


def _not_asked() -> None:
    """Stands for a verb in the list of verbs."""


def main() -> None:
    """Runs the command line: one line for a user's fault, no traceback; exit codes as documented."""
    sys.exit(_main())


def _main() -> int:
    # Threads that wait by spinning cost most of the speed on a machine that does anything else; but one that
    # sleeps at once is late for the next operation of a small model.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    os.environ.setdefault("GOMP_SPINCOUNT", "50000")
    _register(sys.argv[1:])
    try:
        code = app(standalone_mode=False)
        if code == 130:
            raise KeyboardInterrupt
        return code if isinstance(code, int) else 0
    except GramEvalError as error:
        _say(f"error: {error}")
        return error.exit_code
    except (KeyboardInterrupt, typer.Abort):
        _say("interrupted; give the same command to go on")
        return 130
    except BrokenPipeError:
        # The reader of a pipe has left; what is still buffered must not raise again at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except Exception as error:
        show = getattr(error, "show", None)  # a usage error of the command line parser
        if show is None:
            raise
        from .options import hint

        line = hint(str(getattr(error, "option_name", "")))
        _say(f"error: {line}") if line else show()
        return int(getattr(error, "exit_code", 2))


def _say(line: str) -> None:
    with contextlib.suppress(OSError):
        print(line, file=sys.stderr)
