"""A simple API and a machine whose processes are timers, with the contracts of `harness.embedded.seams`."""

from __future__ import annotations

import asyncio
import copy
import itertools
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from harness.embedded.events import rfc3339
from harness.embedded.seams import (
    CONFIGMAPS,
    DEPLOYMENTS,
    EVENTS,
    NAMESPACES,
    NODES,
    PODS,
    REPLICASETS,
    SECRETS,
    SERVICEACCOUNTS,
    ApiError,
    ContainerSpec,
    Exit,
    Image,
    ImageNotFound,
    Object,
    Resource,
    Running,
    RuntimeFailure,
    WatchEvent,
)

EPOCH = 1_800_000_000.0  # Unix seconds at the beginning of virtual time
START_S = 0.03  # what a start takes on a real machine
CLUSTER_SCOPED = (NODES, NAMESPACES)
KINDS = {
    CONFIGMAPS: "ConfigMap",
    DEPLOYMENTS: "Deployment",
    EVENTS: "Event",
    NAMESPACES: "Namespace",
    NODES: "Node",
    PODS: "Pod",
    REPLICASETS: "ReplicaSet",
    SECRETS: "Secret",
    SERVICEACCOUNTS: "ServiceAccount",
}


def clock() -> float:
    """Virtual time as Unix seconds."""
    return EPOCH + asyncio.get_running_loop().time()


def merged(target: Any, patch: Any) -> Any:
    """RFC 7386."""
    if not isinstance(patch, dict):
        return copy.deepcopy(patch)
    result = dict(target) if isinstance(target, dict) else {}
    for key, value in patch.items():
        if value is None:
            result.pop(key, None)
        else:
            result[key] = merged(result.get(key), value)
    return result


def _selected(labels: Mapping[str, str], text: str) -> bool:
    """Equality and existence are all that the tests use."""
    for part in filter(None, text.split(",")):
        key, equal, value = part.partition("=")
        if (equal and labels.get(key) != value) or (not equal and key not in labels):
            return False
    return True


class FakeApi:
    """Objects in a dictionary, watches as queues."""

    def __init__(self) -> None:
        self.objects: dict[tuple[Resource, str, str], Object] = {}
        self.history: list[tuple[str, Resource, Object]] = []
        self.refuse: Callable[[str, Resource, Object], ApiError | None] = lambda verb, resource, body: None
        self._watches: list[tuple[Resource, asyncio.Queue[WatchEvent]]] = []
        self._numbers = itertools.count(1)

    def _tell(self, type: Literal["ADDED", "MODIFIED", "DELETED"], resource: Resource, body: Object) -> None:
        self.history.append((type, resource, copy.deepcopy(body)))
        for watched, queue in self._watches:
            if watched == resource:
                queue.put_nowait(WatchEvent(type, copy.deepcopy(body)))

    def _find(self, resource: Resource, name: str, namespace: str | None) -> Object:
        found = self.objects.get((resource, namespace or "", name))
        if found is None:
            raise ApiError(404, "NotFound", f'{resource.plural} "{name}" not found')
        return found

    def _refused(self, verb: str, resource: Resource, body: Object) -> None:
        error = self.refuse(verb, resource, body)
        if error is not None:
            raise error

    async def get(self, resource: Resource, name: str, namespace: str | None = None) -> Object:
        await asyncio.sleep(0)
        return copy.deepcopy(self._find(resource, name, namespace))

    async def list(
        self, resource: Resource, namespace: str | None = None, labels: str = "", fields: str = ""
    ) -> list[Object]:
        await asyncio.sleep(0)
        return [
            copy.deepcopy(body)
            for (kind, where, _), body in self.objects.items()
            if kind == resource
            and (namespace is None or where == namespace)
            and _selected(body["metadata"].get("labels") or {}, labels)
        ]

    async def create(self, resource: Resource, body: Object, namespace: str | None = None) -> Object:
        await asyncio.sleep(0)
        self._refused("create", resource, body)
        body, number = copy.deepcopy(body), next(self._numbers)
        metadata = body["metadata"]
        metadata.setdefault("name", f"{metadata.get('generateName', '')}{number}")
        if resource not in CLUSTER_SCOPED:
            metadata["namespace"] = namespace or metadata["namespace"]
        key = (resource, metadata.get("namespace", ""), metadata["name"])
        if key in self.objects:
            raise ApiError(409, "AlreadyExists", f'"{metadata["name"]}" already exists')
        body.setdefault("apiVersion", f"{resource.group}/{resource.version}".lstrip("/"))
        body.setdefault("kind", KINDS[resource])
        metadata |= {"uid": f"uid-{number}", "creationTimestamp": rfc3339(clock()), "generation": 1}
        metadata["resourceVersion"] = str(number)
        self.objects[key] = body
        self._tell("ADDED", resource, body)
        return copy.deepcopy(body)

    def _replace(self, resource: Resource, current: Object, body: Object) -> Object:
        metadata = body["metadata"]
        if body == current:
            return copy.deepcopy(current)
        metadata["resourceVersion"] = str(next(self._numbers))
        if body.get("spec") != current.get("spec"):
            metadata["generation"] = current["metadata"]["generation"] + 1
        key = (resource, metadata.get("namespace", ""), metadata["name"])
        if "deletionTimestamp" in metadata and not metadata.get("finalizers") and resource != PODS:
            del self.objects[key]
            self._tell("DELETED", resource, body)
        else:
            self.objects[key] = body
            self._tell("MODIFIED", resource, body)
        return copy.deepcopy(body)

    async def update(self, resource: Resource, body: Object, subresource: str = "") -> Object:
        await asyncio.sleep(0)
        self._refused("update", resource, body)
        metadata = body["metadata"]
        current = self._find(resource, metadata["name"], metadata.get("namespace"))
        if metadata.get("resourceVersion") not in (None, current["metadata"]["resourceVersion"]):
            raise ApiError(409, "Conflict", "the object has been modified")
        if subresource == "finalize":
            del self.objects[(resource, "", metadata["name"])]
            self._tell("DELETED", resource, current)
            return copy.deepcopy(body)
        kept = current if subresource == "status" else body
        status = body if subresource == "status" else current
        replaced = copy.deepcopy({**kept, "status": status.get("status") or {}})
        return self._replace(resource, current, replaced)

    async def patch(
        self,
        resource: Resource,
        name: str,
        patch: Object,
        namespace: str | None = None,
        subresource: str = "",
    ) -> Object:
        await asyncio.sleep(0)
        self._refused("patch", resource, patch)
        current = self._find(resource, name, namespace)
        return self._replace(resource, current, merged(copy.deepcopy(current), patch))

    async def delete(
        self,
        resource: Resource,
        name: str,
        namespace: str | None = None,
        grace_s: int | None = None,
        uid: str = "",
    ) -> None:
        await asyncio.sleep(0)
        body = self._find(resource, name, namespace)
        self._refused("delete", resource, body)
        metadata = body["metadata"]
        if uid and uid != metadata["uid"]:
            raise ApiError(409, "Conflict", "another object of that name")
        graceful = resource == PODS and grace_s != 0 and body["spec"].get("nodeName")
        if graceful or metadata.get("finalizers"):
            if "deletionTimestamp" in metadata:
                return
            changed = copy.deepcopy(body)
            changed["metadata"]["deletionTimestamp"] = rfc3339(clock())
            if graceful:
                default = body["spec"].get("terminationGracePeriodSeconds", 30)
                changed["metadata"]["deletionGracePeriodSeconds"] = default if grace_s is None else grace_s
            self._replace(resource, body, changed)
            return
        del self.objects[(resource, metadata.get("namespace", ""), name)]
        self._tell("DELETED", resource, body)

    async def watch(self, resource: Resource, namespace: str | None = None) -> AsyncIterator[WatchEvent]:
        queue: asyncio.Queue[WatchEvent] = asyncio.Queue()
        for body in await self.list(resource, namespace):
            queue.put_nowait(WatchEvent("ADDED", body))
        queue.put_nowait(WatchEvent("SYNCED", {}))
        self._watches.append((resource, queue))
        while True:
            event = await queue.get()
            if (
                namespace is None
                or event.type == "SYNCED"
                or event.object["metadata"]["namespace"] == namespace
            ):
                yield event


@dataclass
class Program:
    """How containers of an image behave: for how long they run, and what they make of signals and commands.

    `commands` says of a command how long it takes, its exit code and output; the default ends at once with 0.
    """

    runs: float | None = None
    code: int = 0
    after_term: float | None = 0.0
    term_code: int = 0
    cannot_start: str = ""
    user: str = ""
    commands: Callable[[ContainerSpec, list[str]], tuple[float, int, str]] = lambda spec, command: (
        0.0,
        0,
        "",
    )


@dataclass
class Process:
    """A container of the fake machine."""

    spec: ContainerSpec
    program: Program
    over: asyncio.Event = field(default_factory=asyncio.Event)


class FakeSession:
    """A command with a duration, an exit code and an output. It dies with its container."""

    def __init__(self, process: Process, duration: float, code: int, output: str) -> None:
        self._process, self._code = process, code
        self._output: list[bytes] = [output.encode()] if output else []
        self._done = asyncio.get_running_loop().create_future()
        self._timer = asyncio.get_running_loop().call_later(duration, self._finish, code)
        self._watch = asyncio.create_task(self._die())

    def _finish(self, code: int) -> None:
        if not self._done.done():
            self._done.set_result(code)
        self._watch.cancel()

    async def _die(self) -> None:
        await self._process.over.wait()
        self._finish(137)

    async def read(self) -> tuple[Literal["stdout", "stderr"], bytes] | None:
        if self._output:
            return "stdout", self._output.pop()
        await asyncio.shield(self._done)
        return None

    async def write(self, data: bytes) -> None:
        """Ignored."""

    async def close_input(self) -> None:
        """Ignored."""

    async def resize(self, columns: int, rows: int) -> None:
        """Ignored."""

    async def wait(self) -> int:
        return int(await asyncio.shield(self._done))

    async def kill(self) -> None:
        self._timer.cancel()
        self._finish(137)


class FakeRuntime:
    """A machine whose containers are timers. `did` tells what was asked of it, with the time."""

    def __init__(self, volumes: Path, programs: Mapping[str, Program]) -> None:
        self._volumes, self.programs = volumes, dict(programs)
        self.processes: dict[str, Process] = {}
        self.sandboxes: dict[str, str] = {}
        self.started: list[ContainerSpec] = []
        self.did: list[tuple[float, str]] = []
        self._exits: asyncio.Queue[Exit] = asyncio.Queue()
        self._addresses = itertools.count(2)

    def note(self, text: str) -> None:
        """Writes down what happened now."""
        self.did.append((round(asyncio.get_running_loop().time(), 3), text))

    def image(self, ref: str) -> Image:
        if ref not in self.programs:
            raise ImageNotFound(f"no image {ref} on this machine")
        digest = "sha256:" + ref.encode().hex().rjust(64, "0")[-64:]
        return Image(ref, digest, self._volumes, False, {}, ("/run",), (), self.programs[ref].user, "/")

    async def run_sandbox(self, id: str, hostname: str) -> str:
        self.note(f"sandbox {hostname}")
        self.sandboxes[id] = f"10.0.0.{next(self._addresses)}"
        return self.sandboxes[id]

    async def remove_sandbox(self, id: str) -> None:
        if self.sandboxes.pop(id, None) is None:
            return
        self.note("sandbox removed")
        for process in list(self.processes.values()):
            if process.spec.sandbox == id:
                self._end(process, 137, 9)

    async def start(self, spec: ContainerSpec) -> Running:
        program = self.programs[spec.image.ref]
        self.note(f"start {spec.name} {spec.image.ref}")
        self.started.append(spec)
        await asyncio.sleep(START_S)
        if program.cannot_start:
            raise RuntimeFailure(program.cannot_start)
        process = self.processes[spec.id] = Process(spec, program)
        spec.log.touch()
        if program.runs is not None:
            asyncio.get_running_loop().call_later(program.runs, self._end, process, program.code, 0)
        return Running(spec.id, 1000 + len(self.started), clock())

    def _end(self, process: Process, code: int, signal: int) -> None:
        if self.processes.pop(process.spec.id, None) is not None:
            self.note(f"end {process.spec.name} {code}")
            process.over.set()
            self._exits.put_nowait(Exit(process.spec.id, code, signal, clock()))

    async def signal(self, container: str, number: int) -> None:
        process = self.processes.get(container)
        if process is None:
            return
        self.note(f"signal {process.spec.name} {number}")
        if number == 9:
            self._end(process, 137, 9)
        elif process.program.after_term is not None:
            delay, code = process.program.after_term, process.program.term_code
            asyncio.get_running_loop().call_later(delay, self._end, process, code, 0)

    def kill(self, name: str, code: int = 0) -> None:
        """Ends the container of that name by itself."""
        process = next(p for p in self.processes.values() if p.spec.name == name)
        self._end(process, code, 0)

    async def exec(
        self,
        container: str,
        command: Sequence[str],
        *,
        env: Mapping[str, str] | None = None,
        stdin: bool = False,
        tty: bool = False,
    ) -> FakeSession:
        process = self.processes.get(container)
        if process is None:
            raise RuntimeFailure("no such container")
        self.note(f"exec {process.spec.name} {' '.join(command)}")
        duration, code, output = process.program.commands(process.spec, list(command))
        return FakeSession(process, duration, code, output)

    async def exits(self) -> AsyncIterator[Exit]:
        while True:
            yield await self._exits.get()

    @property
    def volumes(self) -> Path:
        return self._volumes
