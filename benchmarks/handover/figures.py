"""Percentiles, samples inside and outside of hand-overs, and whether a series is flat. Numbers in, numbers out."""

from __future__ import annotations

import bisect
import math
from collections.abc import Iterable, Sequence
from statistics import median
from typing import NamedTuple

WINDOW = 10  # values that a median is taken of, at either end of a series


class Latency(NamedTuple):
    """How long something took, in seconds; all zero when there was nothing."""

    number: int
    p50: float
    p99: float
    p999: float
    longest: float

    def __str__(self) -> str:
        if not self.number:
            return "nothing seen"
        numbers = " / ".join(f"{1000 * value:.1f}" for value in (self.p50, self.p99, self.p999, self.longest))
        return f"{numbers} ms of {self.number:,}"


def latency(durations: Iterable[float]) -> Latency:
    """The distribution of some durations."""
    ordered = sorted(durations)
    if not ordered:
        return Latency(0, 0.0, 0.0, 0.0, 0.0)
    return Latency(len(ordered), *(percentile(ordered, part) for part in (0.5, 0.99, 0.999, 1.0)))


def percentile(ordered: Sequence[float], part: float) -> float:
    """The smallest value that `part` of the sorted ones do not exceed."""
    return ordered[max(0, math.ceil(part * len(ordered)) - 1)]


Span = tuple[float, float]


def split(samples: Sequence[float], windows: Sequence[Span]) -> tuple[list[float], list[float]]:
    """Durations of the samples that touch a window, and of the others.

    Samples are start and end by turns; windows are in order and do not overlap.
    """
    starts = [start for start, _ in windows]
    inside: list[float] = []
    outside: list[float] = []
    for at in range(0, len(samples), 2):
        start, end = samples[at], samples[at + 1]
        place = bisect.bisect_right(starts, end) - 1
        touches = place >= 0 and windows[place][1] >= start
        (inside if touches else outside).append(end - start)
    return inside, outside


class Drift(NamedTuple):
    """A series' medians near its beginning and at its end."""

    early: float
    late: float

    def flat(self, share: float, slack: float) -> bool:
        """Whether it has not grown by more than a share of itself, or by an amount that says nothing."""
        return self.late <= self.early * (1 + share) + slack


def drift(series: Sequence[float], skip: int = WINDOW - 1) -> Drift:
    """From the 10th value on, if there are enough; a short series is judged from its first."""
    rest = series[skip:] if len(series) >= skip + 2 * WINDOW else series
    width = max(1, min(WINDOW, len(rest) // 2))
    return Drift(median(rest[:width]), median(rest[-width:]))
