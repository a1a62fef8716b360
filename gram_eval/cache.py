"""Where the project keeps what it makes once: the demonstration model, merged adapters."""

from __future__ import annotations

import os
from pathlib import Path


def cache_home() -> Path:
    """`GRAM_EVAL_CACHE`, else `gram-eval` in the user's cache folder; it need not exist."""
    given = os.environ.get("GRAM_EVAL_CACHE")
    return Path(given or Path(os.environ.get("XDG_CACHE_HOME", "~/.cache")) / "gram-eval").expanduser()
