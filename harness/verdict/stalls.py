"""The gate on latencies: whether pods become slow because their sidecars change, and not because the machine is.

A machine's noise hits all pods alike and comes at any time; a sidecar's stall hits its own pod, at its flips. So the
latencies of a pod that flips stand beside those of the other pods in the same moments and beside its own in peace,
and no single flip decides: too slow have to be three of them, and half of all that led to the same image. Where the
machine is so noisy that this shows nothing, the flips to one image still stand beside those to the others. What is
measured in a flip is the 99th percentile, against the 99.9th elsewhere: one slow request is no stall.

Knows nothing of failures.
"""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from statistics import median

from harness.record.classes import LASTING
from harness.record.series import Series
from harness.verdict.budgets import Budget
from harness.verdict.evidence import Evidence
from harness.verdict.finding import Finding
from harness.verdict.latency import percentile_ms, percentiles_ms
from harness.verdict.phases import DISTURBED, Flip, flips

ENOUGH = 50  # requests; fewer have no 99th percentile
IN_FLIP, ELSEWHERE = 99.0, 99.9


@dataclass(frozen=True)
class FlipLatency:
    """Milliseconds in one flip. `others` is None where no other pod was at peace meanwhile."""

    to: str
    own: float
    steady: float
    others: float | None

    def limit(self, budget: Budget) -> float:
        """What `own` may come to."""
        floor = budget.alone_floor_ms if self.others is None else budget.floor_ms
        return max(floor, budget.ratio * max(self.steady, self.others or 0.0))

    def slow(self, budget: Budget) -> bool:
        """It comes to more."""
        return self.own > self.limit(budget)


def latency_in_flips(evidence: Evidence) -> Finding:
    """Pods answered about as fast while they flipped as otherwise."""
    budget = evidence.requirements.latency_budget
    if budget is None:
        return Finding("skipped", "none", f"profile {evidence.requirements.profile} has no budget for it")
    required = (
        f"p{IN_FLIP:g} at most {budget.ratio:g} times p{ELSEWHERE:g} in peace and at the other pods meanwhile, "
        f"or {budget.floor_ms:g} ms ({budget.alone_floor_ms:g} ms for a pod that is alone)"
    )
    seen = measured(evidence)
    if len(seen) < budget.min_flips:
        return Finding("skipped", required, f"{len(seen)} flips are too few")
    groups = _by_image(seen, budget.min_flips)
    stalled = [
        image
        for image, group in groups.items()
        if stalls(group, budget) or stands_apart(image, groups, budget)
    ]
    observed = "; ".join(_words(image, groups[image], budget) for image in stalled or groups)
    if not stalled:
        return Finding("passed", required, observed)
    if evidence.saturated:
        return Finding("inconclusive", required, f"{observed}; but the load generator could not keep up")
    return Finding("failed", required, observed)


def stalls(group: Sequence[FlipLatency], budget: Budget) -> bool:
    """Whether flips stall: enough of them, and at least half, were too slow."""
    slow = sum(flip.slow(budget) for flip in group)
    return slow >= budget.min_flips and 2 * slow >= len(group)


def stands_apart(image: str, groups: Mapping[str, Sequence[FlipLatency]], budget: Budget) -> bool:
    """Whether every flip to one image was slower than every flip to any other one, and by far.

    On a machine that is noisy all the time the noise says nothing any more; but it hits all images alike.
    """
    own = [flip.own for flip in groups[image]]
    others = [flip.own for name, group in groups.items() if name != image for flip in group]
    if min(len(own), len(others)) < budget.apart_flips or min(own) <= max(others):
        return False
    apart = median(own) - median(others)
    return apart > budget.apart_ms and median(own) > budget.ratio * median(others)


def measured(evidence: Evidence) -> list[FlipLatency]:
    """The flips that were seen to end, under enough requests."""
    steady = _steady_ms(evidence)
    found = []
    for flip in (flip for upgrade in evidence.upgrades for flip in flips(upgrade)):
        meanwhile = (one.latencies_of(slots) for one, slots in _touched(evidence, flip, flip.pod))
        own = _percentile(meanwhile, IN_FLIP)
        if own is not None and flip.pod in steady:
            found.append(FlipLatency(flip.to, own, steady[flip.pod], _others_ms(evidence, flip)))
    return found


def _by_image(seen: Sequence[FlipLatency], enough: int) -> dict[str, list[FlipLatency]]:
    """The flips by the image that they led to, where one of the images may be at fault and they are enough."""
    groups: dict[str, list[FlipLatency]] = {}
    for flip in seen:
        groups.setdefault(flip.to, []).append(flip)
    return {image: group for image, group in groups.items() if len(group) >= enough} or {
        "any image": list(seen)
    }


def _words(image: str, group: Sequence[FlipLatency], budget: Budget) -> str:
    own, limit = median(flip.own for flip in group), median(flip.limit(budget) for flip in group)
    slow = sum(flip.slow(budget) for flip in group)
    return f"{image}: {own:,.1f} ms, limit {limit:,.1f} ms (medians), {slow} of {len(group)} flips slower"


def _steady_ms(evidence: Evidence) -> dict[str, float]:
    """For each pod: what its latencies come to while nothing is done to it."""
    counts: dict[str, Counter[int]] = {}
    for (traffic_class, pod, phase), counted in evidence.latencies.items():
        direct = evidence.routes.get((traffic_class, pod), (pod,)) == (pod,)
        if direct and traffic_class not in LASTING and phase not in DISTURBED:
            counts.setdefault(pod, Counter()).update(counted)
    return {pod: percentile_ms(counted, ELSEWHERE) for pod, counted in counts.items()}


def _others_ms(evidence: Evidence, flip: Flip) -> float | None:
    """What the latencies of the other pods come to while one flips, where nothing is done to them."""
    others = (
        one.latencies_of(part)
        for pod in evidence.direct
        if pod != flip.pod
        for one, slots in _touched(evidence, flip, pod)
        for phase, part in evidence.by_phase(one, slots)
        if phase not in DISTURBED
    )
    return _percentile(others, ELSEWHERE)


def _touched(evidence: Evidence, flip: Flip, pod: str) -> Iterator[tuple[Series, range]]:
    """A pod's slots during a flip, for each class that tells; of a flip that was not seen to end: none."""
    for one in evidence.direct.get(pod, []):
        if flip.end is not None and one.traffic_class not in LASTING:
            yield one, one.touching(flip.start, flip.end)


def _percentile(latencies: Iterable[array[int]], percent: float) -> float | None:
    codes = list(chain.from_iterable(latencies))
    return percentiles_ms(codes, (percent,))[0] if len(codes) >= ENOUGH else None
