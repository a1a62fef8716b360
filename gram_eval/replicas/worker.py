"""One replica: `python -m gram_eval.replicas.worker`, started by the fleet and told what to do through its input.

It reads two lines of JSON, its orders and later the run's folder, and writes lines of JSON to what was its standard
output: who the model is, signs of life, and how it ended. Answers go into its own journal in the run's folder. When
its input ends, whoever started it is gone, and it ends too.
"""

from __future__ import annotations

import json
import logging
import os
import queue
import signal
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

from ..asking import Asker, Share, windows_of
from ..config import RunConfig
from ..engines.signs import listening
from ..errors import GramEvalError
from ..models.base import RewardModel
from ..models.load import load_model
from ..opening import options_of
from ..sources import go_offline
from ..store import Journal, part_journal
from ..subject import subject_of
from ..survey import survey

SIGN_EVERY = 0.5
"""Seconds between signs of life."""

Tell = Callable[[dict[str, Any]], None]


def main() -> int:
    """Does the share of one replica."""
    logging.basicConfig(level=logging.WARNING, format="%(name)s: %(message)s")  # which its starter looks for
    tell = _telling()
    orders = _listening()
    first = orders.get()
    config, share = RunConfig.model_validate(first["config"]), Share(first["index"], first["count"])
    if config.offline:
        go_offline()
    try:
        model = load_model(str(config.model), options_of(config))
        tell({"model": describe(model)})
        folder = Path(orders.get()["folder"])
        tell({"finished": answer(config, share, model, folder, tell)})
    except GramEvalError as error:
        tell({"fault": str(error)})
        return error.exit_code
    return 0


def describe(model: RewardModel) -> dict[str, Any]:
    """What a run must know of a model that it does not hold."""
    return {
        "name": model.name,
        "ability": model.ability,
        "keyed_by": model.keyed_by,
        "identity": dict(model.identity),
    }


def answer(config: RunConfig, share: Share, model: RewardModel, folder: Path, tell: Tell) -> dict[str, Any]:
    """Has the batches of a share answered, as far as the folder's journals do not hold them; returns timings.

    Raises:
        GramEvalError: The data, the model or the disk fail.
    """
    about = subject_of(config)
    found = survey(about.task, about.data, limit=config.limit, allow_partial=config.allow_partial, seed=config.seed)
    whole, own = Journal(folder / "journal.jsonl"), Journal(part_journal(folder, share.index))
    judging, told = False, 0.0

    def alive(*_: int) -> None:
        nonlocal judging
        judging = True

    def through(done: int) -> None:
        nonlocal told
        if time.monotonic() - told >= SIGN_EVERY:
            told = time.monotonic()
            tell({"done": done, "of": found.rows, "judging": judging})

    try:
        asker = Asker(model, lambda key: key in whole or key in own, through, share)
        with listening(alive):
            for window in windows_of(config, about, found, model):
                for judgments in asker.ask(window):
                    own.append(one for one in judgments if one.key not in whole)
                    alive()
    finally:
        whole.close()
        own.close()
    return asker.timings


def _telling() -> Tell:
    """Keeps the standard output for messages: what libraries print goes to stderr."""
    out: IO[str] = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)

    def tell(message: dict[str, Any]) -> None:
        print(json.dumps(message), file=out, flush=True)

    return tell


def _listening() -> queue.SimpleQueue[dict[str, Any]]:
    orders: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()

    def read() -> None:
        for line in sys.stdin:
            orders.put(json.loads(line))
        # An engine may have processes of its own, which must not outlive this one.
        if os.getpgrp() == os.getpid():
            os.killpg(0, signal.SIGKILL)
        os._exit(1)

    threading.Thread(target=read, daemon=True, name="orders").start()
    return orders


if __name__ == "__main__":
    sys.exit(main())
