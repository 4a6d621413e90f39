import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.verdict import latency


def test_percentiles_of_a_thousand_latencies() -> None:
    found = latency.summary({1000 * value: 1 for value in range(1, 1001)})
    assert found.count == 1000
    assert (found.p50, found.p90, found.p99, found.p999) == pytest.approx((500, 900, 990, 999), rel=2e-3)
    assert found.max == 1000


def test_one_slow_request_is_the_maximum_and_not_the_median() -> None:
    found = latency.summary({900: 999, 5_120_000: 1})
    assert found.p50 == pytest.approx(0.9, rel=2e-3)
    assert found.max == 5120


@given(st.dictionaries(st.integers(0, 10_000_000), st.integers(1, 50), min_size=1))
def test_percentiles_rise_up_to_the_maximum(counts: dict[int, int]) -> None:
    found = latency.summary(counts)
    assert found.p50 <= found.p90 <= found.p99 <= found.p999 <= found.max == max(counts) / 1000


@given(st.lists(st.integers(1, 999), min_size=1))
def test_quick_percentiles_are_the_nearest_ranks(values: list[int]) -> None:
    ranks = [-(-len(values) * percent // 100) for percent in (50, 99)]
    assert latency.percentiles_ms(values, (50, 99)) == [sorted(values)[rank - 1] / 1000 for rank in ranks]


def test_quick_percentiles_of_nothing_are_none() -> None:
    assert latency.percentiles_ms([], (50, 99)) == [None, None]
