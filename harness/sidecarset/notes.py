"""The annotations in which a pod's sidecars are accounted for: hashes, the working container, versions,
update state.

Reads bear any content: what cannot be read counts as absent. Writes change the pod that they are given.
Knows nothing of when to write what.
"""

from __future__ import annotations

import json
from collections.abc import Iterable

from harness.sidecarset import pods
from harness.sidecarset.api import Sidecar, SidecarSet
from harness.sidecarset.names import (
    HASH,
    HASH_WITHOUT_IMAGE,
    INJECTED_LIST,
    UPDATE_STATE,
    VERSION_ALT_PREFIX,
    VERSION_PREFIX,
    WORKING,
    Object,
)

NOT_USED = "0"
"""Version of a container that runs the empty image."""
FIRST = "1"
"""Version of the working container at injection; later ones are resourceVersions."""


def injected(pod: Object) -> list[str]:
    """Names of the sets whose sidecars the pod has."""
    return [name for name in pods.annotation_map(pod).get(INJECTED_LIST, "").split(",") if name]


def hash_of(pod: Object, sidecarset: str) -> str:
    """The hash that the pod's sidecars have from that set; empty when it has none."""
    return _hash(pod, HASH, sidecarset)


def hash_without_image_of(pod: Object, sidecarset: str) -> str:
    """The same without images."""
    return _hash(pod, HASH_WITHOUT_IMAGE, sidecarset)


def revision_of(pod: Object, sidecarset: str) -> str:
    """The revision that the pod's sidecars have from that set; empty when it has none."""
    entry = _read(pod, HASH).get(sidecarset)
    return str(entry.get("controllerRevision", "")) if isinstance(entry, dict) else ""


def _hash(pod: Object, key: str, sidecarset: str) -> str:
    entry = _read(pod, key).get(sidecarset)
    if isinstance(entry, dict):
        entry = entry.get("hash")
    return entry if isinstance(entry, str) else ""


def pair(pod: Object, sidecar: Sidecar) -> tuple[str, str]:
    """The working container of a hot sidecar, and the other. Anything but `-1`, absence too, means that `-2`
    works."""
    first, second = sidecar.names_in_pod
    return (first, second) if _read(pod, WORKING).get(sidecar.name) == first else (second, first)


def has_working_entry(pod: Object, sidecar: Sidecar) -> bool:
    """Whether the pod says which half of the pair works."""
    return sidecar.name in _read(pod, WORKING)


def version(pod: Object, container: str) -> str:
    """The container's version; empty when it has none."""
    return pods.annotation_map(pod).get(VERSION_PREFIX + container, "")


def recorded_image_id(pod: Object, sidecarset: str, container: str) -> str | None:
    """The image that the container ran when its image was last changed; None when it never was."""
    state = _read(pod, UPDATE_STATE).get(sidecarset)
    entry = ((state if isinstance(state, dict) else {}).get("lastContainerStatuses") or {}).get(container)
    return str(entry.get("imageID", "")) if isinstance(entry, dict) else None


# -- writing -------------------------------------------------------------------------------------------------


def note(pod: Object, key: str, value: str) -> None:
    """Sets one annotation."""
    metadata = pod.setdefault("metadata", {})
    metadata["annotations"] = {**(metadata.get("annotations") or {}), key: value}


def set_versions(pod: Object, container: str, version: str, alternative: str) -> None:
    """Sets a container's version and its counterpart's version as it sees it."""
    note(pod, VERSION_PREFIX + container, version)
    note(pod, VERSION_ALT_PREFIX + container, alternative)


def set_alternative(pod: Object, container: str, alternative: str) -> None:
    """Sets what a container sees as its counterpart's version."""
    note(pod, VERSION_ALT_PREFIX + container, alternative)


def set_version(pod: Object, container: str, version: str) -> None:
    """Sets a container's version."""
    note(pod, VERSION_PREFIX + container, version)


def set_working(pod: Object, sidecar: str, container: str) -> None:
    """Names the working half of a pair."""
    _write(pod, WORKING, {**_read(pod, WORKING), sidecar: container})


def set_injected(pod: Object, names: Iterable[str]) -> None:
    """Adds sets to those whose sidecars the pod has."""
    note(pod, INJECTED_LIST, ",".join(sorted({*injected(pod), *names})))


def set_hash(pod: Object, sidecarset: SidecarSet, revision: str, now: str) -> None:
    """Says that the pod is at the set's newest content."""
    entry = {**_entry(sidecarset, sidecarset.hash, now), "controllerRevision": revision}
    _write(pod, HASH, {**_read(pod, HASH), sidecarset.name: entry})


def set_hash_without_image(pod: Object, sidecarset: SidecarSet, now: str) -> None:
    """Says which content the pod was injected from, images aside."""
    entry = _entry(sidecarset, sidecarset.hash_without_image, now)
    _write(pod, HASH_WITHOUT_IMAGE, {**_read(pod, HASH_WITHOUT_IMAGE), sidecarset.name: entry})


def _entry(sidecarset: SidecarSet, digest: str, now: str) -> Object:
    native = [each for each in sidecarset.init_containers if each.native]
    names = sorted({each.name for each in [*sidecarset.containers, *native]})
    return {"updateTimestamp": now, "hash": digest, "sidecarSetName": sidecarset.name, "sidecarList": names}


def record_image_ids(pod: Object, sidecarset: SidecarSet, changed: Iterable[str], now: str) -> None:
    """Keeps what containers ran before their images were changed. Revision and time are those of the first
    change."""
    states = _read(pod, UPDATE_STATE)
    state = states.get(sidecarset.name)
    if not isinstance(state, dict):
        state = {"revision": sidecarset.hash, "updateTimestamp": now}
    running = pods.statuses(pod)
    ids = {each: {"imageID": running.get(each, {}).get("imageID", "")} for each in changed}
    state["lastContainerStatuses"] = {**(state.get("lastContainerStatuses") or {}), **ids}
    _write(pod, UPDATE_STATE, {**states, sidecarset.name: state})


def _read(pod: Object, key: str) -> Object:
    try:
        value = json.loads(pods.annotation_map(pod).get(key, ""))
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}


def _write(pod: Object, key: str, value: Object) -> None:
    note(pod, key, json.dumps(value, separators=(",", ":")))
