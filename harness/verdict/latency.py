"""Latencies per phase and per slot, from the counts that clients keep. Knows nothing of single requests."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping

from hdrh.histogram import HdrHistogram

from harness.record.ledger import SLOT_S, Slot
from harness.record.report import Latency
from harness.record.upgrade import PhaseName
from harness.verdict.phases import Phases

LONGEST_US = 3_600_000_000  # an hour: no request is allowed to take longer
DIGITS = 3  # the clients keep three significant digits
PERCENTILES = {"p50": 50.0, "p90": 90.0, "p99": 99.0, "p999": 99.9}


def summary(counts: Mapping[int, int]) -> Latency:
    """Percentiles in milliseconds of microseconds -> count, not empty; the maximum is exact."""
    histogram = HdrHistogram(1, LONGEST_US, DIGITS)
    for microseconds, count in counts.items():
        histogram.record_value(min(microseconds, LONGEST_US), count)
    values = histogram.get_percentile_to_value_dict(list(PERCENTILES.values()))
    longest = max(counts)
    percentiles = {name: min(values[percent], longest) / 1000 for name, percent in PERCENTILES.items()}
    return Latency(count=sum(counts.values()), max=longest / 1000, **percentiles)


def by_phase(slots: Iterable[Slot], phases: Phases) -> dict[PhaseName, Latency]:
    """Latencies by the phase of the pod in the middle of the slot in which the request was sent."""
    counts: dict[PhaseName, Counter[int]] = {}
    for slot in slots:
        if slot.latency_us:
            place = phases.at(slot.pod, slot.at + SLOT_S / 2)
            counts.setdefault(place.phase, Counter()).update(slot.latency_us)
    return {phase: summary(counted) for phase, counted in counts.items()}


def percentile_ms(counts: Mapping[int, int], percent: float) -> float | None:
    """One percentile by nearest rank; None of nothing. For slots, which are too many for a histogram each."""
    rank = -(-sum(counts.values()) * percent // 100)
    for microseconds in sorted(counts):
        rank -= counts[microseconds]
        if rank <= 0:
            return microseconds / 1000
    return None
