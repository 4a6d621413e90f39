"""Ends a namespace that is being deleted: its content first, then the namespace. Knows no custom
resources."""

from __future__ import annotations

import asyncio

from harness.embedded.controllers.ownership import present
from harness.embedded.controllers.queue import Key, WorkQueue, feed
from harness.embedded.seams import (
    CONFIGMAPS,
    CONTROLLERREVISIONS,
    DEPLOYMENTS,
    ENDPOINTS,
    EVENTS,
    LEASES,
    NAMESPACES,
    PODS,
    REPLICASETS,
    SECRETS,
    SERVICEACCOUNTS,
    SERVICES,
    Api,
    ApiError,
    WatchEvent,
)

# Owners before what they own, so that nothing is made again; events last: the end of pods is told by them.
CONTENT = (
    DEPLOYMENTS,
    REPLICASETS,
    PODS,
    CONTROLLERREVISIONS,
    SERVICES,
    ENDPOINTS,
    CONFIGMAPS,
    SECRETS,
    SERVICEACCOUNTS,
    LEASES,
    EVENTS,
)


async def _empty(api: Api, namespace: str) -> bool:
    """Deletes what is in a namespace; whether nothing is left."""
    empty = True
    for resource in CONTENT:
        for body in await api.list(resource, namespace):
            if "deletionTimestamp" not in body["metadata"]:
                try:
                    await api.delete(resource, body["metadata"]["name"], namespace)
                except ApiError as error:
                    if error.code != 404:
                        raise
        empty = empty and not await api.list(resource, namespace)
    return empty


async def run(api: Api) -> None:
    """Runs the controller until cancelled."""

    async def look(key: Key) -> float | None:
        namespace = await present(api, NAMESPACES, key)
        if namespace is None or "deletionTimestamp" not in namespace["metadata"]:
            return None
        if await _empty(api, key[1]):
            spec = {**(namespace.get("spec") or {}), "finalizers": []}
            await api.update(NAMESPACES, {**namespace, "spec": spec}, subresource="finalize")
        return None

    def of_namespace(event: WatchEvent) -> list[Key]:
        return [("", event.object["metadata"]["namespace"])] if event.type == "DELETED" else []

    queue = WorkQueue()
    async with asyncio.TaskGroup() as group:
        group.create_task(feed(api, NAMESPACES, queue))
        for resource in CONTENT:
            group.create_task(feed(api, resource, queue, of_namespace))
        group.create_task(queue.run(look))
