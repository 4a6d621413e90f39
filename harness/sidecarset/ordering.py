"""In which order pods are upgraded: those that serve least first, then the set's priorities, then scattered.

Knows nothing of how many.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from harness.sidecarset import pods, selectors
from harness.sidecarset.names import Object

TRAILING_INTEGER = re.compile(r"(\d+)$")


def ordered(candidates: Iterable[Object], strategy: Object) -> list[Object]:
    """The pods in the order in which they are to be upgraded."""
    result = sorted(candidates, key=lambda pod: pods.name(pod))
    result.sort(key=_recency, reverse=True)
    result.sort(key=_usefulness)
    result = _by_priority(result, strategy.get("priorityStrategy") or {})
    return scattered(result, strategy.get("scatterStrategy") or [])


def _recency(pod: Object) -> tuple[str, int, str]:
    """Later when it became ready recently, restarted often, was created recently."""
    ready_since = pods.condition(pod, "Ready").get("lastTransitionTime") or ""
    restarts = max((each.get("restartCount", 0) for each in pods.statuses(pod).values()), default=0)
    return ready_since, restarts, pod.get("metadata", {}).get("creationTimestamp") or ""


def _usefulness(pod: Object) -> tuple[bool, int, bool]:
    """Lower for pods that serve less: unassigned, Pending or Unknown, not ready."""
    phase = {"Pending": 0, "Unknown": 1}.get(pod.get("status", {}).get("phase", "Unknown"), 2)
    return (
        bool(pod.get("spec", {}).get("nodeName")),
        phase,
        pods.condition(pod, "Ready").get("status") == "True",
    )


def _by_priority(candidates: list[Object], priority: Object) -> list[Object]:
    weights, orders = priority.get("weightPriority"), priority.get("orderPriority")
    if weights:
        return sorted(candidates, key=lambda pod: -_weight(pod, weights))
    if orders:
        return sorted(
            candidates, key=lambda pod: _order(pod, [each.get("orderedKey", "") for each in orders])
        )
    return candidates


def _weight(pod: Object, weights: Sequence[Object]) -> int:
    matching = [each for each in weights if selectors.matches(each.get("matchSelector"), pods.labels(pod))]
    return sum(int(each.get("weight", 0)) for each in matching)


def _order(pod: Object, keys: Sequence[str]) -> tuple[int, int]:
    """Index of the first key that the pod has (none: first of all), then the larger trailing integer."""
    labels = pods.labels(pod)
    for index, key in enumerate(keys):
        if key in labels:
            number = TRAILING_INTEGER.search(labels[key])
            return index, -int(number.group(1)) if number else 0
    return -1, 0


def scattered(candidates: list[Object], terms: Sequence[Object]) -> list[Object]:
    """Spreads the pods of each key and value evenly over the order; the most frequent ones first."""
    pairs = _observed(candidates, terms)
    pairs.sort(key=lambda pair: (-_count(candidates, pair), pair))
    for pair in pairs:
        candidates = _spread(candidates, pair)
    return candidates


def _observed(candidates: Sequence[Object], terms: Sequence[Object]) -> list[tuple[str, str]]:
    pairs: dict[tuple[str, str], None] = {}
    for term in terms:
        key, value = term.get("key", ""), term.get("value", "")
        values = (
            {pods.labels(pod)[key] for pod in candidates if key in pods.labels(pod)}
            if value == "*"
            else {value}
        )
        pairs.update(dict.fromkeys((key, each) for each in sorted(values)))
    return list(pairs)


def _count(candidates: Sequence[Object], pair: tuple[str, str]) -> int:
    return sum(pods.labels(pod).get(pair[0]) == pair[1] for pod in candidates)


def _spread(candidates: Sequence[Object], pair: tuple[str, str]) -> list[Object]:
    """Interleaves those that have the label with the others in proportion, the first and the last of them
    kept apart."""
    inside = [pod for pod in candidates if pods.labels(pod).get(pair[0]) == pair[1]]
    outside = [pod for pod in candidates if pods.labels(pod).get(pair[0]) != pair[1]]
    if len(inside) < 2 or not outside:
        return list(candidates)
    result: list[Object] = []
    gaps = len(inside) - 1
    for index, pod in enumerate(inside):
        result.append(pod)
        if index < gaps:
            result += outside[len(outside) * index // gaps : len(outside) * (index + 1) // gaps]
    return result
