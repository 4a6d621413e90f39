"""What a write may change, and what a deletion means: metadata that belongs to the server, generation, grace,
finalizers.

Pure: from objects to objects. Knows nothing of storage, admission or HTTP.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from harness.embedded.api.meta import random_suffix, timestamp
from harness.embedded.api.refusals import FORBIDDEN, MODIFIED, Cause, bad_request, conflict
from harness.embedded.api.resources import NAMESPACES_KEY, PODS_KEY, Kind
from harness.embedded.seams import Object

OWNED_BY_SERVER = (
    *("name", "namespace", "uid", "creationTimestamp", "deletionTimestamp", "deletionGracePeriodSeconds"),
    *("generation", "resourceVersion"),
)
DEFAULT_GRACE_S = 30
FINISHED = ("Succeeded", "Failed")
FOREGROUND, ORPHAN = "foregroundDeletion", "orphan"
FINALIZERS = {"Foreground": FOREGROUND, "Orphan": ORPHAN}  # removed by whoever collects garbage


@dataclass(frozen=True)
class Options:
    """How a write is meant: DeleteOptions and the query of the request. `raw` is what webhooks are shown."""

    dry_run: bool = False
    grace_s: int | None = None
    uid: str = ""
    resource_version: str = ""
    propagation: str = ""
    raw: Mapping[str, Any] = field(default_factory=dict)


def begin(kind: Kind, object: Object, namespace: str) -> None:
    """Gives a new object its place, its name and the rest of the server's metadata; ApiError 400."""
    metadata = object["metadata"]
    if metadata.get("resourceVersion"):
        raise bad_request("resourceVersion should not be set on objects to be created")
    given = metadata.pop("namespace", None)
    if kind.namespaced:
        if not namespace:
            raise bad_request("an empty namespace may not be set during creation")
        if given not in (None, "", namespace):
            raise bad_request(
                "the namespace of the provided object does not match the namespace sent on the request"
            )
    for name in (*OWNED_BY_SERVER[2:], "managedFields", "selfLink"):
        metadata.pop(name, None)
    if not metadata.get("name") and metadata.get("generateName"):
        metadata["name"] = metadata["generateName"] + random_suffix()
    if kind.namespaced:
        metadata["namespace"] = namespace
    metadata |= {"uid": str(uuid.uuid4()), "creationTimestamp": timestamp()}
    if kind.generation:
        metadata["generation"] = 1


def precondition(kind: Kind, name: str, metadata: Object, uid: str, resource_version: str) -> None:
    """Refuses a write that was meant for another object or an earlier state; ApiError 409."""
    if uid and uid != metadata["uid"]:
        why = f"Precondition failed: UID in precondition: {uid}, UID in object meta: {metadata['uid']}"
        raise conflict(kind.resource, name, why)
    if resource_version and resource_version != metadata["resourceVersion"]:
        raise conflict(kind.resource, name, MODIFIED)


def settle(kind: Kind, before: Object, draft: Object, subresource: str) -> Object:
    """The state that results when `draft` is written over `before` through that subresource; ApiError 400,
    409.
    """
    old, new = before["metadata"], draft["metadata"]
    for name in ("name", "namespace"):
        if new.get(name) not in (None, "", old.get(name)):
            where = f"the {name} on the URL ({old.get(name)})"
            raise bad_request(f"the {name} of the object ({new[name]}) does not match {where}")
    precondition(kind, old["name"], old, new.get("uid") or "", new.get("resourceVersion") or "")
    if subresource == "status":
        return _with(before, "status", draft)
    if subresource == "finalize":
        return {
            **before,
            "spec": {
                **(before.get("spec") or {}),
                "finalizers": (draft.get("spec") or {}).get("finalizers") or [],
            },
        }
    kept = {name: old[name] for name in OWNED_BY_SERVER if name in old}
    free = {
        name: value
        for name, value in new.items()
        if name not in OWNED_BY_SERVER and name not in ("managedFields", "selfLink")
    }
    result = {**draft, "metadata": {**free, **kept}}
    if kind.has_status:
        result = _with(result, "status", before)
    if kind.resource == NAMESPACES_KEY:
        result = _with(result, "spec", before)
    return result


def _with(object: Object, name: str, source: Object) -> Object:
    rest = {key: value for key, value in object.items() if key != name}
    return {**rest, name: source[name]} if name in source else rest


def count_generation(kind: Kind, before: Object, object: Object) -> Object:
    """The object with the next generation if what is desired changed."""
    if not kind.generation:
        return object
    left_out = {"metadata", "status"} if kind.has_status or not kind.custom else {"metadata"}
    if _without(before, left_out) == _without(object, left_out):
        return object
    return {
        **object,
        "metadata": {**object["metadata"], "generation": before["metadata"].get("generation", 0) + 1},
    }


def _without(object: Object, names: set[str]) -> Object:
    return {name: value for name, value in object.items() if name not in names}


def finalizer_causes(before: Object, object: Object) -> list[Cause]:
    """An object that is being deleted gets no more finalizers."""
    if not before["metadata"].get("deletionTimestamp"):
        return []
    added = set(object["metadata"].get("finalizers") or ()) - set(before["metadata"].get("finalizers") or ())
    if not added:
        return []
    detail = "no new finalizers can be added if the object is being deleted, found new finalizers "
    return [Cause("metadata.finalizers", FORBIDDEN, f"{detail}{sorted(added)}")]


def deleted(kind: Kind, object: Object, options: Options) -> Object | None:
    """The state of an object after a request to delete it; None if nothing holds it back any longer."""
    metadata = {**object["metadata"]}
    if (finalizer := FINALIZERS.get(options.propagation)) and not metadata.get("deletionTimestamp"):
        metadata["finalizers"] = list(dict.fromkeys([*(metadata.get("finalizers") or ()), finalizer]))
    grace = _grace(kind, object, options)
    if not metadata.get("deletionTimestamp") or grace < metadata.get("deletionGracePeriodSeconds", grace):
        metadata |= {
            "deletionTimestamp": timestamp(timedelta(seconds=grace)),
            "deletionGracePeriodSeconds": grace,
        }
        if kind.generation:
            metadata["generation"] = metadata.get("generation", 0) + 1
    result = {**object, "metadata": metadata}
    if kind.resource == NAMESPACES_KEY:
        result["status"] = {**(object.get("status") or {}), "phase": "Terminating"}
    return None if released(kind, result) else result


def released(kind: Kind, object: Object) -> bool:
    """Whether an object that is being deleted may go now."""
    metadata = object["metadata"]
    if not metadata.get("deletionTimestamp") or metadata.get("finalizers"):
        return False
    if kind.resource == NAMESPACES_KEY and (object.get("spec") or {}).get("finalizers"):
        return False
    return not metadata.get("deletionGracePeriodSeconds")


def _grace(kind: Kind, object: Object, options: Options) -> int:
    """Seconds that a pod has to end in; a pod that runs nowhere needs none."""
    if kind.resource != PODS_KEY:
        return 0
    if not object["spec"].get("nodeName") or (object.get("status") or {}).get("phase") in FINISHED:
        return 0
    if options.grace_s is not None:
        return max(options.grace_s, 0)
    return int(object["spec"].get("terminationGracePeriodSeconds", DEFAULT_GRACE_S))
