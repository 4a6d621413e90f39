import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.record.ledger import Slot
from harness.verdict import latency
from harness.verdict.phases import Phases
from tests.verdict import synthetic


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


@given(st.dictionaries(st.integers(1, 999), st.integers(1, 9), min_size=1), st.sampled_from([50.0, 99.0]))
def test_quick_percentile_is_the_nearest_rank(counts: dict[int, int], percent: float) -> None:
    values = sorted(value for value, count in counts.items() for _ in range(count))
    rank = -(-len(values) * percent // 100)
    assert latency.percentile_ms(counts, percent) == values[int(rank) - 1] / 1000


def test_quick_percentile_of_nothing_is_none() -> None:
    assert latency.percentile_ms({}, 99) is None


def test_latencies_are_put_into_the_phase_in_the_middle_of_their_slot() -> None:
    upgrade = synthetic.upgrade(1, 1000.0)
    slots = [
        Slot.model_validate({"at": at, "class": "post", "pod": "app-0", "latency_us": {value: 1}})
        for at, value in [(999.0, 100), (1000.1, 200), (1000.5, 300), (1000.6, 500)]
    ]
    found = latency.by_phase(slots, Phases([upgrade]))
    assert {phase: (of.count, of.max) for phase, of in found.items()} == {
        "steady": (1, 0.1),
        "upgrade": (1, 0.2),
        "migration": (2, 0.5),
    }
