"""Percentiles of latencies, from the counts that clients keep. Knows nothing of phases and single requests."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from math import ceil

from hdrh.histogram import HdrHistogram

from harness.record.columns import microseconds
from harness.record.report import Latency

LONGEST_US = 3_600_000_000  # an hour: no request is allowed to take longer
DIGITS = 3  # the clients keep three significant digits
PERCENTILES = {"p50": 50.0, "p90": 90.0, "p99": 99.0, "p999": 99.9}


def summary(counts: Mapping[int, int]) -> Latency:
    """Percentiles in milliseconds of microseconds -> count, not empty; the maximum is exact."""
    histogram = HdrHistogram(1, LONGEST_US, DIGITS)
    for value, count in counts.items():
        histogram.record_value(min(value, LONGEST_US), count)
    values = histogram.get_percentile_to_value_dict(list(PERCENTILES.values()))
    longest = max(counts)
    percentiles = {name: min(values[percent], longest) / 1000 for name, percent in PERCENTILES.items()}
    return Latency(count=sum(counts.values()), max=longest / 1000, **percentiles)


def percentiles_ms(codes: Iterable[int], percents: Sequence[float]) -> list[float | None]:
    """Percentiles by the codes of latencies and nearest rank; None of nothing. For slots, too many for a histogram."""
    ranked = sorted(codes)
    if not ranked:
        return [None] * len(percents)
    return [microseconds(ranked[_rank(len(ranked), percent) - 1]) / 1000 for percent in percents]


def percentile_ms(counts: Mapping[int, int], percent: float) -> float:
    """The same of microseconds -> count, not empty."""
    left = _rank(sum(counts.values()), percent)
    for value in sorted(counts):
        left -= counts[value]
        if left <= 0:
            return value / 1000
    raise ValueError("a percentile of nothing")


def _rank(count: int, percent: float) -> int:
    """From 1 on."""
    return max(ceil(count * percent / 100), 1)
