"""Deployments: one ReplicaSet per version of the pod template, and the way from one to the next.

Knows nothing of pods but their number, except that Recreate waits until the others' pods are gone.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import time
from collections.abc import Callable, Iterable

from harness.embedded.controllers.ownership import claimed, controlled_by, present, reference, selector_text
from harness.embedded.controllers.progress import Rollout, deployment_status, tolerated
from harness.embedded.controllers.queue import Key, WorkQueue, feed
from harness.embedded.controllers.rollout import Replicas, recreate, rolling
from harness.embedded.events import Recorder
from harness.embedded.seams import DEPLOYMENTS, PODS, REPLICASETS, Api, Object, WatchEvent

HASH = "pod-template-hash"
REVISION = "deployment.kubernetes.io/revision"
DEFAULT_HISTORY = 10  # the API's default
HASH_LETTERS = "bcdfghjklmnpqrstvwxz2456789"  # those of generated names: no vowels, no words


def template_hash(template: Object) -> str:
    """Ten letters that name a version of a pod template."""
    digest = hashlib.sha256(json.dumps(template, sort_keys=True).encode()).digest()
    return "".join(HASH_LETTERS[byte % len(HASH_LETTERS)] for byte in digest[:10])


def _bare(template: Object) -> Object:
    """A template without the hash that was added to it."""
    metadata = dict(template.get("metadata") or {})
    metadata["labels"] = {key: value for key, value in (metadata.get("labels") or {}).items() if key != HASH}
    return {**template, "metadata": {key: value for key, value in metadata.items() if value}}


def _revision(body: Object) -> int:
    return int((body["metadata"].get("annotations") or {}).get(REVISION, 0))


def _replicas(body: Object, existing: int | None = None) -> Replicas:
    wanted = int(body["spec"].get("replicas", 1))
    status = body.get("status") or {}
    there = int(status.get("replicas") or 0) if existing is None else existing
    return Replicas(body["metadata"]["name"], wanted, int(status.get("availableReplicas") or 0), there)


class Deployments:
    """Looks at one Deployment at a time."""

    def __init__(self, api: Api, recorder: Recorder, clock: Callable[[], float]) -> None:
        self._api, self._recorder, self._clock = api, recorder, clock

    async def look(self, key: Key) -> float | None:
        """Takes the next step of a roll-out, if one is due, and writes down how far it is."""
        owner = await present(self._api, DEPLOYMENTS, key)
        if owner is None or "deletionTimestamp" in owner["metadata"]:
            return None
        sets = sorted(
            await claimed(self._api, REPLICASETS, owner),
            key=lambda body: (_revision(body), body["metadata"]["name"]),
        )
        target = self._target(owner, sets)
        paused, created = bool(owner["spec"].get("paused")), False
        if target is None and not paused:
            target, created = await self._create(owner, sets), True
        others = [
            body for body in sets if target is None or body["metadata"]["uid"] != target["metadata"]["uid"]
        ]
        if target is not None and not created:
            target = await self._newest_revision(target, others)
        if target is not None:
            sizes = {} if paused and others else await self._sizes(owner, target, others)
            for body in (target, *others):
                await self._scale(owner, body, sizes)
        await self._tidy(owner, others)
        return await self._write(owner, Rollout(owner, target, others, created))

    def _target(self, owner: Object, sets: list[Object]) -> Object | None:
        """The ReplicaSet of the template as it is now."""
        template = _bare(owner["spec"]["template"])
        return next((body for body in reversed(sets) if _bare(body["spec"]["template"]) == template), None)

    async def _create(self, owner: Object, sets: list[Object]) -> Object:
        spec, metadata = owner["spec"], owner["metadata"]
        name = template_hash(spec["template"])
        template = json.loads(json.dumps(spec["template"]))
        labels = template.setdefault("metadata", {}).setdefault("labels", {})
        labels[HASH] = name
        selector = {
            **spec["selector"],
            "matchLabels": {**(spec["selector"].get("matchLabels") or {}), HASH: name},
        }
        body: Object = {
            "apiVersion": "apps/v1",
            "kind": "ReplicaSet",
            "metadata": {
                "name": f"{metadata['name']}-{name}",
                "namespace": metadata["namespace"],
                "labels": dict(labels),
                "annotations": {REVISION: str(max(map(_revision, sets), default=0) + 1)},
                "ownerReferences": [reference(owner)],
            },
            "spec": {
                "replicas": 0,
                "minReadySeconds": spec.get("minReadySeconds", 0),
                "selector": selector,
                "template": template,
            },
        }
        return await self._api.create(REPLICASETS, body, metadata["namespace"])

    async def _newest_revision(self, target: Object, others: list[Object]) -> Object:
        """Gives a ReplicaSet that is used again the highest revision."""
        highest = max(map(_revision, others), default=0)
        if _revision(target) > highest:
            return target
        patch = {"metadata": {"annotations": {REVISION: str(highest + 1)}}}
        return await self._api.patch(
            REPLICASETS, target["metadata"]["name"], patch, target["metadata"]["namespace"]
        )

    async def _sizes(self, owner: Object, target: Object, others: list[Object]) -> dict[str, int]:
        desired, strategy = int(owner["spec"].get("replicas", 1)), owner["spec"].get("strategy") or {}
        if strategy.get("type") == "Recreate":
            held = [_replicas(body, await self._existing(body)) for body in others]
            return recreate(desired, _replicas(target), held)
        surge, unavailable = tolerated(owner)
        return rolling(desired, surge, unavailable, _replicas(target), [_replicas(body) for body in others])

    async def _existing(self, body: Object) -> int:
        """How many pods of a ReplicaSet are still there, those that are ending too."""
        selector = selector_text(body["spec"]["selector"])
        pods = await self._api.list(PODS, body["metadata"]["namespace"], labels=selector)
        return sum((pod.get("status") or {}).get("phase") not in ("Succeeded", "Failed") for pod in pods)

    async def _scale(self, owner: Object, body: Object, sizes: dict[str, int]) -> None:
        name, before = body["metadata"]["name"], int(body["spec"].get("replicas", 1))
        after = sizes.get(name, before)
        if after == before:
            return
        await self._api.patch(REPLICASETS, name, {"spec": {"replicas": after}}, body["metadata"]["namespace"])
        body["spec"]["replicas"] = after
        way = "up" if after > before else "down"
        text = f"Scaled {way} replica set {name} from {before} to {after}"
        self._recorder.event(owner, "Normal", "ScalingReplicaSet", text)

    async def _tidy(self, owner: Object, others: list[Object]) -> None:
        """Removes the ReplicaSets of long ago."""
        limit = owner["spec"].get("revisionHistoryLimit", DEFAULT_HISTORY)
        unused = [
            body
            for body in others
            if not body["spec"].get("replicas") and not (body.get("status") or {}).get("replicas")
        ]
        for body in unused[: max(0, len(unused) - limit)]:
            await self._api.delete(REPLICASETS, body["metadata"]["name"], body["metadata"]["namespace"])

    async def _write(self, owner: Object, rollout: Rollout) -> float | None:
        """Writes status and revision; in how many seconds the roll-out is late, if it is not done."""
        status, again = deployment_status(rollout, self._clock())
        target, metadata = rollout.target, owner["metadata"]
        if target is not None and _revision(owner) != _revision(target):
            patch = {"metadata": {"annotations": {REVISION: str(_revision(target))}}}
            owner = await self._api.patch(DEPLOYMENTS, metadata["name"], patch, metadata["namespace"])
        if status != (owner.get("status") or {}):
            await self._api.update(DEPLOYMENTS, {**owner, "status": status}, subresource="status")
        return again


def _of_pod(event: WatchEvent) -> Iterable[Key]:
    """The Deployment of a pod that is gone, for Recreate: its name is that of the pod's ReplicaSet without
    the hash."""
    labels = event.object["metadata"].get("labels") or {}
    if event.type != "DELETED" or HASH not in labels:
        return
    for entry in event.object["metadata"].get("ownerReferences") or []:
        if entry["kind"] == "ReplicaSet":
            yield event.object["metadata"]["namespace"], entry["name"].removesuffix(f"-{labels[HASH]}")


async def run(api: Api, clock: Callable[[], float] = time.time) -> None:
    """Runs the controller until cancelled."""
    recorder, queue = Recorder(api, "deployment-controller", clock=clock), WorkQueue()
    async with asyncio.TaskGroup() as group:
        group.create_task(recorder.run())
        group.create_task(feed(api, DEPLOYMENTS, queue))
        group.create_task(feed(api, REPLICASETS, queue, controlled_by("Deployment")))
        group.create_task(feed(api, PODS, queue, _of_pod))
        group.create_task(queue.run(Deployments(api, recorder, clock).look))
