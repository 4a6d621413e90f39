"""Arrivals by schedule: when each client sends its requests, whatever becomes of the answers.

    constant                   the rate that the class has
    constant:FACTOR            times that
    ramp:FROM..TO/SECONDS      from one factor to another within so many seconds, then the last
    steps:FACTOR,…/SECONDS     one factor after the other, each for so many seconds, then the last
    spike:FACTOR@START+LENGTH  1, but for so many seconds from START on another factor

Factors multiply a class's rate; 0 is a pause, and no shape ends in one. Seconds count from the start of the test.
Pure functions of time; knows nothing of Locust or HTTP.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import ceil, inf, sqrt

NUMBER = r"(\d+(?:\.\d+)?)"
FORMS = {
    "constant": re.compile(rf"constant(?::{NUMBER})?"),
    "ramp": re.compile(rf"ramp:{NUMBER}\.\.{NUMBER}/{NUMBER}"),
    "steps": re.compile(rf"steps:({NUMBER}(?:,{NUMBER})+)/{NUMBER}"),
    "spike": re.compile(rf"spike:{NUMBER}@{NUMBER}\+{NUMBER}"),
}
EXAMPLES = "constant:2, ramp:0.2..2/30, steps:0.5,1,2/10 or spike:4@10+5"
NEARLY = 1e-9  # of a request: what sums of floats may be off


@dataclass(frozen=True)
class Piece:
    """A stretch of a shape over which the factor goes in a straight line; the last one of a shape never ends."""

    length: float
    first: float
    last: float

    def volume(self, after: float) -> float:
        """The factor's integral over the first `after` seconds of the piece."""
        return (self.first + self._slope * after / 2) * after

    def when(self, volume: float) -> float:
        """After how many seconds the integral reaches `volume`, which the piece does reach."""
        if volume <= 0:
            return 0.0
        # This form of the quadratic's solution stays exact near slope 0; what is next to nothing may have no root.
        both = self.first + sqrt(max(self.first**2 + 2 * self._slope * volume, 0.0))
        return 2 * volume / both if both else 0.0

    @property
    def _slope(self) -> float:
        return 0.0 if self.length == inf else (self.last - self.first) / self.length


@dataclass(frozen=True)
class Shape:
    """How the rate goes over time. `volume` counts seconds at factor 1: a client's rate times it are its requests."""

    pieces: Sequence[Piece]

    def volume(self, seconds: float) -> float:
        """The factor's integral from the start up to a moment."""
        total = 0.0
        for piece in self.pieces:
            total += piece.volume(min(seconds, piece.length))
            seconds -= piece.length
            if seconds <= 0:
                break
        return total

    def when(self, volume: float) -> float:
        """The moment at which the integral reaches `volume`; in a pause, its end."""
        start = 0.0
        for piece in self.pieces:
            if piece.length == inf or volume < (whole := piece.volume(piece.length)):
                break
            volume -= whole
            start += piece.length
        return start + piece.when(volume)


CONSTANT = Shape([Piece(inf, 1.0, 1.0)])


def read(text: str) -> Shape:
    """A shape from its form above; ValueError says in one line what is wrong."""
    name = text.partition(":")[0]
    found = FORMS[name].fullmatch(text) if name in FORMS else None
    if not found:
        raise ValueError(f"{text!r} is no shape; give constant, or for example {EXAMPLES}")
    shape = Shape(_pieces(name, found))
    if any(piece.length <= 0 for piece in shape.pieces):
        raise ValueError(f"{text!r} has a stretch of 0 seconds; give it some")
    if shape.pieces[-1].last <= 0:
        raise ValueError(
            f"{text!r} ends with a factor of 0, and nothing would be sent any more; end with another"
        )
    return shape


def _pieces(name: str, found: re.Match[str]) -> list[Piece]:
    if name == "steps":
        *factors, last = map(float, found[1].split(","))
        seconds = float(found.groups()[-1])
        return [*(Piece(seconds, factor, factor) for factor in factors), Piece(inf, last, last)]
    numbers = [float(group or 1) for group in found.groups()]
    if name == "constant":
        return [Piece(inf, numbers[0], numbers[0])]
    if name == "ramp":
        first, last, seconds = numbers
        return [Piece(seconds, first, last), Piece(inf, last, last)]
    factor, start, length = numbers
    before = [Piece(start, 1.0, 1.0)] if start else []
    return [*before, Piece(length, factor, factor), Piece(inf, 1.0, 1.0)]


class Arrivals:
    """The intended send times of one client, in order and without an end: iterate once.

    Its k-th request is due when the integral of its rate reaches k, whatever became of those before. `phase`, from
    0 up to 1, shifts it against other clients. All times are monotonic; what was due before `now` is nobody's.
    """

    def __init__(self, shape: Shape, interval_s: float, phase: float, start: float, now: float) -> None:
        self._shape, self._interval_s, self._phase, self._start = shape, interval_s, phase, start
        self._first = self._passed(now)
        self.sent = 0
        """How many have been sent: a sender asks for the next when it is done with one."""

    def __iter__(self) -> Iterator[float]:
        while True:
            yield self._due(self._first + self.sent)
            self.sent += 1

    def due_by(self, when: float) -> int:
        """How many were due before a moment."""
        return max(self._passed(when) - self._first, 0)

    def _due(self, number: int) -> float:
        return self._start + self._shape.when((number + self._phase) * self._interval_s)

    def _passed(self, when: float) -> int:
        """The number of the first one that is not due before a moment."""
        volume = self._shape.volume(max(when - self._start, 0.0))
        return max(ceil(volume / self._interval_s - self._phase - NEARLY), 0)
