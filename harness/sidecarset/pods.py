"""What a pod says about itself. Knows nothing of SidecarSets."""

from __future__ import annotations

from collections.abc import Mapping

from harness.sidecarset.names import Object


def labels(pod: Object) -> Mapping[str, str]:
    """Its labels."""
    return pod.get("metadata", {}).get("labels") or {}


def annotation_map(pod: Object) -> Mapping[str, str]:
    """Its annotations."""
    return pod.get("metadata", {}).get("annotations") or {}


def name(pod: Object) -> str:
    """Namespace and name, for people."""
    metadata = pod.get("metadata", {})
    return f"{metadata.get('namespace', '')}/{metadata.get('name', '')}"


def active(pod: Object) -> bool:
    """Neither terminating nor finished."""
    finished = pod.get("status", {}).get("phase") in ("Succeeded", "Failed")
    return not finished and not pod.get("metadata", {}).get("deletionTimestamp")


def containers(pod: Object) -> dict[str, Object]:
    """Its containers by name, in their order."""
    return {each["name"]: each for each in pod.get("spec", {}).get("containers") or []}


def statuses(pod: Object) -> dict[str, Object]:
    """The statuses of its containers by name."""
    return {each["name"]: each for each in pod.get("status", {}).get("containerStatuses") or []}


def condition(pod: Object, kind: str) -> Object:
    """One of its conditions; empty when it has none of that type."""
    for each in pod.get("status", {}).get("conditions") or []:
        if each.get("type") == kind:
            return dict(each)
    return {}


def running_and_ready(pod: Object) -> bool:
    """Phase Running, condition Ready, not terminating."""
    running = pod.get("status", {}).get("phase") == "Running"
    return running and active(pod) and condition(pod, "Ready").get("status") == "True"
