"""What the official client leaves to the garbage collector: sockets whose warnings would hit the next test."""

from __future__ import annotations

import gc
import warnings


def collect() -> None:
    """Has it collected now, without a word."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        gc.collect()
