"""The machine's runtime as the control plane calls it: `seams.Runtime` over the socket to process 1.

Runs in the control plane's event loop. Knows how requests travel (`wire`) and where images are built; nothing
of how process 1 does what it is asked.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import socket
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from harness.embedded.machine import layout, wire
from harness.embedded.machine.build import Builder
from harness.embedded.machine.images import catalogue
from harness.embedded.machine.session import ClientSession
from harness.embedded.seams import ContainerSpec, Exit, Image, Running, RuntimeFailure


async def connect() -> RuntimeClient:
    """The runtime of the machine in which this process is the control plane.

    Returns when the machine is ready.
    """
    connection = socket.socket(fileno=int(os.environ.pop(wire.RUNTIME_FD)))
    connection.set_inheritable(False)
    folders = [Path(folder) for folder in json.loads(os.environ[wire.IMAGES])]
    client = RuntimeClient(connection, Builder(catalogue(folders), layout.IMAGES))
    await client.ready()
    return client


class RuntimeClient:
    """See `harness.embedded.seams.Runtime`; made by `connect`. A cancelled call undoes what it had begun."""

    def __init__(self, connection: socket.socket, builder: Builder) -> None:
        self._connection, self._builder = connection, builder
        self._loop = asyncio.get_running_loop()
        self._inbox, self._outbox = wire.Decoder(), wire.Outbox()
        self._calls: dict[int, asyncio.Future[tuple[Any, list[int]]]] = {}
        self._made = 0
        self._exits: asyncio.Queue[Exit] = asyncio.Queue()
        self._sessions: dict[str, ClientSession] = {}
        self._hello: asyncio.Future[None] = self._loop.create_future()
        connection.setblocking(False)
        self._loop.add_reader(connection, self._read)

    async def ready(self) -> None:
        """Returns when the machine's network is up."""
        await asyncio.shield(self._hello)

    @property
    def volumes(self) -> Path:
        """Where the agent keeps pods' volumes and logs, in memory."""
        return layout.VOLUMES

    def refs(self) -> list[str]:
        """The names of all images of this machine."""
        return self._builder.refs()

    def image(self, ref: str) -> Image:
        """The image of that name, built at its first use; ImageNotFound."""
        return self._builder.image(ref)

    async def run_sandbox(self, id: str, hostname: str) -> str:
        """Namespaces of a pod; returns its address."""
        try:
            return str((await self._call("run_sandbox", id=id, hostname=hostname))[0])
        except asyncio.CancelledError:
            self._forget("remove_sandbox", id=id)
            raise

    async def remove_sandbox(self, id: str) -> None:
        """Kills its containers and frees its namespaces; returns when they are gone."""
        await self._call("remove_sandbox", id=id)

    async def start(self, spec: ContainerSpec) -> Running:
        """Starts a container; RuntimeFailure when its program cannot be executed."""
        try:
            result, _ = await self._call("start", spec=_start_order(spec))
        except asyncio.CancelledError:
            self._forget("signal", container=spec.id, number=9)
            raise
        return Running(spec.id, result["pid"], result["started"])

    async def signal(self, container: str, number: int) -> None:
        """Sends a signal to the container's first process."""
        await self._call("signal", container=container, number=int(number))

    async def exec(
        self,
        container: str,
        command: Sequence[str],
        *,
        env: Mapping[str, str] | None = None,
        stdin: bool = False,
        tty: bool = False,
    ) -> ClientSession:
        """Runs a command in a container; RuntimeFailure if it cannot be executed."""
        self._made += 1
        name = f"command-{self._made}"
        session = ClientSession(lambda: self._call("kill", id=name))
        files = [] if tty else session.pipes(stdin)
        self._sessions[name] = session
        order = {
            "container": container,
            "id": name,
            "argv": list(command),
            "env": dict(env or {}),
            "tty": tty,
        }
        try:
            _, terminal = await self._call("exec", files, stdin=stdin, **order)
        except BaseException as error:
            if isinstance(error, asyncio.CancelledError):
                self._forget("kill", id=name)
            session.close()
            self._sessions.pop(name, None)
            raise
        if terminal:
            session.terminal(terminal[0])
        return session

    async def exits(self) -> AsyncIterator[Exit]:
        """Every container's end, once. One consumer."""
        while True:
            yield await self._exits.get()

    # -- the connection ------------------------------------------------------------------------------------

    async def _call(self, verb: str, files: Sequence[int] = (), **arguments: Any) -> tuple[Any, list[int]]:
        self._made += 1
        number, answer = self._made, self._loop.create_future()
        self._calls[number] = answer
        self._outbox.put({"call": number, "verb": verb, **arguments}, files)
        self._write()
        result: tuple[Any, list[int]] = await answer
        return result

    def _forget(self, verb: str, **arguments: Any) -> None:
        """Asks for something whose answer nobody awaits."""
        self._made += 1
        self._outbox.put({"call": self._made, "verb": verb, **arguments})
        self._write()

    def _write(self) -> None:
        if self._outbox.flush(self._connection):
            self._loop.remove_writer(self._connection)
        else:
            self._loop.add_writer(self._connection, self._write)

    def _read(self) -> None:
        try:
            data, fds = wire.receive(self._connection)
        except BlockingIOError:
            return
        if not data:  # process 1 has died, and this process dies with it
            self._loop.remove_reader(self._connection)
            return
        for body, files in self._inbox.feed(data, fds):
            if "event" in body:
                self._event(body)
            else:
                self._answered(body, files)

    def _event(self, body: dict[str, Any]) -> None:
        match body["event"]:
            case "hello":
                self._hello.set_result(None)
            case "exit":
                self._exits.put_nowait(Exit(body["container"], body["code"], body["signal"], body["at"]))
            case "command":
                if session := self._sessions.pop(body["id"], None):
                    session.ended(body["code"])
            case other:
                raise ValueError(f"unknown event {other}")

    def _answered(self, body: dict[str, Any], files: list[int]) -> None:
        answer = self._calls.pop(body["call"], None)
        if answer is None or answer.done():
            for fd in files:
                os.close(fd)
        elif "error" in body:
            answer.set_exception(RuntimeFailure(body["error"]))
        else:
            answer.set_result((body["result"], files))

    def close(self) -> None:
        """Lets go of the connection; for tests, since the machine ends with its control plane."""
        self._loop.remove_reader(self._connection)
        with contextlib.suppress(OSError):
            self._loop.remove_writer(self._connection)
        self._outbox.close()
        self._connection.close()


def command_line(spec: ContainerSpec) -> list[str]:
    """What a container runs: Kubernetes' command and args over the image's entry point and command."""
    if spec.command is not None:
        return [*spec.command, *(spec.args or ())]
    return [*spec.image.entrypoint, *(spec.image.command if spec.args is None else spec.args)]


def _start_order(spec: ContainerSpec) -> dict[str, Any]:
    return {
        "id": spec.id,
        "sandbox": spec.sandbox,
        "root": str(spec.image.root),
        "scratch": spec.image.scratch,
        "argv": command_line(spec),
        "env": {**spec.image.env, **spec.env},
        "mounts": [
            {"source": str(m.source), "target": m.target, "read_only": m.read_only} for m in spec.mounts
        ],
        "log": str(spec.log),
        "shm": str(spec.shm),
        "cwd": spec.working_dir or spec.image.working_dir or "/",
        "user": spec.image.user if spec.user is None else spec.user,
        "tty": spec.tty,
    }
