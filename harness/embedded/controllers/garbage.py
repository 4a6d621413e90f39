"""Deletes what an owner leaves behind when it is gone, or frees it where the owner's deletion asks for that.

Knows the built-in kinds; an owner of another kind is taken to be there.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

from harness.embedded.controllers.ownership import present
from harness.embedded.controllers.queue import Key, WorkQueue
from harness.embedded.seams import (
    CONFIGMAPS,
    CONTROLLERREVISIONS,
    DEPLOYMENTS,
    PODS,
    REPLICASETS,
    SECRETS,
    SERVICEACCOUNTS,
    SERVICES,
    Api,
    ApiError,
    Object,
    Resource,
)

KINDS: dict[tuple[str, str], Resource] = {
    ("apps/v1", "Deployment"): DEPLOYMENTS,
    ("apps/v1", "ReplicaSet"): REPLICASETS,
    ("apps/v1", "ControllerRevision"): CONTROLLERREVISIONS,
    ("v1", "Pod"): PODS,
    ("v1", "ConfigMap"): CONFIGMAPS,
    ("v1", "Secret"): SECRETS,
    ("v1", "Service"): SERVICES,
    ("v1", "ServiceAccount"): SERVICEACCOUNTS,
}
ORPHAN, FOREGROUND = "orphan", "foregroundDeletion"  # finalizers that say how an owner's deletion goes on


@dataclass
class _Known:
    resource: Resource
    key: Key
    owners: list[Object] = field(default_factory=list)


class Garbage:
    """Who owns whom, by uid."""

    def __init__(self, api: Api, queue: WorkQueue) -> None:
        self._api, self._queue = api, queue
        self._known: dict[str, _Known] = {}
        self._dependents: dict[str, set[str]] = {}

    async def follow(self, resource: Resource) -> None:
        """Keeps the picture of one kind up to date, and puts in line what has to be looked at."""
        async for event in self._api.watch(resource):
            if event.type == "SYNCED":
                continue
            metadata = event.object["metadata"]
            uid = str(metadata["uid"])
            self._forget(uid)
            if event.type == "DELETED":
                self._on_deleted(uid, metadata)
                continue
            owners = list(metadata.get("ownerReferences") or [])
            self._known[uid] = _Known(resource, (metadata.get("namespace", ""), metadata["name"]), owners)
            for owner in owners:
                self._dependents.setdefault(owner["uid"], set()).add(uid)
            if (event.type == "ADDED" and owners) or "deletionTimestamp" in metadata:
                self._queue.add(("", uid))

    def _forget(self, uid: str) -> None:
        known = self._known.pop(uid, None)
        for owner in known.owners if known else ():
            dependents = self._dependents.get(owner["uid"], set())
            dependents.discard(uid)
            if not dependents:
                self._dependents.pop(owner["uid"], None)

    def _on_deleted(self, uid: str, metadata: Object) -> None:
        for dependent in self._dependents.pop(uid, set()):
            self._queue.add(("", dependent))
        for owner in metadata.get("ownerReferences") or []:
            self._queue.add(("", owner["uid"]))

    async def look(self, key: Key) -> float | None:
        """Deletes an object whose owners are all gone; goes on with the deletion of one that waits for its
        dependents."""
        known = self._known.get(key[1])
        if known is None:
            return None
        body = await present(self._api, known.resource, known.key)
        if body is None or body["metadata"]["uid"] != key[1]:
            return None
        if "deletionTimestamp" in body["metadata"]:
            await self._finish(key[1], known, body)
        elif known.owners and not await self._owned(known):
            await self._delete(known, key[1])
        return None

    async def _owned(self, known: _Known) -> bool:
        """Whether one of its owners is still there."""
        for owner in known.owners:
            resource = KINDS.get((owner["apiVersion"], owner["kind"]))
            if resource is None:
                return True
            body = await present(self._api, resource, (known.key[0], owner["name"]))
            if body is not None and body["metadata"]["uid"] == owner["uid"]:
                return True
        return False

    async def _delete(self, known: _Known, uid: str) -> None:
        try:
            await self._api.delete(known.resource, known.key[1], known.key[0] or None, uid=uid)
        except ApiError as error:
            if error.code not in (404, 409):  # gone already, or another of that name
                raise

    async def _finish(self, uid: str, known: _Known, body: Object) -> None:
        finalizers = list(body["metadata"].get("finalizers") or [])
        dependents = [(other, self._known[other]) for other in self._dependents.get(uid, set())]
        if ORPHAN in finalizers:
            for _, dependent in dependents:
                await self._free(dependent, uid)
            await self._drop_finalizer(known, finalizers, ORPHAN)
        elif FOREGROUND in finalizers:
            for other, dependent in dependents:
                await self._delete(dependent, other)
            if not dependents:
                await self._drop_finalizer(known, finalizers, FOREGROUND)

    async def _free(self, dependent: _Known, owner: str) -> None:
        kept = [entry for entry in dependent.owners if entry["uid"] != owner]
        await self._patch(dependent, {"metadata": {"ownerReferences": kept or None}})

    async def _drop_finalizer(self, known: _Known, finalizers: list[str], name: str) -> None:
        kept = [entry for entry in finalizers if entry != name]
        await self._patch(known, {"metadata": {"finalizers": kept or None}})

    async def _patch(self, known: _Known, patch: Object) -> None:
        try:
            await self._api.patch(known.resource, known.key[1], patch, known.key[0] or None)
        except ApiError as error:
            if error.code != 404:
                raise


async def run(api: Api) -> None:
    """Runs the controller until cancelled."""
    queue = WorkQueue()
    garbage = Garbage(api, queue)
    async with asyncio.TaskGroup() as group:
        for resource in KINDS.values():
            group.create_task(garbage.follow(resource))
        group.create_task(queue.run(garbage.look))
