"""Whether a pod's containers run what its spec says, and whether a pod is ready in a SidecarSet's sense.

Knows nothing of what to do about it.
"""

from __future__ import annotations

import re
from collections.abc import Collection

from harness.sidecarset import notes, pods
from harness.sidecarset.api import Sidecar, SidecarSet
from harness.sidecarset.names import Object

DIGEST = re.compile(r"@(sha256:[0-9a-f]{64})$")
DEFAULT_REGISTRY = "docker.io/"


def consistent(pod: Object, sidecarset: SidecarSet, names: Collection[str] | None = None) -> bool:
    """Whether the named containers (all sidecars by default) run the images of their specs."""
    containers, statuses = pods.containers(pod), pods.statuses(pod)
    if len(containers) != len(statuses):
        return False
    examined = sidecarset.names_in_pod if names is None else names
    empties = {name: each.empty_image for each in sidecarset.hot_containers for name in each.names_in_pod}
    return all(
        _runs_its_image(
            containers[name]["image"],
            statuses.get(name, {}),
            notes.recorded_image_id(pod, sidecarset.name, name),
            empties.get(name, ""),
        )
        for name in examined
        if name in containers
    )


def _runs_its_image(image: str, status: Object, recorded: str | None, empty: str) -> bool:
    if not status:
        return False
    wanted = DIGEST.search(image)
    running_id = status.get("imageID", "")
    if wanted:
        return str(running_id).endswith(wanted.group(1))
    running = normal(status.get("image", ""))
    if recorded is None or running == normal(image):
        return True
    # The image's id may have changed because an earlier change took effect only now: the empty image where a
    # working one was asked for again meanwhile. That is no success of the newer change.
    still_empty = bool(empty) and running == normal(empty)
    return running_id != recorded and not still_empty


def normal(image: str) -> str:
    """An image's name as container runtimes report it: with the registry that a short name stands for."""
    first, slash, rest = image.partition("/")
    if not slash:
        return f"{DEFAULT_REGISTRY}library/{image}"
    has_registry = "." in first or ":" in first or first == "localhost"
    if image.startswith(DEFAULT_REGISTRY) and "/" not in rest:
        return f"{DEFAULT_REGISTRY}library/{rest}"
    return image if has_registry else DEFAULT_REGISTRY + image


def idle(pod: Object, sidecar: Sidecar, container: str) -> bool:
    """Whether half of a pair was emptied: it has the empty image, or had one that the set has replaced
    since."""
    image = pods.containers(pod).get(container, {}).get("image")
    return image == sidecar.empty_image or notes.version(pod, container) == notes.NOT_USED


def pod_ready(pod: Object, sidecarset: SidecarSet) -> bool:
    """Running and Ready, and the other half of every pair is idle: a pod in mid-upgrade is not ready."""
    others_idle = all(idle(pod, each, notes.pair(pod, each)[1]) for each in sidecarset.hot_containers)
    return others_idle and pods.running_and_ready(pod)


def updated(pod: Object, sidecarset: SidecarSet) -> bool:
    """Whether the pod's sidecars are the set's newest."""
    return notes.hash_of(pod, sidecarset.name) == sidecarset.hash


def only_images_differ(pod: Object, sidecarset: SidecarSet) -> bool:
    """Whether the pod can be brought to the set's content by changing images alone."""
    return notes.hash_without_image_of(pod, sidecarset.name) == sidecarset.hash_without_image


def change_under_way(pod: Object, sidecarset: SidecarSet) -> bool:
    """Whether a sidecar that is Ready does not run its image yet: the kubelet has still to act."""
    statuses = pods.statuses(pod)
    return any(
        statuses.get(name, {}).get("ready") and not consistent(pod, sidecarset, [name])
        for name in sidecarset.names_in_pod
    )
