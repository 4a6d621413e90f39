"""Which pods to upgrade next: candidates, their order, partition, maxUnavailable.

Knows nothing of how a pod is upgraded.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass

from harness.sidecarset import ordering, pods, selectors
from harness.sidecarset.api import SidecarSet
from harness.sidecarset.consistency import (
    change_under_way,
    consistent,
    only_images_differ,
    pod_ready,
    updated,
)
from harness.sidecarset.names import Object

PERCENT = re.compile(r"(\d+)%")


@dataclass(frozen=True)
class Selection:
    """The pods to upgrade now, and those that no change of images can bring up to date."""

    upgrade: Sequence[Object]
    not_upgradable: Sequence[Object]


def select(sidecarset: SidecarSet, matched: Sequence[Object]) -> Selection:
    """Chooses among the pods that the set answers for."""
    outdated = [each for each in matched if not updated(each, sidecarset) and _chosen(sidecarset, each)]
    upgradable = [each for each in outdated if only_images_differ(each, sidecarset)]
    waiting = [each for each in upgradable if not change_under_way(each, sidecarset)]
    ordered = ordering.ordered(waiting, sidecarset.strategy)
    kept = ordered[: max(0, len(ordered) - partition(sidecarset.strategy.get("partition"), len(matched)))]
    stuck = [each for each in outdated if not only_images_differ(each, sidecarset)]
    return Selection(_within_budget(sidecarset, matched, kept), stuck)


def _chosen(sidecarset: SidecarSet, pod: Object) -> bool:
    selector = sidecarset.strategy.get("selector")
    return selector is None or selectors.matches(selector, pods.labels(pod))


def _within_budget(sidecarset: SidecarSet, matched: Sequence[Object], kept: Sequence[Object]) -> list[Object]:
    """As many as maxUnavailable allows. A pod that is unavailable anyway costs nothing."""
    allowed = max_unavailable(sidecarset.strategy.get("maxUnavailable"), len(matched))
    unavailable = sum(
        updated(each, sidecarset) and not (consistent(each, sidecarset) and pod_ready(each, sidecarset))
        for each in matched
    )
    now = []
    for each in kept:
        if pod_ready(each, sidecarset):
            if unavailable >= allowed:
                break
            unavailable += 1
        now.append(each)
    return now


def partition(value: object, total: int) -> int:
    """How many pods stay behind. A percentage is rounded up, but one below 100 % never keeps all of
    several."""
    count = _share(value, total)
    percent = PERCENT.fullmatch(value) if isinstance(value, str) else None
    if percent and int(percent.group(1)) < 100 and count == total > 1:
        count -= 1
    return min(max(count, 0), total)


def max_unavailable(value: object, total: int) -> int:
    """How many pods may be unavailable; 1 unless said otherwise."""
    return 1 if value is None else _share(value, total)


def _share(value: object, total: int) -> int:
    if isinstance(value, str):
        found = PERCENT.fullmatch(value)
        return math.ceil(int(found.group(1)) * total / 100) if found else 0
    return value if isinstance(value, int) else 0
