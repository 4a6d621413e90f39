"""The node agent: registers its node, gives every pod on it a worker, and passes on what happens on the
machine.

Knows nothing of what a worker does with its pod.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import time
from collections.abc import Callable, Coroutine
from typing import Any

from harness.embedded.agent.actions import Actions, Network, PodNetwork
from harness.embedded.agent.node import PodAccess
from harness.embedded.agent.records import Records
from harness.embedded.agent.settings import NodeSettings, Tools
from harness.embedded.agent.volumes import Credentials
from harness.embedded.agent.worker import PodWorker
from harness.embedded.events import Recorder, rfc3339
from harness.embedded.seams import (
    CONFIGMAPS,
    NODES,
    PODS,
    SECRETS,
    Api,
    ApiError,
    Object,
    Resource,
    Runtime,
)

VERSION = "v1.33.0"  # of Kubernetes, as far as this node behaves like one
MAX_PODS = 110  # what a kubelet allows


class NodeAgent:
    """Brings the pods that are assigned to its node to the state that their spec asks for.

    Goes on from what the records say of them, in which an agent before it may have written. `synced` is set once
    it has seen every pod.
    """

    def __init__(
        self,
        api: Api,
        runtime: Runtime,
        records: Records,
        *,
        name: str = "embedded",
        host_ip: str,
        service_host: str,
        service_port: int,
        ca: str,
        token: str,
        kubelet_backoff: bool = False,
        network: Network | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._api, self._runtime, self._records, self._clock = api, runtime, records, clock
        credentials = Credentials(ca, token)
        self._settings = NodeSettings(
            name, host_ip, service_host, service_port, credentials, kubelet_backoff, _capacity()
        )
        self._actions = Actions(runtime, network or PodNetwork())
        self._recorder = Recorder(api, "kubelet", name, clock)
        self._workers: dict[str, PodWorker] = {}
        self.node = PodAccess(self._worker_of, runtime, clock)
        self.synced = asyncio.Event()

    async def run(self) -> None:
        """Works until cancelled; any error that is not the cluster's daily life ends it."""
        await self._register()
        async with asyncio.TaskGroup() as group:

            def spawn(work: Coroutine[None, None, None]) -> asyncio.Task[None]:
                return group.create_task(work)

            tools = Tools(
                self._api,
                self._runtime,
                self._records,
                self._actions,
                self._recorder,
                self._settings,
                self._clock,
                spawn,
            )
            spawn(self._recorder.run())
            spawn(self._exits())
            spawn(self._pods(tools))
            spawn(self._sources(CONFIGMAPS))
            spawn(self._sources(SECRETS))

    async def _pods(self, tools: Tools) -> None:
        async for event in self._api.watch(PODS):
            if event.type == "SYNCED":
                for uid in self._records.uids() - self._workers.keys():
                    tools.spawn(self._clear(uid))
                self.synced.set()
                continue
            if event.object["spec"].get("nodeName") != self._settings.name:
                continue
            uid = str(event.object["metadata"]["uid"])
            worker = self._workers.get(uid)
            if event.type == "DELETED":
                if worker is not None:
                    self._workers.pop(uid).gone()
            elif worker is not None:
                worker.update(event.object)
            else:
                self._workers[uid] = worker = PodWorker(event.object, tools)
                tools.spawn(worker.run())

    async def _clear(self, uid: str) -> None:
        """Ends what runs of a pod that was removed from the API while no agent was there."""
        await self._runtime.remove_sandbox(self._records.of(uid).sandbox)
        shutil.rmtree(self._runtime.volumes / uid, ignore_errors=True)
        self._records.forget(uid)

    async def _sources(self, resource: Resource) -> None:
        """Wakes the pods of a namespace when a ConfigMap or Secret in it changes."""
        async for event in self._api.watch(resource):
            if event.type == "SYNCED":
                continue
            namespace = event.object["metadata"]["namespace"]
            for worker in self._workers.values():
                if worker.pod["metadata"]["namespace"] == namespace:
                    worker.refresh()

    async def _exits(self) -> None:
        async for exit in self._runtime.exits():
            if (known := self._records.ended(exit)) and (worker := self._workers.get(known[0])):
                worker.exited(known[1])

    def _worker_of(self, namespace: str, pod: str) -> PodWorker | None:
        for worker in self._workers.values():
            metadata = worker.pod["metadata"]
            if (metadata["namespace"], metadata["name"]) == (namespace, pod):
                return worker
        return None

    async def _register(self) -> None:
        """Makes the Node object, ready from the start: the agent begins with it."""
        status = self._node_status()
        body: Object = {
            "apiVersion": "v1",
            "kind": "Node",
            "metadata": {
                "name": self._settings.name,
                "labels": {
                    "kubernetes.io/hostname": self._settings.name,
                    "hotupgrade/cluster": "embedded",  # no Services, and whether quick changes are delayed
                    "hotupgrade/kubelet-backoff": str(self._settings.kubelet_backoff).lower(),
                },
            },
            "spec": {},
            "status": status,
        }
        try:
            await self._api.create(NODES, body)
        except ApiError as error:
            if error.reason != "AlreadyExists":
                raise
        await self._api.patch(NODES, self._settings.name, {"status": status}, subresource="status")

    def _node_status(self) -> Object:
        now, capacity = rfc3339(self._clock()), dict(self._settings.capacity)
        ready = {
            "type": "Ready",
            "status": "True",
            "reason": "KubeletReady",
            "message": "the embedded cluster's node agent runs",
            "lastHeartbeatTime": now,
            "lastTransitionTime": now,
        }
        machine = os.uname()
        info: dict[str, Any] = {
            "kubeletVersion": VERSION,
            "containerRuntimeVersion": "embedded://1",
            "kernelVersion": machine.release,
            "operatingSystem": "linux",
            "architecture": {"x86_64": "amd64", "aarch64": "arm64"}.get(machine.machine, machine.machine),
            "osImage": "embedded cluster",
            "kubeProxyVersion": "",
            "machineID": "",
            "systemUUID": "",
            "bootID": "",
        }
        addresses = [
            {"type": "InternalIP", "address": self._settings.host_ip},
            {"type": "Hostname", "address": self._settings.name},
        ]
        return {
            "capacity": capacity,
            "allocatable": capacity,
            "conditions": [ready],
            "addresses": addresses,
            "nodeInfo": info,
        }


def _capacity() -> dict[str, str]:
    kibibytes = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 1024
    return {"cpu": str(os.cpu_count() or 1), "memory": f"{kibibytes}Ki", "pods": str(MAX_PODS)}
