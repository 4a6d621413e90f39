"""What every namespace begins with: the ServiceAccount `default`, and the ConfigMap with the cluster's
certificate.

Knows nothing of tokens; the node agent hands them out.
"""

from __future__ import annotations

import asyncio

from harness.embedded.controllers.ownership import present
from harness.embedded.controllers.queue import Key, WorkQueue, feed
from harness.embedded.seams import (
    CONFIGMAPS,
    NAMESPACES,
    SERVICEACCOUNTS,
    Api,
    ApiError,
    Object,
    Resource,
    WatchEvent,
)

ACCOUNT, CERTIFICATE = "default", "kube-root-ca.crt"


async def run(api: Api, ca: str) -> None:
    """Runs the controller until cancelled."""
    wanted: dict[Resource, Object] = {
        SERVICEACCOUNTS: {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": ACCOUNT}},
        CONFIGMAPS: {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": CERTIFICATE},
            "data": {"ca.crt": ca},
        },
    }

    async def look(key: Key) -> float | None:
        namespace = await present(api, NAMESPACES, key)
        if namespace is None or "deletionTimestamp" in namespace["metadata"]:
            return None
        for resource, body in wanted.items():
            if await present(api, resource, (key[1], body["metadata"]["name"])) is None:
                try:
                    await api.create(resource, body, key[1])
                except ApiError as error:
                    if error.code != 409:  # somebody was faster
                        raise
        return None

    def of_namespace(event: WatchEvent) -> list[Key]:
        metadata = event.object["metadata"]
        ours = event.type == "DELETED" and metadata["name"] in (ACCOUNT, CERTIFICATE)
        return [("", metadata["namespace"])] if ours else []

    queue = WorkQueue()
    async with asyncio.TaskGroup() as group:
        group.create_task(feed(api, NAMESPACES, queue))
        group.create_task(feed(api, SERVICEACCOUNTS, queue, of_namespace))
        group.create_task(feed(api, CONFIGMAPS, queue, of_namespace))
        group.create_task(queue.run(look))
