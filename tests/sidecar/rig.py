"""What the integration tests share: an application, sidecar processes, and a client that never retries."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import itertools
import json
import os
import shutil
import socket
import sys
import sysconfig
import tempfile
from collections import Counter
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any, TypeVar

from prometheus_client.parser import text_string_to_metric_families

from sidecar.handover import frames
from sidecar.handover.directory import connect, path_of

PACKAGE = Path(__file__).parents[2] / "images" / "sidecar" / "base"
SIDECAR = (sys.executable, "-S", "-m", "sidecar")  # what `site` would do takes a third of a start
# How long a step may take on a busy machine before the test says that it did not come.
WITHIN_S = 60.0


async def eventually(check: Callable[[], Any], what: str, within: float = WITHIN_S) -> Any:
    """Polls until `check` gives something true."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + within
    while not (found := check()):
        assert loop.time() < deadline, f"not within {within:g} s: {what}"
        await asyncio.sleep(0.005)
    return found


# Below the kernel's own range, so that no outgoing connection takes a port between its choice and its use; each
# process that runs tests begins somewhere else.
_ports = itertools.cycle(range(10_000, 32_000))
for _ in range(os.getpid() * 997 % 22_000):
    next(_ports)


def free_port() -> int:
    """A port that nobody listens on, and that no other test of this process is given."""
    while True:
        port = next(_ports)
        with contextlib.suppress(OSError), socket.socket() as sock:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            sock.bind(("127.0.0.1", port))
            return port


class Answer:
    """A response, read to its end."""

    def __init__(self, status: int, headers: dict[str, str], body: bytes, interim: list[int]) -> None:
        self.status, self.headers, self.body, self.interim = status, headers, body, interim

    @property
    def closes(self) -> bool:
        return "close" in self.headers.get("connection", "")


class Client:
    """One connection; never retries, never reconnects."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    @classmethod
    async def connect(cls, port: int, host: str = "127.0.0.1") -> Client:
        return cls(*await asyncio.open_connection(host, port, limit=1 << 20))

    def send(self, data: bytes) -> None:
        self.writer.write(data)

    async def head(self) -> tuple[int, dict[str, str]]:
        raw = await asyncio.wait_for(self.reader.readuntil(b"\r\n\r\n"), WITHIN_S)
        lines = raw.decode("latin-1").split("\r\n")
        headers = dict(line.lower().split(": ", 1) for line in lines[1:] if line)
        return int(lines[0].split(" ")[1]), headers

    async def answer(self, head_only: bool = False) -> Answer:
        interim = []
        status, headers = await self.head()
        while status < 200:
            interim.append(status)
            status, headers = await self.head()
        body = b""
        if head_only or status in (204, 304):
            pass
        elif "chunked" in headers.get("transfer-encoding", ""):
            while size := int(await self.reader.readuntil(b"\r\n"), 16):
                body += (await self.reader.readexactly(size + 2))[:-2]
            await self.reader.readuntil(b"\r\n")
        elif "content-length" in headers:
            body = await asyncio.wait_for(self.reader.readexactly(int(headers["content-length"])), WITHIN_S)
        else:
            body = await asyncio.wait_for(self.reader.read(), WITHIN_S)
        return Answer(status, headers, body, interim)

    async def get(self, path: str = "/", **headers: str) -> Answer:
        extra = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in headers.items())
        self.send(f"GET {path} HTTP/1.1\r\nHost: test\r\n{extra}\r\n".encode())
        return await self.answer()

    async def post(self, body: bytes, name: str) -> Answer:
        self.send(
            f"POST /echo HTTP/1.1\r\nHost: test\r\nx-request-id: {name}\r\n"
            f"Content-Length: {len(body)}\r\n\r\n".encode()
            + body
        )
        return await self.answer()

    async def rest(self) -> bytes:
        """Everything until the other side closes."""
        return await asyncio.wait_for(self.reader.read(), WITHIN_S)

    def close(self) -> None:
        self.writer.close()


class App:
    """The application: answers by path, counts what it executed by x-request-id, keeps the heads it saw."""

    def __init__(self) -> None:
        self.executed: Counter[str] = Counter()
        self.heads: list[bytes] = []
        self.released = asyncio.Event()
        self.port = 0
        self.connections = 0
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._connected, "127.0.0.1", 0, limit=1 << 22)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        assert self._server is not None
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        self.connections += 1
        try:
            with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
                while await self._serve(reader, writer):
                    pass
        finally:
            writer.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        head = await reader.readuntil(b"\r\n\r\n")
        self.heads.append(head)
        method, path, _ = head.split(b"\r\n", 1)[0].decode().split(" ")
        fields = (line.lower().partition(":") for line in head.decode("latin-1").split("\r\n")[1:] if line)
        headers = {name: value.strip() for name, _, value in fields}
        if "expect" in headers and path != "/refuse":
            writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        body = b""
        if path != "/refuse":
            body = await self._body(reader, headers)
        self.executed[headers.get("x-request-id", "?")] += 1
        return await self._answer(writer, method, path, body)

    async def _body(self, reader: asyncio.StreamReader, headers: dict[str, str]) -> bytes:
        if "content-length" in headers:
            return await reader.readexactly(int(headers["content-length"]))
        body = b""
        if "transfer-encoding" in headers:
            while size := int((await reader.readuntil(b"\r\n")).split(b";")[0], 16):
                body += (await reader.readexactly(size + 2))[:-2]
            while await reader.readuntil(b"\r\n") != b"\r\n":
                pass
        return body

    async def _answer(self, writer: asyncio.StreamWriter, method: str, path: str, body: bytes) -> bool:
        if path == "/echo":
            content = hashlib.sha256(body).hexdigest().encode()
        elif path == "/stream":
            writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
            for number in range(20):
                writer.write(b"5\r\n%04d\n\r\n" % number)
                await writer.drain()
                await asyncio.sleep(0.02)
            writer.write(b"0\r\n\r\n")
            return True
        elif path == "/events":  # server-sent events, until the test lets them end
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n")
            writer.write(b"Transfer-Encoding: chunked\r\n\r\n")
            for number in itertools.count():
                event = b"data: %d\n\n" % number
                writer.write(b"%x\r\n%b\r\n" % (len(event), event))
                await writer.drain()
                if self.released.is_set():
                    break
                await asyncio.sleep(0.01)
            writer.write(b"0\r\n\r\n")
            return True
        elif path == "/endless":  # an answer that outlives any drain, unless the test lets it end
            writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
            for number in range(1000):
                writer.write(b"7\r\n%06d\n\r\n" % number)
                await writer.drain()
                if not self.released.is_set():
                    await asyncio.sleep(0.02)
            writer.write(b"0\r\n\r\n")
            return True
        elif path == "/trickle":
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
            for _ in range(100):
                writer.write(b"x" * 10)
                await writer.drain()
                if not self.released.is_set():
                    await asyncio.sleep(0.05)
            return True
        elif path == "/hold":  # answers when the test lets it
            await self.released.wait()
            content = b"held"
        elif path == "/vanish":
            return False
        elif path == "/half":
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf")
            return False
        elif path == "/until-close":
            writer.write(b"HTTP/1.0 200 OK\r\n\r\nall of it")
            return False
        elif path == "/garbage":
            writer.write(b"SSH-2.0-nonsense\r\n\r\n")
            return False
        elif path == "/big":
            content = b"x" * 40_000_000  # more than the kernel keeps for a connection
        elif path == "/refuse":
            writer.write(b"HTTP/1.1 413 No\r\nContent-Length: 0\r\n\r\n")
            return False
        elif path == "/none":
            writer.write(b"HTTP/1.1 204 No Content\r\n\r\n")
            return True
        else:
            content = b"ok"
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(content))
        if method != "HEAD":
            writer.write(content)
            await writer.drain()
        return True


class Sidecar:
    """One process of the sidecar."""

    def __init__(self, process: asyncio.subprocess.Process, environment: dict[str, str]) -> None:
        self.process, self.environment = process, environment
        self.log: list[dict[str, Any]] = []
        assert process.stdout is not None
        self._reading = asyncio.create_task(self._read(process.stdout))

    async def _read(self, output: asyncio.StreamReader) -> None:
        async for line in output:
            self.log.append(json.loads(line))

    def events(self, name: str) -> list[dict[str, Any]]:
        return [line for line in self.log if line["event"] == name]

    async def saw(self, name: str, count: int = 1) -> dict[str, Any]:
        def enough() -> list[dict[str, Any]]:
            found = self.events(name)
            return found if len(found) >= count else []

        found = await eventually(enough, f"{name} x {count}; seen: {[line['event'] for line in self.log]}")
        return dict(found[count - 1])

    async def run(self, module: str) -> tuple[int, str]:
        """Runs the hook or the probe of this container."""
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-S",
            "-m",
            module,
            env=self.environment,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        output, _ = await process.communicate()
        assert process.returncode is not None
        return process.returncode, output.decode()

    async def admin(self, page: str) -> tuple[int, str]:
        """What the admin listener of this process alone answers: status and body."""
        where, generation = self.environment["SIDECAR_HANDOVER_DIR"], self.environment["SIDECARSET_VERSION"]
        client = Client(*await asyncio.open_unix_connection(f"{where}/{generation}.admin"))
        answer = await client.get(page)
        client.close()
        return answer.status, answer.body.decode()

    async def metric(self, name: str, **labels: str) -> float:
        """One sample."""
        _, text = await self.admin("/metrics")
        (found,) = (
            sample.value
            for family in text_string_to_metric_families(text)
            for sample in family.samples
            if (sample.name, sample.labels) == (name, labels)
        )
        return float(found)

    async def end(self, signal_number: int = 15) -> int:
        if self.process.returncode is None:
            self.process.send_signal(signal_number)
        code = await asyncio.wait_for(self.process.wait(), WITHIN_S)
        await self._reading
        return code


class Pod:
    """What a pod's containers share: the application, the port, the directory."""

    def __init__(self, app: App, directory: Path) -> None:
        self.app, self.directory = app, directory
        self.port = free_port()
        self.sidecars: list[Sidecar] = []
        self.clients: list[Client] = []  # closed in the end, also if the test fails

    def environment(self, version: int | None = None, alt: int | None = None, **more: str) -> dict[str, str]:
        release = self.directory.parent / f"release-{version}"
        release.write_text(f"v{version}\n")
        environment = {
            "PATH": os.environ["PATH"],
            "PYTHONPATH": f"{PACKAGE}:{sysconfig.get_path('purelib')}",
            "SIDECAR_LISTEN": f"127.0.0.1:{self.port}",
            "SIDECAR_UPSTREAM": f"127.0.0.1:{self.app.port}",
            "SIDECAR_HANDOVER_DIR": str(self.directory),
            "SIDECAR_RELEASE_FILE": str(release),
            "SIDECAR_DRAIN_IDLE_S": "1",
            "SIDECAR_STOP_S": "2",
            **more,
        }
        if version is not None:
            environment["SIDECARSET_VERSION"] = str(version)
        if alt is not None:
            environment["SIDECARSET_VERSION_ALT"] = str(alt)
        return environment

    async def start(
        self,
        version: int | None = None,
        alt: int | None = None,
        command: tuple[str, ...] = (),
        **more: str,
    ) -> Sidecar:
        """Starts a process, by way of a command if one is given; does not wait for it."""
        environment = self.environment(version, alt, **more)
        process = await asyncio.create_subprocess_exec(
            *command, *SIDECAR, env=environment, stdout=asyncio.subprocess.PIPE
        )
        sidecar = Sidecar(process, environment)
        self.sidecars.append(sidecar)
        return sidecar

    async def client(self) -> Client:
        client = await Client.connect(self.port)
        self.clients.append(client)
        return client

    async def scripted(
        self, generation: str, protocols: tuple[int, ...] = (1,), **more: object
    ) -> ScriptedSuccessor:
        """A successor that asks the process of a generation, and has its offer."""
        sock = connect(path_of(str(self.directory), generation), within_s=1)
        assert sock is not None, "nobody lives there"
        sock.setblocking(False)
        successor = ScriptedSuccessor(sock)
        identity = {"generation": "9", "release": "scripted"}
        await successor.send(frames.REQUEST, {"protocols": list(protocols), **identity, **more})
        successor.offer = await successor.expect(frames.OFFER)
        return successor


class ScriptedSuccessor:
    """A peer that says what a test lets it say; it holds the listeners of its offer."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self.offer = frames.Frame(0, {})
        self.descriptors: list[int] = []  # of the last frame
        self.listeners: list[socket.socket] = []

    async def send(self, kind: int, body: dict[str, Any] | None = None) -> None:
        await asyncio.get_running_loop().sock_sendall(self.sock, frames.encode(kind, body))

    async def expect(self, kind: int) -> frames.Frame:
        """The next frame, which has to be of this kind."""
        loop = asyncio.get_running_loop()
        readable = asyncio.Event()
        loop.add_reader(self.sock.fileno(), readable.set)
        try:
            await asyncio.wait_for(readable.wait(), WITHIN_S)
        finally:
            loop.remove_reader(self.sock.fileno())
        record, self.descriptors, _, _ = socket.recv_fds(self.sock, frames.MAX_FRAME, 253)
        frame = frames.decode(record)
        assert frame.kind == kind, frame
        if kind == frames.OFFER:
            self.listeners = [socket.socket(fileno=descriptor) for descriptor in self.descriptors]
        return frame

    async def commit(self) -> None:
        """All of protocol 1, from the offer on."""
        await self.send(frames.PREPARED)
        await self.expect(frames.ACCEPT)
        await self.send(frames.ACCEPTING)
        await self.expect(frames.COMMIT)

    def close(self) -> None:
        for sock in (self.sock, *self.listeners):
            sock.close()


PodT = TypeVar("PodT", bound=Pod)


@contextlib.asynccontextmanager
async def clean(make: Callable[[Path], PodT]) -> AsyncIterator[PodT]:
    """A pod in a directory of its own; afterwards nothing of it is left."""
    root = Path(tempfile.mkdtemp(prefix="hu-"))  # a unix path has to be short, tmp_path is not
    pod = make(root / "dir")
    yield pod
    for client in pod.clients:
        client.close()
    for sidecar in pod.sidecars:
        await sidecar.end(9)
    shutil.rmtree(root)
