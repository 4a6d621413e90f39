"""How much of its time gevent's event loop waits for want of anything to do. Knows nothing of what is done in it."""

from __future__ import annotations

from time import monotonic
from typing import Any

import gevent


class Idleness:
    """How long this thread's event loop has waited because there was nothing to do. Starts to count when it is made."""

    def __init__(self) -> None:
        loop: Any = gevent.get_hub().loop
        self._seconds = 0.0
        self._since: float | None = None
        # Greenlets run in watchers of the same kind: ours have to be the last before the wait and the first after it.
        self._before = loop.prepare(ref=False, priority=loop.MINPRI)
        self._after = loop.check(ref=False, priority=loop.MAXPRI)
        self._before.start(self._wait)
        self._after.start(self._wake)

    def seconds(self) -> float:
        """So far."""
        return self._seconds

    def end(self) -> None:
        """Nothing is counted any more."""
        self._before.close()
        self._after.close()

    def _wait(self) -> None:
        self._since = monotonic()

    def _wake(self) -> None:
        if self._since is not None:
            self._seconds += monotonic() - self._since
            self._since = None
