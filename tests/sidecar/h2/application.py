"""Applications for the tests: one that speaks HTTP/2, gRPC-like paths included, and the same over HTTP/1.1."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
from collections import Counter

import h2.config
import h2.connection
import h2.errors
import h2.events
import h2.settings

from tests.sidecar.h2.peer import texts


class Http2App:
    """Answers by path; counts what it executed by x-request-id; keeps the header lists it saw."""

    def __init__(self, streams: int = 100, refuses: bool = False) -> None:
        self.executed: Counter[str] = Counter()
        self.heads: list[dict[str, str]] = []
        self.trailers: list[dict[str, str]] = []
        self.released = asyncio.Event()
        self.most = 0  # streams at once
        self.connections = 0
        self.resets: list[int] = []
        self.port = 0
        self._streams, self.refuses = streams, refuses
        self._server: asyncio.Server | None = None
        self.links: list[_Link] = []

    async def start(self) -> None:
        self._server = await asyncio.get_running_loop().create_server(self._link, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        assert self._server is not None
        self._server.close()
        for link in self.links:
            link.end()
        await asyncio.sleep(0)

    def _link(self) -> _Link:
        self.connections += 1
        link = _Link(self, self._streams)
        self.links.append(link)
        return link


class _Link(asyncio.Protocol):
    def __init__(self, app: Http2App, streams: int) -> None:
        self.app = app
        self.h2 = h2.connection.H2Connection(h2.config.H2Configuration(client_side=False))
        self.h2.local_settings = h2.settings.Settings(
            client=False, initial_values={h2.settings.SettingCodes.MAX_CONCURRENT_STREAMS: streams}
        )
        self.heads: dict[int, dict[str, str]] = {}
        self.bodies: dict[int, bytearray] = {}
        self.left: dict[int, bytes] = {}
        self.tasks: set[asyncio.Task[None]] = set()
        self.lost = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        self.h2.initiate_connection()
        self.flush()

    def connection_lost(self, error: Exception | None) -> None:
        self.lost = True
        for task in self.tasks:
            task.cancel()

    def end(self) -> None:
        self.transport.abort()

    def flush(self) -> None:
        self.transport.write(self.h2.data_to_send())

    def data_received(self, data: bytes) -> None:
        for event in self.h2.receive_data(data):
            number = getattr(event, "stream_id", 0)
            if isinstance(event, h2.events.RequestReceived):
                self.heads[number] = head = texts(event.headers)
                self.bodies[number] = bytearray()
                self.app.heads.append(head)
                self.app.most = max(self.app.most, len(self.heads))
                self.begin(number, head)
            elif isinstance(event, h2.events.DataReceived):
                self.bodies[number] += event.data
                self.h2.acknowledge_received_data(event.flow_controlled_length, number)
                if self.heads.get(number, {}).get(":path") == "/bidi":
                    self.h2.send_data(number, event.data)
            elif isinstance(event, h2.events.TrailersReceived):
                self.app.trailers.append(texts(event.headers))
            elif isinstance(event, h2.events.StreamEnded):
                if number in self.heads:
                    task = asyncio.create_task(self.whole(number))
                    self.tasks.add(task)
                    task.add_done_callback(self.tasks.discard)
            elif isinstance(event, h2.events.StreamReset):
                self.app.resets.append(number)
                self.heads.pop(number, None)
            elif isinstance(event, h2.events.WindowUpdated):
                self.pour()
        self.flush()

    def begin(self, number: int, head: dict[str, str]) -> None:
        if self.app.refuses:
            self.h2.reset_stream(number, h2.errors.ErrorCodes.REFUSED_STREAM)
            del self.heads[number]
        elif head[":path"] == "/bidi":
            self.h2.send_headers(number, [(":status", "200"), ("content-type", "application/grpc")])
        elif head[":path"] == "/early":
            self.answer(number, "413", b"enough")

    async def whole(self, number: int) -> None:
        head = self.heads[number]
        path = head[":path"]
        self.app.executed[head.get("x-request-id", "?")] += 1
        if path == "/hold":
            await self.app.released.wait()
            self.answer(number, "200", b"held")
        elif path == "/echo":
            self.answer(number, "200", hashlib.sha256(self.bodies[number]).hexdigest().encode())
        elif path == "/big":
            self.answer(number, "200", b"x" * 20_000_000)
        elif path == "/none":
            self.h2.send_headers(number, [(":status", "204")], end_stream=True)
        elif path == "/hint":
            self.h2.send_headers(number, [(":status", "103"), ("link", "</a>")])
            self.answer(number, "200", b"ok")
        elif path == "/bidi":
            self.h2.send_headers(number, [("grpc-status", "0"), ("grpc-message", "fine")], end_stream=True)
        elif path == "/grpc":
            self.h2.send_headers(number, [(":status", "200"), ("content-type", "application/grpc")])
            self.h2.send_data(number, bytes(self.bodies[number]))
            self.h2.send_headers(number, [("grpc-status", "0"), ("grpc-message", "fine")], end_stream=True)
        elif path == "/grpc-fails":
            self.h2.send_headers(
                number,
                [(":status", "200"), ("content-type", "application/grpc"), ("grpc-status", "5")],
                end_stream=True,
            )
        elif path == "/reset":
            self.h2.reset_stream(number, h2.errors.ErrorCodes.CANCEL)
        elif path == "/half":
            self.h2.send_headers(number, [(":status", "200")])
            self.h2.send_data(number, b"half")
            self.h2.reset_stream(number, h2.errors.ErrorCodes.ENHANCE_YOUR_CALM)
        elif path == "/vanish":
            self.transport.abort()
            return
        else:
            self.answer(number, "200", b"ok")
        self.heads.pop(number, None)
        self.flush()

    def answer(self, number: int, status: str, body: bytes) -> None:
        self.h2.send_headers(number, [(":status", status), ("content-length", str(len(body)))])
        if self.heads[number][":method"] == "HEAD":
            self.h2.end_stream(number)
            return
        self.left[number] = body
        self.pour()

    def pour(self) -> None:
        """Sends what the windows allow."""
        for number, body in list(self.left.items()):
            while body:
                size = min(len(body), self.h2.local_flow_control_window(number), 16384)
                if not size:
                    break
                self.h2.send_data(number, body[:size], end_stream=size == len(body))
                body = body[size:]
            self.left[number] = body
            if not body:
                del self.left[number]


class ChunkedApp:
    """An HTTP/1.1 application with trailers: takes chunked requests, answers in chunks."""

    def __init__(self) -> None:
        self.heads: list[bytes] = []
        self.bodies: list[bytes] = []  # as they came, chunks and trailers included
        self.answer = b""
        self.port = 0
        self._server: asyncio.Server | None = None
        self._writers: list[asyncio.StreamWriter] = []

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._connected, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        assert self._server is not None
        self._server.close()
        for writer in self._writers:
            writer.close()

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.append(writer)
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                self.heads.append(head)
                body = b""
                if b"chunked" in head:
                    while size := int((line := await reader.readuntil(b"\r\n")), 16):
                        body += line + await reader.readexactly(size + 2)
                    body += line
                    while (line := await reader.readuntil(b"\r\n")) != b"\r\n":
                        body += line
                elif b"content-length: " in head:
                    length = int(head.split(b"content-length: ")[1].split(b"\r\n")[0])
                    body = await reader.readexactly(length)
                self.bodies.append(body)
                writer.write(self.answer)
