"""A strict HTTP/1.1 client: one connection, no retry, no reconnect; says how the connection ended.

Knows nothing of schedules or ledgers.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import random
import socket
import struct
from collections import deque
from typing import NamedTuple, cast

from benchmarks.handover.ledger import BROKEN, CLOSED, REFUSED, TOLD

_IP_BIND_ADDRESS_NO_PORT = 24  # linux/in.h; the socket module does not name it
ANSWER_S = 10.0  # a request without an answer for so long has failed
_BODIES = os.urandom(256 * 1024)  # bodies are cut from it: making new ones costs more than sending


class Ended(Exception):
    """The connection ended before the answer; the argument says how."""


class Answer(NamedTuple):
    """One whole answer."""

    status: int
    body: bytes
    release: bytes  # of the sidecar that served it


class Request(NamedTuple):
    """The bytes, and the one right body of the answer."""

    data: bytes
    expected: bytes


def get(request_id: str) -> Request:
    """Without a body."""
    return _request("GET", request_id, b"")


def post(request_id: str, smallest: int = 1024, largest: int = 16384) -> Request:
    """With a random body, which the answer has to hold the hash of."""
    return _request("POST", request_id, body(random.randint(smallest, largest)))


def body(size: int) -> bytes:
    """Random bytes."""
    start = random.randrange(len(_BODIES) - size)
    return _BODIES[start : start + size]


def expected(request_id: str, content: bytes) -> bytes:
    """What the application answers."""
    return f"{request_id} {hashlib.sha256(content).hexdigest()}".encode()


def _request(method: str, request_id: str, content: bytes) -> Request:
    head = f"{method} /echo HTTP/1.1\r\nHost: benchmark\r\nx-request-id: {request_id}\r\n"
    if content:
        head += f"Content-Length: {len(content)}\r\n"
    return Request(head.encode() + b"\r\n" + content, expected(request_id, content))


def bind_late(sock: socket.socket, source: str) -> None:
    """Gives it an address, and leaves the port to connect().

    That may take one that is in use towards somebody else; bind() may not, and with thousands of connections
    it searches for long.
    """
    sock.setsockopt(socket.IPPROTO_IP, _IP_BIND_ADDRESS_NO_PORT, 1)
    sock.bind((source, 0))


class Connection(asyncio.Protocol):
    """One TCP connection. `ended` is empty while it lives, and when the client itself closes it."""

    _transport: asyncio.Transport

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._waiting: deque[asyncio.Future[Answer]] = deque()
        self._buffer = b""
        self.ended = ""
        self._over = False

    @classmethod
    async def open(cls, port: int, source: str = "127.0.0.1") -> Connection:
        """Opens it; Ended if that fails."""
        loop = asyncio.get_running_loop()
        sock = socket.socket()
        try:
            sock.setblocking(False)
            bind_late(sock, source)
            await asyncio.wait_for(loop.sock_connect(sock, ("127.0.0.1", port)), ANSWER_S)
            _, connection = await loop.create_connection(cls, sock=sock)
        except (OSError, TimeoutError) as error:
            sock.close()
            raise Ended(REFUSED) from error
        return connection

    async def ask(self, request: Request, cut: int = 0, pause_s: float = 0.0) -> Answer:
        """Sends and waits for the answer; with `cut`, the bytes after it are sent later."""
        answer = self.expect()
        if cut:
            self.write(request.data[:cut])
            await asyncio.sleep(pause_s)
            self.write(request.data[cut:])
        else:
            self.write(request.data)
        return await asyncio.wait_for(answer, ANSWER_S)

    def expect(self) -> asyncio.Future[Answer]:
        """The next answer that is not waited for yet; fails with Ended."""
        future: asyncio.Future[Answer] = self._loop.create_future()
        if self._over:
            future.set_exception(Ended(self.ended))
        else:
            self._waiting.append(future)
        return future

    def write(self, data: bytes) -> None:
        """Sends bytes of requests that are expected."""
        if not self._over:
            self._transport.write(data)

    def close(self) -> None:
        """The client is done with it."""
        self._over = True
        self._transport.close()

    def vanish(self) -> None:
        """Closes with RST: leaves no port behind that the kernel keeps for a minute."""
        sock = self._transport.get_extra_info("socket")
        if not self._over and sock is not None:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close()

    # -- asyncio.Protocol ------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        data = self._buffer + data if self._buffer else data
        while (end := data.find(b"\r\n\r\n") + 4) >= 4:
            head = data[:end].lower()
            length = int(_field(head, b"content-length") or b"0")
            if len(data) < end + length:
                break
            answer = Answer(int(head[9:12]), data[end : end + length], _field(head, b"x-sidecar-version"))
            data = data[end + length :]
            if b"close" in _field(head, b"connection"):
                self._end(TOLD)
            if not self._waiting:  # nobody asked
                self._end(BROKEN)
                break
            waiting = self._waiting.popleft()
            if not waiting.done():
                waiting.set_result(answer)
        self._buffer = data

    def connection_lost(self, error: Exception | None) -> None:
        in_answer = bool(self._buffer or self._waiting)
        self._end(BROKEN if error is not None or in_answer else CLOSED)
        for waiting in self._waiting:
            if not waiting.done():
                waiting.set_exception(Ended(self.ended))
        self._waiting.clear()

    def _end(self, how: str) -> None:
        if not self._over:
            self._over = how != TOLD
            self.ended = self.ended or how


def _field(head: bytes, name: bytes) -> bytes:
    """A header's value, of a head in lower case."""
    start = head.find(b"\r\n" + name + b":")
    if start < 0:
        return b""
    start += len(name) + 3
    return head[start : head.index(b"\r\n", start)].strip()
