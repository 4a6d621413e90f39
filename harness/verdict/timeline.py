"""The time line: what all pods and classes did, slot by slot, or in as many points as can be drawn.

Knows nothing of phases and outcomes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from itertools import chain, groupby

from harness.record.classes import LASTING
from harness.record.counts import each
from harness.record.ledger import SLOT_S, Slot
from harness.record.report import Point
from harness.verdict.evidence import Loss
from harness.verdict.latency import percentiles_ms

MOST_POINTS = 4000  # twice as many as a wide screen has columns
NEARLY = 1e-3  # of a slot: slots start at multiples of SLOT_S, which a float of Unix seconds holds to 1e-5


def timeline(slots: Sequence[Slot], losses: Sequence[Loss]) -> list[Point]:
    """One point per slot; a pause in the traffic is a row of zeros, not a gap. `slots` in the order of their times.

    Of more than MOST_POINTS slots as many are put together as it takes.
    """
    failed = Counter(_number(loss.request.at) for loss in losses)
    points = {number: _point(number, list(group)) for number, group in groupby(slots, _of_slot)}
    known = {*points, *failed}
    if not known:
        return []
    first, last = min(known), max(known)
    step = -(-(last + 1 - first) // MOST_POINTS)
    made = []
    for start in range(first, last + 1, step):
        numbers = range(start, min(start + step, last + 1))
        parts = [points[number] for number in numbers if number in points]
        lost = sum(failed[number] for number in numbers)
        made.append(_together(start, parts, lost))
    return made


def _number(time: float) -> int:
    return int(time / SLOT_S + NEARLY)


def _of_slot(slot: Slot) -> int:
    return _number(slot.at)


def _at(number: int) -> float:
    return round(number * SLOT_S, 3)


def _point(number: int, slots: Sequence[Slot]) -> Point:
    """What all pods and classes did in one slot, but for what failed."""
    latencies = (each(slot.latency_us) for slot in slots if slot.traffic_class not in LASTING)
    p50, p99 = percentiles_ms(chain.from_iterable(latencies), (50, 99))
    return Point(
        at=_at(number),
        sent=sum(slot.sent for slot in slots),
        failed=0,
        versions=_sum(slot.versions for slot in slots),
        p50=p50,
        p99=p99,
        opened=sum(slot.opened for slot in slots),
        cut=sum(slot.cut for slot in slots),
    )


def _together(number: int, parts: Sequence[Point], failed: int) -> Point:
    """Several slots as one point: their sums, the median of their medians, and the worst of their p99."""
    return Point(
        at=_at(number),
        sent=sum(part.sent for part in parts),
        failed=failed,
        versions=dict(sorted(_sum(part.versions for part in parts).items())),
        p50=_middle((part.p50, part.sent) for part in parts),
        p99=max((part.p99 for part in parts if part.p99 is not None), default=None),
        opened=sum(part.opened for part in parts),
        cut=sum(part.cut for part in parts),
    )


def _sum(several: Iterable[Mapping[str, int]]) -> dict[str, int]:
    total: dict[str, int] = {}
    for counts in several:
        for version, count in counts.items():
            total[version] = total.get(version, 0) + count
    return total


def _middle(weighted: Iterable[tuple[float | None, int]]) -> float | None:
    """The median of values that stand for so many requests each."""
    known = sorted((value, weight) for value, weight in weighted if value is not None)
    left = sum(weight for _, weight in known) / 2
    for value, weight in known:
        left -= weight
        if left <= 0:
            return value
    return None
