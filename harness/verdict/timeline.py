"""The time line: what all pods and classes did, slot by slot, or in as many points as can be drawn.

Knows nothing of phases and outcomes.
"""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Iterable, Sequence
from operator import add

from harness.record.classes import LASTING
from harness.record.report import Point
from harness.record.series import SLOT_S, Series
from harness.verdict.evidence import Loss
from harness.verdict.latency import percentiles_ms

MOST_POINTS = 4000  # twice as many as a wide screen has columns
NEARLY = 1e-3  # of a slot: slots start at multiples of SLOT_S, which a float of Unix seconds holds to 1e-5


def timeline(series: Sequence[Series], losses: Sequence[Loss]) -> list[Point]:
    """One point per slot; a pause in the traffic is a row of zeros, not a gap.

    Of more than MOST_POINTS slots as many are put together as it takes: their sums, the median of their medians, and
    the worst of their p99.
    """
    failed = Counter(_number(loss.request.at) for loss in losses)
    ends = [(_number(one.time(0)), _number(one.last)) for one in series] + [(at, at) for at in failed]
    if not ends:
        return []
    first, last = min(start for start, _ in ends), max(end for _, end in ends)
    step = -(-(last + 1 - first) // MOST_POINTS)
    drawn = _Drawn(series, range(first, last + 1))
    points = []
    for start in range(0, last + 1 - first, step):
        slots = range(start, min(start + step, last + 1 - first))
        lost = sum(failed[first + slot] for slot in slots)
        points.append(drawn.point(slots, lost))
    return points


class _Drawn:
    """What all pods and classes did together, slot by slot."""

    def __init__(self, series: Sequence[Series], numbers: range) -> None:
        """`numbers` are those of the slots that are drawn."""
        self._numbers = numbers
        self._sent = self._total((one, one.sent) for one in series)
        self._opened = self._total((one, one.opened) for one in series)
        self._cut = self._total((one, one.cut) for one in series)
        versions = sorted({version for one in series for version in one.versions})
        self._versions = {
            version: self._total((one, one.versions[version]) for one in series if version in one.versions)
            for version in versions
        }
        self._latencies = [(one, self._offset(one)) for one in series if one.traffic_class not in LASTING]

    def point(self, slots: range, failed: int) -> Point:
        """Several slots as one."""
        part = slice(slots.start, slots.stop)
        percentiles = [(self._percentiles(slot), self._sent[slot]) for slot in slots]
        versions = {version: sum(answers[part]) for version, answers in self._versions.items()}
        return Point(
            at=round(self._numbers[slots.start] * SLOT_S, 3),
            sent=sum(self._sent[part]),
            failed=failed,
            versions={version: answers for version, answers in versions.items() if answers},
            p50=_middle((p50, sent) for (p50, _), sent in percentiles),
            p99=max((p99 for (_, p99), _ in percentiles if p99 is not None), default=None),
            opened=sum(self._opened[part]),
            cut=sum(self._cut[part]),
        )

    def _percentiles(self, slot: int) -> list[float | None]:
        codes = array("H")
        for one, offset in self._latencies:
            index = slot - offset
            if 0 <= index < one.length:
                codes.extend(one.latencies_of(range(index, index + 1)))
        return percentiles_ms(codes, (50, 99))

    def _total(self, columns: Iterable[tuple[Series, Sequence[int]]]) -> list[int]:
        total = [0] * len(self._numbers)
        for one, column in columns:
            part = slice(self._offset(one), self._offset(one) + one.length)
            total[part] = map(add, total[part], column)
        return total

    def _offset(self, one: Series) -> int:
        """Where its first slot is drawn."""
        return _number(one.time(0)) - self._numbers.start


def _number(time: float) -> int:
    return int(time / SLOT_S + NEARLY)


def _middle(weighted: Iterable[tuple[float | None, int]]) -> float | None:
    """The median of values that stand for so many requests each."""
    known = sorted((value, weight) for value, weight in weighted if value is not None)
    left = sum(weight for _, weight in known) / 2
    for value, weight in known:
        left -= weight
        if left <= 0:
            return value
    return None
