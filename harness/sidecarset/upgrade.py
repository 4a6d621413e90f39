"""One pod's upgrade step: which container gets which image, and how the pod's books change.

Of a pair exactly one container is the target. Knows nothing of which pods are upgraded when.
"""

from __future__ import annotations

from copy import deepcopy
from dataclasses import dataclass

from harness.sidecarset import notes, podmetadata, pods
from harness.sidecarset.api import Sidecar, SidecarSet
from harness.sidecarset.consistency import consistent, idle
from harness.sidecarset.names import Object


@dataclass(frozen=True)
class Context:
    """What an upgrade step needs besides set and pod: the set's newest revision, and the time for the
    books."""

    revision: str
    now: str


def upgraded(pod: Object, sidecarset: SidecarSet, context: Context) -> Object | None:
    """The pod after its upgrade step; None when it has to wait for a reset first."""
    pod, before = deepcopy(pod), pod
    changed: list[str] = []
    must_wait = False
    for sidecar in sidecarset.containers:
        if not sidecar.hot:
            changed += _set_image(pod, sidecar.name, sidecar.image)
            continue
        target = target_of(before, sidecarset, sidecar)
        if target is None or pods.containers(before)[target]["image"] == sidecar.image:
            # A predecessor that has the wanted image gave its sockets away and would not start anew: it has
            # to be emptied first. A successor that has it needs no more.
            must_wait = must_wait or target == notes.pair(before, sidecar)[1]
            continue
        counterpart = next(name for name in sidecar.names_in_pod if name != target)
        changed += _set_image(pod, target, sidecar.image)
        notes.set_working(pod, sidecar.name, target)
        notes.set_versions(pod, target, sidecarset.resource_version, notes.version(before, counterpart))
        notes.set_alternative(pod, counterpart, sidecarset.resource_version)
    if must_wait and not changed:
        return None
    notes.record_image_ids(pod, sidecarset, changed, context.now)
    if not must_wait:
        notes.set_hash(pod, sidecarset, context.revision, context.now)
    podmetadata.patch(pod, sidecarset)
    return pod


def target_of(pod: Object, sidecarset: SidecarSet, sidecar: Sidecar) -> str | None:
    """Which half of the pair is to get the image; None when the other half works with it already.

    The idle half; without one, the only half that is not healthy; else the predecessor. While a successor is
    not healthy, a predecessor with the wanted image is no reason to stop: it may have handed its sockets
    over. Then the successor gets that image too, takes over, and the usual reset follows.
    """
    image = {name: pods.containers(pod)[name]["image"] for name in sidecar.names_in_pod}
    first, second = sidecar.names_in_pod
    for target, counterpart in ((first, second), (second, first)):
        if idle(pod, sidecar, target):
            return None if image[counterpart] == sidecar.image else target
    successor, predecessor = notes.pair(pod, sidecar)
    successor_healthy, predecessor_healthy = (
        _healthy(pod, sidecarset, each) for each in (successor, predecessor)
    )
    if successor_healthy:
        return None if image[successor] == sidecar.image else predecessor
    if predecessor_healthy or image[predecessor] == sidecar.image:
        return successor
    return None if image[successor] == sidecar.image else predecessor


def _healthy(pod: Object, sidecarset: SidecarSet, name: str) -> bool:
    return bool(pods.statuses(pod).get(name, {}).get("ready")) and consistent(pod, sidecarset, [name])


def _set_image(pod: Object, name: str, image: str) -> list[str]:
    container = pods.containers(pod)[name]
    if container["image"] == image:
        return []
    container["image"] = image
    return [name]
