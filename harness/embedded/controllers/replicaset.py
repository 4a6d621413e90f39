"""ReplicaSets: as many pods as asked for. Knows nothing of Deployments.

Reads are never behind writes here, so that it counts pods anew at each look and expects nothing.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any

from harness.embedded.controllers.ownership import claimed, controlled_by, present, reference
from harness.embedded.controllers.queue import Key, WorkQueue, feed
from harness.embedded.events import Recorder, unix
from harness.embedded.seams import PODS, REPLICASETS, Api, ApiError, Object

PHASES = {"Pending": 0, "Unknown": 1, "Running": 2}  # in which order pods are given up
COST = "controller.kubernetes.io/pod-deletion-cost"


def condition(pod: Object, kind: str) -> Object:
    """A pod's condition of that type, or nothing."""
    for entry in (pod.get("status") or {}).get("conditions") or []:
        if entry["type"] == kind:
            return dict(entry)
    return {}


def is_ready(pod: Object) -> bool:
    """Whether a pod is ready."""
    return condition(pod, "Ready").get("status") == "True"


def is_active(pod: Object) -> bool:
    """Whether a pod counts as a replica."""
    over = (pod.get("status") or {}).get("phase") in ("Succeeded", "Failed")
    return not over and "deletionTimestamp" not in pod["metadata"]


def available_in(pod: Object, after: float, now: float) -> float | None:
    """Seconds until a pod counts as available (0: it does), None if it is not ready."""
    ready = condition(pod, "Ready")
    if ready.get("status") != "True":
        return None
    return max(0.0, unix(ready["lastTransitionTime"]) + after - now) if after else 0.0


def dispensable_first(pod: Object) -> tuple[Any, ...]:
    """Sorts pods by how well one can do without them: not assigned, not running, not ready, cheap,
    restarted, young."""
    status = pod.get("status") or {}
    restarts = sum(c.get("restartCount", 0) for c in status.get("containerStatuses") or [])
    try:
        cost = int((pod["metadata"].get("annotations") or {}).get(COST, 0))
    except ValueError:
        cost = 0
    ready = condition(pod, "Ready")
    ready_since = unix(ready["lastTransitionTime"]) if ready.get("status") == "True" else 0.0
    return (
        bool(pod["spec"].get("nodeName")),
        PHASES.get(status.get("phase", ""), 1),
        is_ready(pod),
        cost,
        -ready_since,
        -restarts,
        -unix(pod["metadata"]["creationTimestamp"]),
    )


class ReplicaSets:
    """Looks at one ReplicaSet at a time."""

    def __init__(self, api: Api, recorder: Recorder, clock: Callable[[], float]) -> None:
        self._api, self._recorder, self._clock = api, recorder, clock

    async def look(self, key: Key) -> float | None:
        """Makes or gives up pods until there are as many as asked for, and counts them."""
        owner = await present(self._api, REPLICASETS, key)
        if owner is None or "deletionTimestamp" in owner["metadata"]:
            return None
        active = [pod for pod in await claimed(self._api, PODS, owner) if is_active(pod)]
        surplus = len(active) - owner["spec"].get("replicas", 1)
        refused: ApiError | None = None
        try:
            for _ in range(-surplus):
                active.append(await self._create(owner))
        except ApiError as error:
            refused = error
            self._recorder.event(owner, "Warning", "FailedCreate", f"Error creating: {error.message}")
        for pod in sorted(active, key=dispensable_first)[: max(0, surplus)]:
            await self._delete(owner, pod)
            active.remove(pod)
        again = await self._count(owner, active, refused)
        if refused is not None:
            raise refused
        return again

    async def _create(self, owner: Object) -> Object:
        template, namespace = owner["spec"]["template"], owner["metadata"]["namespace"]
        metadata = template.get("metadata") or {}
        body: Object = {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {
                "generateName": f"{owner['metadata']['name']}-",
                "namespace": namespace,
                "labels": dict(metadata.get("labels") or {}),
                "annotations": dict(metadata.get("annotations") or {}),
                "finalizers": list(metadata.get("finalizers") or []),
                "ownerReferences": [reference(owner)],
            },
            "spec": template["spec"],
        }
        body["metadata"] = {key: value for key, value in body["metadata"].items() if value}
        pod = await self._api.create(PODS, body, namespace)
        self._recorder.event(owner, "Normal", "SuccessfulCreate", f"Created pod: {pod['metadata']['name']}")
        return pod

    async def _delete(self, owner: Object, pod: Object) -> None:
        metadata = pod["metadata"]
        try:
            await self._api.delete(PODS, metadata["name"], metadata["namespace"], uid=metadata["uid"])
        except ApiError as error:
            if error.code not in (404, 409):  # gone already, or another of that name
                raise
            return
        self._recorder.event(owner, "Normal", "SuccessfulDelete", f"Deleted pod: {metadata['name']}")

    async def _count(self, owner: Object, active: list[Object], refused: ApiError | None) -> float | None:
        """Writes the status; in how many seconds another pod becomes available, if time alone makes it so."""
        spec, now = owner["spec"], self._clock()
        waits = [available_in(pod, spec.get("minReadySeconds", 0), now) for pod in active]
        labels = (spec["template"].get("metadata") or {}).get("labels") or {}
        labelled = [pod for pod in active if labels.items() <= (pod["metadata"].get("labels") or {}).items()]
        status: Object = {
            "replicas": len(active),
            "fullyLabeledReplicas": len(labelled),
            "readyReplicas": sum(is_ready(pod) for pod in active),
            "availableReplicas": sum(wait == 0.0 for wait in waits),
            "observedGeneration": owner["metadata"].get("generation", 1),
        }
        if refused is not None:
            failure = {"type": "ReplicaFailure", "status": "True", "reason": "FailedCreate"}
            status["conditions"] = [{**failure, "message": refused.message}]
        if status != (owner.get("status") or {}):
            await self._api.update(REPLICASETS, {**owner, "status": status}, subresource="status")
        return min((wait for wait in waits if wait), default=None)


async def run(api: Api, clock: Callable[[], float] = time.time) -> None:
    """Runs the controller until cancelled."""
    recorder, queue = Recorder(api, "replicaset-controller", clock=clock), WorkQueue()
    async with asyncio.TaskGroup() as group:
        group.create_task(recorder.run())
        group.create_task(feed(api, REPLICASETS, queue))
        group.create_task(feed(api, PODS, queue, controlled_by("ReplicaSet")))
        group.create_task(queue.run(ReplicaSets(api, recorder, clock).look))
