"""One pod's reset step: the predecessor is replaced by the empty image once the successor works.

Knows nothing of paused sets, and of when it is asked.
"""

from __future__ import annotations

from copy import deepcopy

from harness.sidecarset import notes, pods
from harness.sidecarset.api import SidecarSet
from harness.sidecarset.consistency import consistent, idle
from harness.sidecarset.names import Object


def needs_reset(pod: Object, sidecarset: SidecarSet) -> bool:
    """Whether some pair still has a predecessor and everything else in the pod runs and is Ready."""
    others = {notes.pair(pod, each)[1] for each in sidecarset.hot_containers}
    if not any(not idle(pod, each, notes.pair(pod, each)[1]) for each in sidecarset.hot_containers):
        return False
    if not consistent(pod, sidecarset, sidecarset.names_in_pod - others):
        return False
    statuses = pods.statuses(pod)
    rest_ready = all(status.get("ready") for name, status in statuses.items() if name not in others)
    return pods.running_and_ready(pod) or rest_ready


def reset(pod: Object, sidecarset: SidecarSet, now: str) -> Object:
    """The pod with every predecessor emptied."""
    pod = deepcopy(pod)
    containers = pods.containers(pod)
    emptied = []
    for sidecar in sidecarset.hot_containers:
        working, other = notes.pair(pod, sidecar)
        if idle(pod, sidecar, other):
            continue
        containers[other]["image"] = sidecar.empty_image
        notes.set_version(pod, other, notes.NOT_USED)
        notes.set_alternative(pod, working, notes.NOT_USED)
        emptied.append(other)
    notes.record_image_ids(pod, sidecarset, emptied, now)
    return pod
