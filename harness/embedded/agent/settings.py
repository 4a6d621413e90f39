"""What the parts of the agent share: who the node is, and what they act through. Holds no state of pods."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass

from harness.embedded.agent.actions import Actions
from harness.embedded.agent.records import Records
from harness.embedded.agent.volumes import Credentials
from harness.embedded.events import Recorder
from harness.embedded.seams import Api, Object, Runtime


@dataclass(frozen=True)
class NodeSettings:
    """Who the node is, and how pods find the API (`service_host`, `service_port`)."""

    name: str
    host_ip: str
    service_host: str
    service_port: int
    credentials: Credentials
    kubelet_backoff: bool
    capacity: Mapping[str, str]


@dataclass(frozen=True)
class Tools:
    """What pod workers act through, and where they take down what they made."""

    api: Api
    runtime: Runtime
    records: Records
    actions: Actions
    recorder: Recorder
    settings: NodeSettings
    clock: Callable[[], float]
    spawn: Callable[[Coroutine[None, None, None]], asyncio.Task[None]]

    def event(
        self, pod: Object, kind: str, reason: str, message: str, container: str = "", init: bool = False
    ) -> None:
        """Tells an event about a pod, or about one of its containers."""
        path = f"spec.{'initContainers' if init else 'containers'}{{{container}}}" if container else ""
        self.recorder.event(pod, "Warning" if kind == "Warning" else "Normal", reason, message, path)
