"""Which lines of vLLM's log become lines for the user; needs no vLLM."""

from __future__ import annotations

import json
import logging

import pytest

from gram_eval.engines.vllm_phases import CONFIGURATION, Handler, phase


@pytest.mark.parametrize(
    ("message", "line"),
    [
        ("Starting to load model /models/judge...", "loading weights ..."),
        ("Loading weights took 43.05 seconds", "loading weights: 43 s"),
        ("torch.compile took 21.50 s in total", "compiling: 22 s"),
        ("Graph capturing finished in 12 secs, took 0.40 GiB", "capturing graphs: 12 s"),
        (
            "init engine (profile, create kv cache, warmup model) took 9.81 s (compilation: 3.00 s)",
            "measuring memory and warming up: 10 s",
        ),
        ("Automatically detected platform cuda.", None),
    ],
)
def test_phases(message: str, line: str | None) -> None:
    assert phase(message) == line


def test_errors_are_shown_and_chatter_is_not(capsys: pytest.CaptureFixture[str]) -> None:
    for level, message in ((logging.INFO, "chatter"), (logging.WARNING, "doubt"), (logging.ERROR, "it\nbroke")):
        Handler().emit(logging.LogRecord("vllm", level, "", 0, message, None, None))
    assert capsys.readouterr() == ("", "vLLM: it broke\n")


def test_the_configuration_names_the_handler() -> None:
    handlers = json.loads(CONFIGURATION.read_text("utf-8"))["handlers"]
    assert handlers["phases"]["class"] == f"{Handler.__module__}.{Handler.__name__}"
