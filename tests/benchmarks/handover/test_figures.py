from __future__ import annotations

import pytest

from benchmarks.handover.figures import Drift, drift, latency, percentile, split


def test_a_percentile_is_a_value_that_was_seen() -> None:
    ordered = [float(n) for n in range(1, 101)]
    assert percentile(ordered, 0.5) == 50
    assert percentile(ordered, 0.99) == 99
    assert percentile(ordered, 0.999) == 100
    assert percentile([7.0], 0.5) == 7


def test_a_latency_of_nothing_says_so() -> None:
    assert str(latency([])) == "nothing seen"


def test_a_latency_sorts_by_itself_and_keeps_the_longest() -> None:
    found = latency([0.003, 0.001, 0.002])
    assert (found.number, found.p50, found.longest) == (3, 0.002, 0.003)
    assert str(found) == "2.0 / 3.0 / 3.0 / 3.0 ms of 3"


@pytest.mark.parametrize(
    ("sample", "inside"),
    [
        ((0.0, 0.5), False),
        ((0.5, 1.5), True),  # reaches into the window
        ((1.2, 1.4), True),
        ((0.5, 2.5), True),  # spans it
        ((1.9, 2.5), True),
        ((2.1, 2.5), False),
        ((5.5, 5.6), True),
        ((9.0, 9.1), False),
    ],
)
def test_a_sample_that_touches_a_window_belongs_to_it(sample: tuple[float, float], inside: bool) -> None:
    found = split(sample, [(1.0, 2.0), (5.0, 6.0)])
    assert [len(part) for part in found] == ([1, 0] if inside else [0, 1])


def test_without_windows_everything_is_outside() -> None:
    assert split([1.0, 3.0], []) == ([], [2.0])


def test_drift_compares_the_tenth_with_the_last() -> None:
    series = [1000.0] * 9 + [10.0] * 45 + [20.0] * 46
    assert drift(series) == Drift(10.0, 20.0)


def test_one_odd_value_is_no_drift() -> None:
    series = [10.0] * 99 + [500.0]
    assert drift(series) == Drift(10.0, 10.0)


def test_a_short_series_is_judged_from_its_first() -> None:
    assert drift([1.0, 2.0, 3.0]) == Drift(1.0, 3.0)
    assert drift([4.0]) == Drift(4.0, 4.0)


def test_growth_beyond_share_and_slack_is_not_flat() -> None:
    assert Drift(100.0, 108.0).flat(0.05, 3.0)
    assert not Drift(100.0, 108.1).flat(0.05, 3.0)
    assert Drift(100.0, 50.0).flat(0.0, 0.0)
