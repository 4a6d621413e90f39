"""What a count of failures says about their rate: the exact binomial bound. Knows nothing of upgrades."""

from __future__ import annotations

from collections.abc import Sequence
from math import exp, lgamma, log, log1p

from harness.record.report import Claim, Scenario

CONFIDENCE = 0.95
NEGLIGIBLE = 1e-17  # below this share of the sum a further term does not change a double


def claim(scenarios: Sequence[Scenario]) -> Claim:
    """What the requests of all scenarios in which nothing may be lost say together about the failure rate."""
    counted = [scenario.traffic for scenario in scenarios if scenario.allowance is None]
    requests = sum(traffic.sent for traffic in counted)
    failed = sum(traffic.failed for traffic in counted)
    return Claim(requests=requests, failed=failed, upper_bound_95=upper_bound(failed, requests))


def upper_bound(failed: int, requests: int) -> float:
    """Clopper and Pearson, one-sided, 95 %: the largest rate that shows so few failures in one run of twenty.

    No request proves nothing: 1. For no failure it is 1 - 0.05**(1/n), about 3/n.
    """
    if failed >= requests:
        return 1.0
    low, high = failed / requests, 1.0
    while (middle := (low + high) / 2) not in (low, high) and high - low > high * 1e-12:
        if _at_most(failed, requests, middle) > 1 - CONFIDENCE:
            low = middle
        else:
            high = middle
    return high


def _at_most(failed: int, requests: int, rate: float) -> float:
    """P(X <= failed), X binomial. Downwards the terms shrink, since the rate is above the observed one."""
    log_term = (
        lgamma(requests + 1)
        - lgamma(failed + 1)
        - lgamma(requests - failed + 1)
        + failed * log(rate)
        + (requests - failed) * log1p(-rate)
    )
    term = total = exp(log_term)
    for count in range(failed, 0, -1):
        term *= count / (requests - count + 1) * (1 - rate) / rate
        total += term
        if term < total * NEGLIGIBLE:
            break
    return total
