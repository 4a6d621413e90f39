"""How hard one worker works, second by second: what fell due, what came to an end, what was late, how busy it was.

A busy worker always has something to do: then it is the generator that a load ends at, and not what it loads. Its
processor time would not tell, since on a crowded machine a worker is busy and yet gets half a core.
Knows nothing of HTTP, Locust or event loops.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from loadtests.shapes import Arrivals

EVERY_S = 1.0


@dataclass(frozen=True, slots=True)
class Effort:
    """One stretch of so many `seconds` from `at` (monotonic) on; `busy` is a share of them."""

    seconds: float
    at: float
    asked: int
    reached: int
    late: int
    busy: float


def behind_s(past: Sequence[Effort]) -> float:
    """How many seconds of its schedule a worker has not caught up with, at the rate of the last stretch."""
    rate = past[-1].asked / past[-1].seconds if past else 0.0
    backlog = sum(one.asked - one.reached for one in past)
    return backlog / rate if rate else 0.0


class Efforts:
    """Those of one test that starts at `start`. All times are monotonic; `late` and `idle` tell totals so far."""

    def __init__(
        self, start: float, arrivals: Sequence[Arrivals], late: Callable[[], int], idle: Callable[[], float]
    ) -> None:
        self.past: list[Effort] = []
        self._start, self._arrivals, self._late, self._idle = start, arrivals, late, idle
        self._last = start
        self._totals = (0, 0, late(), idle())

    def note(self, now: float) -> None:
        """To be called many times a second: a stretch ends with the first call in a new second of the test."""
        if (now - self._start) // EVERY_S == (self._last - self._start) // EVERY_S:
            return
        totals = (
            sum(one.due_by(now) for one in self._arrivals),
            sum(one.sent for one in self._arrivals),
            self._late(),
            self._idle(),
        )
        asked, reached, late, idle_s = (
            after - before for before, after in zip(self._totals, totals, strict=True)
        )
        seconds = now - self._last
        busy = min(max(1 - idle_s / seconds, 0.0), 1.0)
        self.past.append(Effort(seconds, self._last, int(asked), int(reached), int(late), busy))
        self._last, self._totals = now, totals
