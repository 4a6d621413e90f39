"""A real API server on loopback, in a thread of its own, with a node that only pretends."""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager
from typing import Any, Literal, TypeVar

from kubernetes import client, config

from harness.embedded.api.kubeconfig import kubeconfig, kubeconfig_yaml
from harness.embedded.api.server import ApiServer
from harness.embedded.seams import PODS, Api, ApiError, LogOptions, Object, Resource

CRDS = Resource("apiextensions.k8s.io", "v1", "customresourcedefinitions")
TOKEN = "secret-of-this-test"
WITHIN_S = 10.0
T = TypeVar("T")


@asynccontextmanager
async def in_process() -> AsyncIterator[Api]:
    """The API without a socket."""
    server = ApiServer(token="t")
    await server.start([])
    yield server.api
    await server.stop()


class FakeSession:
    """`echo` and `exit N` say their word and end; any other command echoes its input up to `end`.

    With an input, a word waits until that ends: only then does a client surely listen. kubectl drops what arrives
    before it has made its streams, and no process begins as fast as this one does.
    """

    def __init__(self, command: Sequence[str], *, stdin: bool) -> None:
        self._out: asyncio.Queue[tuple[Literal["stdout", "stderr"], bytes] | None] = asyncio.Queue()
        self._code = 0
        self.killed = False
        self._word: tuple[Literal["stdout", "stderr"], bytes] | None = None
        if command[0] == "exit":
            self._code = int(command[1])
            self._word = ("stderr", b"bye\n")
        elif command[0] == "echo":
            self._word = ("stdout", " ".join(command[1:]).encode() + b"\n")
        if command[0] != "sleep" and not stdin:
            self._end()

    def _end(self) -> None:
        if self._word is not None:
            self._out.put_nowait(self._word)
        self._out.put_nowait(None)

    async def read(self) -> tuple[Literal["stdout", "stderr"], bytes] | None:
        return await self._out.get()

    async def write(self, data: bytes) -> None:
        if self._word is None:
            self._out.put_nowait(("stdout", data))
        if data.endswith(b"end\n"):
            self._end()

    async def close_input(self) -> None:
        self._end()

    async def resize(self, columns: int, rows: int) -> None:
        self._out.put_nowait(("stdout", f"{columns}x{rows}\n".encode()))

    async def wait(self) -> int:
        return 137 if self.killed else self._code

    async def kill(self) -> None:
        self.killed = True
        self._out.put_nowait(None)


class FakeNode:
    """Logs of three lines, the last one when it is told to; commands that echo."""

    def __init__(self) -> None:
        self.sessions: list[FakeSession] = []
        self.more = asyncio.Event()
        self.readers = self.restarts = 0

    async def logs(
        self, namespace: str, pod: str, container: str, options: LogOptions
    ) -> AsyncIterator[bytes]:
        if options.previous:
            raise ApiError(400, "BadRequest", f'previous terminated container "{container}" not found')
        self.readers += 1
        try:
            lines = [b"one\n", b"two\n"]
            for line in lines[-options.tail_lines :] if options.tail_lines else lines:
                yield line
            if options.follow:
                await self.more.wait()
                yield b"three\n"
        finally:
            self.readers -= 1

    async def exec(
        self, namespace: str, pod: str, container: str, command: Sequence[str], *, stdin: bool, tty: bool
    ) -> FakeSession:
        session = FakeSession(command, stdin=stdin)
        self.sessions.append(session)
        return session

    async def restart(self) -> None:
        self.restarts += 1


class Cluster:
    """The server in its thread, and what a test needs of it."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self.thread = threading.Thread(target=self.loop.run_forever, daemon=True)
        self.thread.start()
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.port = self.socket.getsockname()[1]
        self.run(self._start())

    async def _start(self) -> None:
        self.server, self.node = ApiServer(token=TOKEN), FakeNode()
        self.server.attach_node(self.node)
        await self.server.start([self.socket])

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Runs a coroutine in the server's loop."""
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(WITHIN_S)

    @property
    def url(self) -> str:
        return f"https://127.0.0.1:{self.port}"

    def client(self) -> client.ApiClient:
        document = kubeconfig(self.url, self.server.ca_pem, TOKEN, "test")
        api: client.ApiClient = config.new_client_from_config_dict(document)  # type: ignore[no-untyped-call]
        return api

    def kubeconfig_text(self) -> str:
        return kubeconfig_yaml(self.url, self.server.ca_pem, TOKEN, "test")

    def running_pod(
        self, name: str, namespace: str = "default", containers: Sequence[str] = ("app",)
    ) -> Object:
        """A pod that is bound and whose status says that it runs."""
        body = pod_body(name, containers)
        body["spec"]["nodeName"] = "node"
        pod = self.run(self.server.api.create(PODS, body, namespace))
        pod["status"] |= {
            "phase": "Running",
            "podIP": "127.0.0.1",
            "conditions": [{"type": "Ready", "status": "True"}],
            "containerStatuses": [
                {
                    "name": container,
                    "image": "app:v1",
                    "imageID": "",
                    "ready": True,
                    "restartCount": 0,
                    "state": {"running": {"startedAt": "2026-01-01T00:00:00Z"}},
                }
                for container in containers
            ],
        }
        return self.run(self.server.api.update(PODS, pod, "status"))

    def close(self) -> None:
        self.run(self.server.stop())
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join(WITHIN_S)
        self.loop.close()


def pod_body(name: str, containers: Sequence[str] = ("app",)) -> Object:
    return {
        "metadata": {"name": name, "labels": {"app": name}},
        "spec": {"containers": [{"name": container, "image": "app:v1"} for container in containers]},
    }


def eventually(check: Callable[[], T], what: str) -> T:
    """The first true value of a check; fails with what was awaited."""
    end = time.monotonic() + WITHIN_S
    pause = threading.Event()
    while time.monotonic() < end:
        if value := check():
            return value
        pause.wait(0.01)
    raise AssertionError(f"{what}: not within {WITHIN_S} s")
