"""Revisions of a SidecarSet: what a ControllerRevision holds, what it is called, and how a set looked at one.

A revision's name follows from its content, so the webhook can name the revision of a set before the
controller has stored it. Knows nothing of the API.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from copy import deepcopy

from harness.sidecarset import pods, selectors
from harness.sidecarset.api import SidecarSet
from harness.sidecarset.hashing import pruned
from harness.sidecarset.names import (
    CUSTOM_VERSION_LABEL,
    GROUP,
    KIND,
    REVISION_SET_LABEL,
    STORAGE_VERSION,
    Object,
)

FIELDS = ("volumes", "containers", "initContainers", "imagePullSecrets", "patchPodMetadata")
NAME_DIGITS = 10
"""Hexadecimal: 40 bits keep the few revisions of one set apart."""


class NoSuchRevision(ValueError):
    """No stored revision is what the set's injectionStrategy asks for; the message says what it asks for."""


def data(sidecarset: SidecarSet) -> Object:
    """What a revision keeps of a set."""
    kept = {key: deepcopy(sidecarset.spec[key]) for key in FIELDS if sidecarset.spec.get(key)}
    return {"spec": {**kept, "$patch": "replace"}}


def name(sidecarset: SidecarSet) -> str:
    """The name of the revision that holds the set's present content."""
    text = json.dumps(pruned(data(sidecarset)), separators=(",", ":"))
    return f"{sidecarset.name}-{hashlib.sha256(text.encode()).hexdigest()[:NAME_DIGITS]}"


def revision(sidecarset: SidecarSet, namespace: str, number: int) -> Object:
    """The ControllerRevision of the set's present content."""
    labels = {REVISION_SET_LABEL: sidecarset.name}
    if sidecarset.spec.get("customVersion"):
        labels[CUSTOM_VERSION_LABEL] = sidecarset.spec["customVersion"]
    owner = {
        "apiVersion": f"{GROUP}/{STORAGE_VERSION}",
        "kind": KIND,
        "name": sidecarset.name,
        "uid": sidecarset.uid,
        "controller": True,
        "blockOwnerDeletion": True,
    }
    return {
        "apiVersion": "apps/v1",
        "kind": "ControllerRevision",
        "metadata": {
            "name": name(sidecarset),
            "namespace": namespace,
            "labels": labels,
            "ownerReferences": [owner],
        },
        "data": data(sidecarset),
        "revision": number,
    }


def newest_number(stored: Iterable[Object]) -> int:
    """The highest number in use; 0 when there is none."""
    return max((int(each.get("revision") or 0) for each in stored), default=0)


def superfluous(stored: Sequence[Object], used: Iterable[str], limit: int) -> list[Object]:
    """Those to delete, oldest first: more than the limit (at least 1), and used by no pod."""
    keep = set(used)
    unused = [each for each in stored if each["metadata"]["name"] not in keep]
    unused.sort(key=lambda each: int(each.get("revision") or 0))
    return unused[: max(0, len(stored) - max(limit, 1))]


def requested(sidecarset: SidecarSet) -> Object | None:
    """The injectionStrategy's revision, if it asks for one."""
    wanted = sidecarset.injection.get("revision") or {}
    return wanted if wanted.get("customVersion") or wanted.get("revisionName") else None


def find(wanted: Object, stored: Iterable[Object]) -> Object:
    """The newest stored revision with the wanted name and custom version; NoSuchRevision."""
    name, version = wanted.get("revisionName"), wanted.get("customVersion")
    found = [
        each
        for each in stored
        if (not name or each["metadata"]["name"] == name)
        and (not version or (each["metadata"].get("labels") or {}).get(CUSTOM_VERSION_LABEL) == version)
    ]
    if not found:
        raise NoSuchRevision(f"Cannot find specific ControllerRevision, err: none with {wanted}")
    return max(found, key=lambda each: int(each.get("revision") or 0))


def restored(sidecarset: SidecarSet, stored: Object) -> SidecarSet:
    """The set with the content of a stored revision."""
    spec = {key: value for key, value in sidecarset.spec.items() if key not in FIELDS}
    content = {
        key: value for key, value in (stored.get("data") or {}).get("spec", {}).items() if key in FIELDS
    }
    return SidecarSet({**sidecarset.raw, "spec": {**spec, **deepcopy(content)}})


def injects_newest(sidecarset: SidecarSet, pod: Object, dice: float) -> bool:
    """Whether a new pod gets the newest content although a revision is asked for. `dice` lies in [0, 1).

    Policy Always, and a paused update: never. Partial: not where the update's selector leaves the pod out;
    with a percentage as partition the asked-for revision has that probability.
    """
    wanted = sidecarset.injection.get("revision") or {}
    if wanted.get("policy", "Always") != "Partial" or sidecarset.paused:
        return False
    selector = sidecarset.strategy.get("selector")
    if selector is not None:
        return selectors.matches(selector, pods.labels(pod))
    share = sidecarset.strategy.get("partition")
    if isinstance(share, str) and share.endswith("%") and share[:-1].isdigit():
        return dice >= int(share[:-1]) / 100
    return True
