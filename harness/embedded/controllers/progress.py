"""What is reported of a Deployment: counts, and the conditions Available and Progressing. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from harness.embedded.controllers.rollout import bounds
from harness.embedded.events import rfc3339, unix
from harness.embedded.seams import Object

DEFAULT_BOUND = "25%"  # the API's default of maxSurge and maxUnavailable
DEFAULT_DEADLINE_S = 600  # the API's default of progressDeadlineSeconds
LATE = "ProgressDeadlineExceeded"


@dataclass(frozen=True)
class Rollout:
    """A Deployment, the ReplicaSet of its template as it is now, and the others.

    `created`: the former was just made.
    """

    owner: Object
    target: Object | None
    others: Sequence[Object]
    created: bool


@dataclass(frozen=True)
class _Said:
    """A condition without its times; `renewed` when it is news although it says the same."""

    kind: str
    status: str
    reason: str
    message: str
    renewed: bool = False


def tolerated(owner: Object) -> tuple[int, int]:
    """How many pods may be there too much and missing in a rolling update."""
    spec = owner["spec"]
    options = (spec.get("strategy") or {}).get("rollingUpdate") or {}
    surge, unavailable = options.get("maxSurge", DEFAULT_BOUND), options.get("maxUnavailable", DEFAULT_BOUND)
    return bounds(surge, unavailable, int(spec.get("replicas", 1)))


def deployment_status(rollout: Rollout, now: float) -> tuple[Object, float | None]:
    """The whole status, and in how many seconds the roll-out is late if it is not done."""
    owner, target = rollout.owner, rollout.target
    sets, desired = [*([target] if target else []), *rollout.others], int(owner["spec"].get("replicas", 1))
    replicas, available = _sum(sets, "replicas"), _sum(sets, "availableReplicas")
    counts = {
        "replicas": replicas,
        "updatedReplicas": _sum([target] if target else [], "replicas"),
        "readyReplicas": _sum(sets, "readyReplicas"),
        "availableReplicas": available,
        "unavailableReplicas": max(0, max(replicas, desired) - available),
    }
    before = owner.get("status") or {}
    held = {entry["type"]: entry for entry in before.get("conditions") or []}
    progress, again = _progress(rollout, counts, before, held.get("Progressing"), now)
    said = (_available(owner, available), progress)
    status = {
        "observedGeneration": owner["metadata"].get("generation", 1),
        **{key: value for key, value in counts.items() if value},
        "conditions": [_condition(held.get(entry.kind), entry, now) for entry in said],
    }
    return status, again


def _sum(sets: Iterable[Object], key: str) -> int:
    return sum(int((body.get("status") or {}).get(key) or 0) for body in sets)


def _available(owner: Object, available: int) -> _Said:
    if available >= int(owner["spec"].get("replicas", 1)) - tolerated(owner)[1]:
        return _Said("Available", "True", "MinimumReplicasAvailable", "Deployment has minimum availability.")
    text = "Deployment does not have minimum availability."
    return _Said("Available", "False", "MinimumReplicasUnavailable", text)


def _progress(
    rollout: Rollout, counts: Mapping[str, int], before: Object, held: Object | None, now: float
) -> tuple[_Said, float | None]:
    spec, target = rollout.owner["spec"], rollout.target
    deadline = float(spec.get("progressDeadlineSeconds") or DEFAULT_DEADLINE_S)
    desired = int(spec.get("replicas", 1))
    if target is None or spec.get("paused"):
        return _Said("Progressing", "Unknown", "DeploymentPaused", "Deployment is paused"), None
    name = target["metadata"]["name"]
    if counts["updatedReplicas"] == counts["replicas"] == counts["availableReplicas"] == desired:
        text = f'ReplicaSet "{name}" has successfully progressed.'
        return _Said("Progressing", "True", "NewReplicaSetAvailable", text), None
    if rollout.created:
        text = f'Created new replica set "{name}"'
        return _Said("Progressing", "True", "NewReplicaSetCreated", text), deadline
    moved = any(value != int(before.get(key) or 0) for key, value in counts.items())
    since = unix(held["lastUpdateTime"]) if held and not moved else now
    late = bool(held and held["reason"] == LATE and not moved) or now >= since + deadline
    if late:
        return _Said("Progressing", "False", LATE, f'ReplicaSet "{name}" has timed out progressing.'), None
    text = f'ReplicaSet "{name}" is progressing.'
    return _Said("Progressing", "True", "ReplicaSetUpdated", text, renewed=moved), since + deadline - now


def _condition(held: Object | None, said: _Said, now: float) -> Object:
    """A condition; its times stay where it says nothing new."""
    body: Object = {"type": said.kind, "status": said.status, "reason": said.reason, "message": said.message}
    before, stamp = held or {}, rfc3339(now)
    same = not said.renewed and all(before.get(key) == value for key, value in body.items())
    body["lastUpdateTime"] = before["lastUpdateTime"] if same else stamp
    body["lastTransitionTime"] = (
        before["lastTransitionTime"] if before.get("status") == said.status else stamp
    )
    return body
