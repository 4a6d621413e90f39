"""What is reported of a pod: phase, conditions and container statuses, from what was seen of its containers.

Pure. Knows nothing of when a report is due; conditions of others are kept as they are.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from harness.embedded.agent.images import canonical, image_id
from harness.embedded.agent.instances import Ended, View
from harness.embedded.events import rfc3339
from harness.embedded.seams import Object

SCHEME = "embedded://"  # of container ids, where a real node says containerd://
OWN_CONDITIONS = ("PodReadyToStartContainers", "Initialized", "Ready", "ContainersReady", "PodScheduled")
Phase = Literal["Pending", "Running", "Succeeded", "Failed"]


@dataclass(frozen=True)
class Health:
    """What probes say of an instance, by its id."""

    ready: Callable[[str], bool]
    started: Callable[[str], bool]


@dataclass(frozen=True)
class Seen:
    """One look at a pod: its containers by name, its sandbox, and whether the agent has ended it for good."""

    containers: Mapping[str, View]
    address: str
    host_ip: str
    start_time: float
    over: bool = False


def is_sidecar(container: Object) -> bool:
    """Whether an init container is a native sidecar."""
    return bool(container.get("restartPolicy") == "Always")


def _terminated(ended: Ended) -> Object:
    body = {
        "exitCode": ended.code,
        "reason": ended.reason,
        "message": ended.message,
        "startedAt": rfc3339(ended.started),
        "finishedAt": rfc3339(ended.finished),
        "containerID": SCHEME + ended.container,
    }
    return {"terminated": {key: value for key, value in body.items() if value != ""}}


def _state(view: View, absent: str) -> Object:
    if view.running_since is not None:
        return {"running": {"startedAt": rfc3339(view.running_since)}}
    if view.ended is not None:
        return _terminated(view.ended)
    if view.waiting is None:
        return {"waiting": {"reason": absent}}
    message = {"message": view.waiting.message} if view.waiting.message else {}
    return {"waiting": {"reason": view.waiting.reason, **message}}


def container_status(
    container: Object, view: View, health: Health, absent: str, init: bool = False
) -> Object:
    """The status of one container; `absent` is why one that never ran and has no reason of its own waits."""
    running = view.running_since is not None
    plain_init = init and not is_sidecar(container)
    if plain_init:
        started, ready = running, view.ended is not None and view.ended.code == 0
    else:
        started = running and health.started(view.id)
        ready = running and health.ready(view.id)
    body: Object = {
        "name": container["name"],
        "image": canonical(view.ref) if view.id else container["image"],
        "imageID": image_id(view.ref, view.image_id) if view.id else "",
        "ready": ready,
        "started": started,
        "restartCount": view.restarts,
        "state": _state(view, absent),
        "lastState": _terminated(view.former) if view.former is not None else {},
    }
    if view.id:
        body["containerID"] = SCHEME + view.id
    return body


def _incomplete(pod: Object, containers: Sequence[Object], inits: Sequence[Object]) -> list[str]:
    """The init containers that still hold back the others; none once one of the others was there."""
    if any("containerID" in status for status in containers):
        return []
    sidecars = {c["name"] for c in pod["spec"].get("initContainers") or [] if is_sidecar(c)}
    return [s["name"] for s in inits if not (s["started"] if s["name"] in sidecars else s["ready"])]


def _phase(
    pod: Object, containers: Sequence[Object], inits: Sequence[Object], incomplete: bool, over: bool
) -> Phase:
    """The phase, as a kubelet derives it from the containers' statuses."""
    policy = pod["spec"].get("restartPolicy", "Always")
    if incomplete:
        failed = any(status["state"].get("terminated", {}).get("exitCode", 0) for status in inits)
        return "Failed" if over or (failed and policy == "Never") else "Pending"
    running = sum("running" in status["state"] for status in containers)
    ends = [
        status["state"].get("terminated") or status["lastState"].get("terminated") for status in containers
    ]
    stopped = [
        end for status, end in zip(containers, ends, strict=True) if "running" not in status["state"] and end
    ]
    succeeded = bool(stopped) and all(end["exitCode"] == 0 for end in stopped)
    if over:
        return "Succeeded" if succeeded else "Failed"
    if running + len(stopped) < len(containers):
        return "Pending"
    if running or policy == "Always" or any("waiting" in status["state"] for status in containers):
        return "Running"
    if succeeded:
        return "Succeeded"
    return "Failed" if policy == "Never" else "Running"


def _condition(kind: str, holds: bool, reason: str = "", message: str = "") -> Object:
    body: Object = {"type": kind, "status": "True" if holds else "False"}
    if (reason and not holds) or reason == "PodCompleted":
        body |= {"reason": reason} | ({"message": message} if message else {})
    return body


def _conditions(
    pod: Object,
    containers: Sequence[Object],
    inits: Sequence[Object],
    incomplete: Sequence[str],
    phase: Phase,
    sandbox: bool,
) -> list[Object]:
    sidecars = {c["name"] for c in pod["spec"].get("initContainers") or [] if is_sidecar(c)}
    ended = {"Succeeded": "PodCompleted", "Failed": "PodFailed"}.get(phase, "")
    serving = [status for status in inits if status["name"] in sidecars] + list(containers)
    unready = " ".join(status["name"] for status in serving if not status["ready"])
    waiting = " ".join(incomplete)
    return [
        _condition("PodReadyToStartContainers", sandbox and not ended),
        _condition(
            "Initialized",
            not incomplete,
            "PodCompleted" if ended == "PodCompleted" else "ContainersNotInitialized",
            f"containers with incomplete status: [{waiting}]" if incomplete else "",
        ),
        _condition(
            "ContainersReady",
            not unready and not ended,
            ended or "ContainersNotReady",
            "" if ended else f"containers with unready status: [{unready}]",
        ),
        _condition("PodScheduled", True),
    ]


def _quality(pod: Object) -> str:
    """The quality of service class, from requests and limits."""
    containers = pod["spec"]["containers"] + (pod["spec"].get("initContainers") or [])
    resources = [container.get("resources") or {} for container in containers]
    if not any(r.get("limits") or r.get("requests") for r in resources):
        return "BestEffort"
    for given in resources:
        limits = given.get("limits") or {}
        requests = {**limits, **(given.get("requests") or {})}
        if any(name not in limits or limits[name] != requests[name] for name in ("cpu", "memory")):
            return "Burstable"
    return "Guaranteed"


def pod_status(pod: Object, seen: Seen, health: Health) -> Object:
    """The agent's own part of a status. Its conditions have no times yet, and Ready is missing: see
    merge_status."""
    spec = pod["spec"]
    absent = "PodInitializing" if spec.get("initContainers") else "ContainerCreating"
    none = View()
    inits = [
        container_status(c, seen.containers.get(c["name"], none), health, "PodInitializing", init=True)
        for c in spec.get("initContainers") or []
    ]
    containers = [
        container_status(c, seen.containers.get(c["name"], none), health, absent) for c in spec["containers"]
    ]
    incomplete = _incomplete(pod, containers, inits)
    phase = _phase(pod, containers, inits, bool(incomplete), seen.over)
    body: Object = {
        "phase": phase,
        "conditions": _conditions(pod, containers, inits, incomplete, phase, bool(seen.address)),
        "hostIP": seen.host_ip,
        "hostIPs": [{"ip": seen.host_ip}],
        "startTime": rfc3339(seen.start_time),
        "qosClass": _quality(pod),
        "containerStatuses": containers,
    }
    if inits:
        body["initContainerStatuses"] = inits
    if seen.address:
        body |= {"podIP": seen.address, "podIPs": [{"ip": seen.address}]}
    return body


def _ready(own: Object, gates: Sequence[str], others: Mapping[str, Object]) -> Object:
    """The Ready condition: that of the containers, held back by readiness gates."""
    containers = next(c for c in own["conditions"] if c["type"] == "ContainersReady")
    if containers["status"] != "True":
        return {**containers, "type": "Ready"}
    wrong = []
    for gate in gates:
        if gate not in others:
            wrong.append(f'corresponding condition of pod readiness gate "{gate}" does not exist.')
        elif others[gate]["status"] != "True":
            status = others[gate]["status"]
            wrong.append(f'the status of pod readiness gate "{gate}" is not "True", but {status}')
    return _condition("Ready", not wrong, "ReadinessGatesNotReady", ", ".join(wrong))


def merge_status(pod: Object, own: Object, now: float) -> Object:
    """The whole status to write: `own`, with others' conditions kept and times of changes filled in."""
    current: dict[str, Any] = pod.get("status") or {}
    held = {condition["type"]: condition for condition in current.get("conditions") or []}
    gates = [gate["conditionType"] for gate in pod["spec"].get("readinessGates") or []]
    ours = {condition["type"]: condition for condition in own["conditions"]}
    ours["Ready"] = _ready(own, gates, held)
    for kind, condition in ours.items():
        before = held.get(kind, {})
        same = before.get("status") == condition["status"]
        time = before.get("lastTransitionTime") if same else None
        ours[kind] = {**condition, "lastProbeTime": None, "lastTransitionTime": time or rfc3339(now)}
    order = [kind for kind in OWN_CONDITIONS if kind not in held]
    return {**current, **own, "conditions": [ours.get(kind, held.get(kind)) for kind in (*held, *order)]}
