"""A node agent on a fake machine and a fake API, and pods to give it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

from harness.embedded.agent.agent import NodeAgent
from harness.embedded.agent.records import Records
from harness.embedded.agent.service import AgentService
from harness.embedded.seams import EVENTS, PODS, ApiError, Object
from tests.embedded.fakes import FakeApi, FakeRuntime, Program, clock

LOOK_S = 0.01  # virtual seconds between two looks at a condition


class FakeNetwork:
    """Answers by URL or host:port; whatever is not named refuses."""

    def __init__(self) -> None:
        self.answers: dict[str, int] = {}
        self.asked: list[str] = []

    async def http(self, url: str, headers: Mapping[str, str], timeout: float) -> tuple[int, str]:
        self.asked.append(url)
        if url not in self.answers:
            raise ConnectionRefusedError("connection refused")
        return self.answers[url], "body"

    async def tcp(self, host: str, port: int, timeout: float) -> None:
        self.asked.append(f"{host}:{port}")
        if f"{host}:{port}" not in self.answers:
            raise ConnectionRefusedError("connection refused")


class Rig:
    """The agent, what is around it, and ways to look at one pod called `pod`."""

    def __init__(self, folder: Path, programs: Mapping[str, Program], backoff: bool) -> None:
        self.api, self.runtime, self.network = FakeApi(), FakeRuntime(folder, programs), FakeNetwork()
        self._backoff = backoff
        self.agent = AgentService(self._new_agent)

    def _new_agent(self, records: Records) -> NodeAgent:
        self.records = records
        return NodeAgent(
            self.api,
            self.runtime,
            records,
            host_ip="10.0.0.1",
            service_host="10.0.0.1",
            service_port=6443,
            ca="CA",
            token="TOKEN",
            kubelet_backoff=self._backoff,
            network=self.network,
            clock=clock,
        )

    @property
    def now(self) -> float:
        return asyncio.get_running_loop().time()

    async def create(
        self, *containers: Object, annotations: Mapping[str, str] | None = None, **spec: Any
    ) -> Object:
        metadata = {"name": "pod", "labels": {"app": "x"}, "annotations": dict(annotations or {})}
        body = {
            "metadata": metadata,
            "spec": {"nodeName": "embedded", "containers": list(containers), **spec},
        }
        return await self.api.create(PODS, body, "default")

    async def pod(self) -> Object:
        return await self.api.get(PODS, "pod", "default")

    async def set_image(
        self, container: str, image: str, annotations: Mapping[str, str] | None = None
    ) -> None:
        pod = await self.pod()
        for key in ("containers", "initContainers"):
            for body in pod["spec"].get(key) or []:
                if body["name"] == container:
                    body["image"] = image
        pod["metadata"]["annotations"] |= annotations or {}
        await self.api.update(PODS, pod)

    async def status(self, container: str, key: str = "containerStatuses") -> Object:
        """One container's status; nothing as long as there is none."""
        for status in (await self.pod()).get("status", {}).get(key, []):
            if status["name"] == container:
                return dict(status)
        return {}

    async def state(self, container: str, key: str = "containerStatuses") -> tuple[str, str]:
        """Kind and reason of a container's state."""
        state = (await self.status(container, key)).get("state") or {"": {}}
        kind, body = next(iter(state.items()))
        return kind, body.get("reason", "")

    async def condition(self, kind: str) -> Object:
        for condition in (await self.pod()).get("status", {}).get("conditions", []):
            if condition["type"] == kind:
                return dict(condition)
        return {}

    async def ready(self) -> bool:
        return (await self.condition("Ready")).get("status") == "True"

    async def gone(self) -> bool:
        try:
            await self.pod()
        except ApiError:
            return True
        return False

    async def until(self, check: Callable[[], Any], what: str, within: float = 60.0) -> float:
        """Waits until the check holds, which may be a coroutine function; the time it took."""
        begun = self.now
        while self.now - begun < within:
            result = check()
            if asyncio.iscoroutine(result):
                result = await result
            if result:
                return self.now - begun
            await asyncio.sleep(LOOK_S)
        raise AssertionError(f"{what}: not within {within} s; the machine did {self.runtime.did}")

    async def until_ready(self) -> float:
        return await self.until(self.ready, "pod ready")

    async def until_state(self, container: str, kind: str, reason: str = "", within: float = 60.0) -> float:
        async def holds() -> bool:
            return await self.state(container) == (kind, reason)

        return await self.until(holds, f"{container} {kind} {reason}", within)

    def shown(self, container: str) -> list[tuple[str, str, int, bool]]:
        """What watchers saw of a container: kind, reason, restarts, ready; without repetition."""
        seen: list[tuple[str, str, int, bool]] = []
        for _, resource, body in self.api.history:
            statuses = body.get("status", {}).get("containerStatuses", []) if resource == PODS else []
            for status in statuses:
                if status["name"] == container:
                    kind, state = next(iter(status["state"].items()))
                    line = (kind, state.get("reason", ""), status["restartCount"], status["ready"])
                    if line not in seen[-1:]:
                        seen.append(line)
        return seen

    async def events(self, reason: str = "") -> list[str]:
        """`reason container: message` of the events told so far."""
        await asyncio.sleep(LOOK_S)
        found = []
        for event in await self.api.list(EVENTS):
            path = event["involvedObject"].get("fieldPath", "")
            if not reason or event["reason"] == reason:
                found.append(f"{event['reason']} {path}: {event['message']}")
        return found

    def did(self, *words: str) -> list[str]:
        """What the machine was asked for that begins with one of the words."""
        return [text for _, text in self.runtime.did if text.startswith(words)]


@asynccontextmanager
async def running(
    folder: Path, programs: Mapping[str, Program] | None = None, backoff: bool = False
) -> AsyncIterator[Rig]:
    """A rig whose agent runs; an error in the agent is an error of the test."""
    rig = Rig(folder, {"app:v1": Program(), "app:v2": Program(), **(programs or {})}, backoff)
    task = asyncio.create_task(rig.agent.run())
    try:
        yield rig
    finally:
        failed = task.done()
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
        assert not failed, "the agent ended by itself"


def container(name: str = "app", image: str = "app:v1", **more: Any) -> Object:
    """A container."""
    return {"name": name, "image": image, **more}


def hook(*command: str) -> Object:
    """A container's postStart hook."""
    return {"lifecycle": {"postStart": {"exec": {"command": list(command)}}}}
