import math

import pytest

from harness.verdict.claim import upper_bound


@pytest.mark.parametrize(
    ("failed", "requests", "bound"),
    [
        (0, 1000, 0.0029912),
        (1, 1000, 0.0047350),
        (5, 100, 0.1022534),
        (0, 24_318, 1.2318e-4),
        (0, 1, 0.95),
        (3, 3, 1.0),
        (0, 0, 1.0),
    ],
)
def test_bound_is_the_exact_binomial_one(failed: int, requests: int, bound: float) -> None:
    assert upper_bound(failed, requests) == pytest.approx(bound, rel=1e-4)


@pytest.mark.parametrize(("failed", "requests"), [(1, 20), (7, 50), (30, 60), (49, 50)])
def test_so_few_failures_are_seen_once_in_twenty_runs_at_the_bound(failed: int, requests: int) -> None:
    rate = upper_bound(failed, requests)
    tail = sum(
        math.comb(requests, count) * rate**count * (1 - rate) ** (requests - count)
        for count in range(failed + 1)
    )
    assert tail == pytest.approx(0.05, rel=1e-6)


def test_bound_of_many_failures_agrees_with_the_normal_distribution() -> None:
    rate = 0.1
    expected = rate + 1.6449 * math.sqrt(rate * (1 - rate) / 10_000_000)
    assert upper_bound(1_000_000, 10_000_000) == pytest.approx(expected, rel=1e-5)
