"""A ledger's series as slots, one object each: what tests make and change, and count again without columns."""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import chain, repeat, starmap

from harness.record.columns import microseconds, zeros
from harness.record.ledger import LoadLedger
from harness.record.series import COUNTS, SLOT_S, Series
from loadtests.series import code


@dataclass
class Slot:
    """Counts of one class towards one pod in one slot. `answered` is as many as there are latencies."""

    at: float
    traffic_class: str
    pod: str
    sent: int = 0
    failed: int = 0
    ended: int = 0
    versions: dict[str, int] = field(default_factory=dict)
    opened: int = 0
    cut: int = 0
    latency_us: dict[int, int] = field(default_factory=dict)

    @property
    def answered(self) -> int:
        return sum(self.latency_us.values())


def packed(slots: Iterable[Slot]) -> list[Series]:
    """Series that hold them, with nothing where there is none."""
    by_key: dict[tuple[str, str], dict[int, Slot]] = {}
    for slot in slots:
        by_key.setdefault((slot.traffic_class, slot.pod), {})[round(slot.at / SLOT_S)] = slot
    return [_series(*key, of_key) for key, of_key in by_key.items()]


def unpacked(series: Iterable[Series]) -> list[Slot]:
    """The slots in which something happened, in the order of their times."""
    slots = [slot for one in series for slot in map(_slot, repeat(one), range(one.length))]
    busy = [slot for slot in slots if any(getattr(slot, name) for name in COUNTS)]
    return sorted(busy, key=lambda slot: slot.at)


@contextmanager
def slots_of(load: LoadLedger) -> Iterator[list[Slot]]:
    """Those of a ledger, into which they are put back as they are then."""
    slots = unpacked(load.series)
    yield slots
    load.series = packed(slots)


def _series(traffic_class: str, pod: str, slots: dict[int, Slot]) -> Series:
    first, length = min(slots), max(slots) + 1 - min(slots)
    versions = dict.fromkeys(version for slot in slots.values() for version in slot.versions)
    columns = {name: zeros(length) for name in COUNTS}
    by_version = {version: zeros(length) for version in versions}
    latencies = array("H")
    for number in sorted(slots):
        slot, index = slots[number], number - first
        for name in COUNTS:
            columns[name][index] = getattr(slot, name)
        for version, answers in slot.versions.items():
            by_version[version][index] = answers
        latencies.extend(map(code, chain.from_iterable(starmap(repeat, slot.latency_us.items()))))
    fields = {"class": traffic_class, "pod": pod, "first": first, **columns, "latencies": latencies}
    return Series.model_validate({**fields, "versions": by_version})


def _slot(one: Series, index: int) -> Slot:
    codes = Counter(one.latencies_of(range(index, index + 1)))
    return Slot(
        at=one.time(index),
        traffic_class=one.traffic_class,
        pod=one.pod,
        sent=one.sent[index],
        failed=one.failed[index],
        ended=one.ended[index],
        versions={version: column[index] for version, column in one.versions.items() if column[index]},
        opened=one.opened[index],
        cut=one.cut[index],
        latency_us={microseconds(each): count for each, count in codes.items()},
    )
