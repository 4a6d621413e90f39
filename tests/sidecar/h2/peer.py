"""A strict HTTP/2 client: never retries, never reconnects, and keeps every frame that ends something.

Independent of the sidecar's own engine. h2 takes a GOAWAY as the end of a connection, so those frames are taken
out here and never reach it.
"""

from __future__ import annotations

import asyncio
import contextlib
import struct
from collections.abc import AsyncIterator, Iterable

import h2.config
import h2.connection
import h2.events
import h2.settings

from tests.sidecar.rig import WITHIN_S, eventually

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
Headers = list[tuple[str, str]]


def texts(listed: Iterable[tuple[bytes, bytes]]) -> dict[str, str]:
    """A header list as text."""
    return {name.decode(): value.decode() for name, value in listed}


class Reply:
    """What has come on one stream."""

    def __init__(self) -> None:
        self.interim: list[int] = []
        self.headers: dict[str, str] = {}
        self.pieces: list[bytes] = []
        self.size = 0
        self.trailers: dict[str, str] = {}
        self.ended = False
        self.reset: int | None = None

    @property
    def status(self) -> int:
        return int(self.headers[":status"])

    @property
    def body(self) -> bytes:
        return b"".join(self.pieces)

    @property
    def over(self) -> bool:
        return self.ended or self.reset is not None


class Peer:
    """One connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer
        self.h2 = h2.connection.H2Connection(h2.config.H2Configuration(client_side=True))
        self.replies: dict[int, Reply] = {}
        self.goaways: list[tuple[int, int]] = []  # last stream, code
        self.pings: list[bytes] = []  # that were answered
        self.closed = False
        self.takes = True  # gives windows back
        self.answers_pings = True
        self._unanswered: list[bytes] = []
        self._bytes = b""
        self._pump = asyncio.create_task(self._read())

    @classmethod
    async def connect(cls, port: int, **settings: int) -> Peer:
        peer = cls(*await asyncio.open_connection("127.0.0.1", port))
        peer.greet(**settings)
        return peer

    def greet(self, **settings: int) -> None:
        if settings:
            codes = {h2.settings.SettingCodes[name.upper()]: value for name, value in settings.items()}
            self.h2.local_settings = h2.settings.Settings(client=True, initial_values=codes)
        self.h2.initiate_connection()
        self.flush()

    def flush(self) -> None:
        data = self.h2.data_to_send()
        if data and not self.closed:
            self.writer.write(data)

    def raw(self, data: bytes) -> None:
        self.writer.write(data)

    async def _read(self) -> None:
        with contextlib.suppress(ConnectionError):
            while data := await self.reader.read(65536):
                for frame in self._frames(data):
                    self._take(frame)
                self.flush()
        self.closed = True

    def _frames(self, data: bytes) -> list[bytes]:
        self._bytes += data
        found = []
        while len(self._bytes) >= 9:
            size = 9 + int.from_bytes(self._bytes[:3], "big")
            if len(self._bytes) < size:
                break
            found.append(self._bytes[:size])
            self._bytes = self._bytes[size:]
        return found

    def _take(self, frame: bytes) -> None:
        if frame[3] == 7:
            self.goaways.append(struct.unpack_from("!II", frame, 9))
            return
        if frame[3] == 6 and not frame[4] & 1 and not self.answers_pings:
            self._unanswered.append(frame)
            return
        for event in self.h2.receive_data(frame):
            number = getattr(event, "stream_id", 0)
            reply = self.replies.get(number) or Reply()
            if isinstance(event, h2.events.ResponseReceived):
                reply.headers = texts(event.headers)
            elif isinstance(event, h2.events.InformationalResponseReceived):
                reply.interim.append(int(texts(event.headers)[":status"]))
            elif isinstance(event, h2.events.TrailersReceived):
                reply.trailers = texts(event.headers)
            elif isinstance(event, h2.events.DataReceived):
                reply.pieces.append(event.data)
                reply.size += len(event.data)
                if self.takes:
                    self.h2.acknowledge_received_data(event.flow_controlled_length, number)
            elif isinstance(event, h2.events.StreamEnded):
                reply.ended = True
            elif isinstance(event, h2.events.StreamReset):
                reply.reset = int(event.error_code)
            elif isinstance(event, h2.events.PingAckReceived):
                self.pings.append(event.ping_data)

    def ask(
        self,
        path: str = "/",
        method: str = "GET",
        name: str = "?",
        body: bytes | None = b"",
        more: Headers | None = None,
    ) -> int:
        """Sends a request; `body` None leaves it open."""
        number = self.h2.get_next_available_stream_id()
        self.replies[number] = Reply()
        head = [
            (":method", method),
            (":scheme", "http"),
            (":authority", "test"),
            (":path", path),
            ("x-request-id", name),
            *(more or []),
        ]
        self.h2.send_headers(number, head, end_stream=body == b"")
        if body:
            self.h2.send_data(number, body, end_stream=True)
        self.flush()
        return number

    def send(self, number: int, data: bytes, end: bool = False) -> None:
        self.h2.send_data(number, data, end_stream=end)
        self.flush()

    def trailers(self, number: int, trailers: Headers) -> None:
        self.h2.send_headers(number, trailers, end_stream=True)
        self.flush()

    async def upload(self, number: int, data: bytes) -> None:
        """A whole body, as the windows allow."""
        while data:
            await eventually(lambda: self.h2.local_flow_control_window(number), "a window")
            size = min(len(data), self.h2.local_flow_control_window(number), 16384)
            self.send(number, data[:size], end=size == len(data))
            data = data[size:]

    async def reply(self, number: int) -> Reply:
        await eventually(lambda: self.replies[number].over or self.closed, f"an answer on {number}")
        return self.replies[number]

    async def get(self, path: str = "/", name: str = "?", more: Headers | None = None) -> Reply:
        return await self.reply(self.ask(path, name=name, more=more))

    async def grown(self, number: int, size: int) -> None:
        """So much of an answer has come."""
        await eventually(lambda: self.replies[number].size >= size, f"{size} bytes on {number}")

    async def ping(self) -> None:
        """A round trip: everything sent before has been taken."""
        count = len(self.pings)
        self.h2.ping(b"roundtrp")
        self.flush()
        await eventually(lambda: len(self.pings) > count or self.closed, "a ping's answer")

    def pong(self) -> None:
        """Answers the pings that were held back."""
        self.answers_pings = True
        for frame in self._unanswered:
            self.h2.receive_data(frame)
        self.flush()

    async def end(self) -> None:
        self.writer.close()
        await asyncio.wait_for(self._pump, WITHIN_S)


@contextlib.asynccontextmanager
async def peer(port: int, **settings: int) -> AsyncIterator[Peer]:
    one = await Peer.connect(port, **settings)
    try:
        yield one
    finally:
        await one.end()


def frame(kind: int, flags: int, stream: int, payload: bytes = b"") -> bytes:
    """The bytes of one frame (RFC 9113, section 4.1)."""
    return len(payload).to_bytes(3, "big") + bytes([kind, flags]) + stream.to_bytes(4, "big") + payload
