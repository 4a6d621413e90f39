"""Turns SIGINT and SIGTERM into one exception in the main thread, once. Knows nothing of what it interrupts.

A second signal while the run is being taken down is ignored: taking down is bounded in time and must be whole.
"""

from __future__ import annotations

import signal
from types import FrameType


class Interrupted(BaseException):
    """SIGINT or SIGTERM arrived; not an `Exception`, so that no handler of failures swallows it."""


_armed = True


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    if _armed:
        disarm()
        raise Interrupted


def arm() -> None:
    """From now on a signal raises `Interrupted` in the main thread, once."""
    global _armed
    _armed = True
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _interrupt)


def disarm() -> None:
    """From now on signals are ignored: something is being taken down."""
    global _armed
    _armed = False
