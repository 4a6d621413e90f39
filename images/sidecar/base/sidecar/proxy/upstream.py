"""One connection to the application: sends a request, reads its answer, tells the client's side.

Knows nothing of the client's protocol state. One exchange at a time; between exchanges it belongs to the
pool.
"""

from __future__ import annotations

import asyncio
import socket
from typing import TYPE_CHECKING, Protocol, cast

from sidecar.proxy.body import BadBodyError, Chunks, Length, UntilClose
from sidecar.proxy.connection import WRITE_HIGH, WRITE_LOW
from sidecar.proxy.head import CHUNKED, UNTIL_CLOSE, BadResponseError, Request, Response
from sidecar.proxy.plain import response
from sidecar.proxy.standing import Standing
from sidecar.proxy.turn import SHORT

if TYPE_CHECKING:
    from sidecar.proxy.pool import Pool

HEAD_LIMIT = 262144  # bytes of a response's header; the application is trusted further than clients are
_WHOLE = Length(0)  # what there is left of a body that came with its head
_PEEK = socket.MSG_PEEK | socket.MSG_DONTWAIT


class Asker(Protocol):
    """Whoever asked: it hears what becomes of its request."""

    def interim(self, response: Response) -> None:
        """A 1xx response."""

    def response_head(self, response: Response, complete: bool) -> bytes:
        """The head; what it returns is given back with the first `response_data`."""

    def response_data(self, head: bytes, data: bytes) -> None:
        """Part of the body, as it came."""

    def upstream_switched(self, response: Response, transport: asyncio.Transport, early: bytes) -> None:
        """A 101 that was asked for: the connection is the asker's, with what came after the head."""

    def upstream_done(self, reusable: bool) -> None:
        """The answer is complete; the connection is the asker's to put back or to close."""

    def upstream_failed(self, status: int, reason: str) -> None:
        """There will be no answer; the connection is closed."""

    def upstream_broke(self) -> None:
        """The answer has begun and will not be complete; the connection is closed."""

    def upstream_full(self, full: bool) -> None:
        """Whether the application has to catch up."""


class UpstreamConnection(asyncio.Protocol):
    """A connection to the application."""

    __slots__ = (
        "_body",
        "_client",
        "_closed",
        "_head",
        "_request",
        "_reusable",
        "_sock",
        "_turn",
        "idle_since",
        "pool",
        "transport",
    )

    transport: asyncio.Transport

    def __init__(self, pool: Pool, sock: socket.socket) -> None:
        self.pool, self._sock, self._turn = pool, sock, pool.turn
        self.idle_since = 0.0
        self._client: Asker | None = None
        self._request: Request
        self._head = b""  # what was read of it
        self._body: Length | Chunks | UntilClose | None = None  # None: the head is not complete
        self._reusable = False
        self._closed = True  # until it is up

    def usable(self, now: float, idle_s: float) -> bool:
        """Whether a request may be sent: open, silent, and not about to be closed."""
        if self._closed or self.transport.is_closing():
            return False
        if now == self.idle_since:
            return True  # used within this tick
        if now - self.idle_since > idle_s:
            return False
        try:
            self._sock.recv(1, _PEEK)
        except BlockingIOError:
            return True
        except OSError:
            pass
        return False  # an end, or bytes that nobody asked for

    def start(self, client: Asker, request: Request, data: bytes) -> None:
        """Sends a request's head and as much of its body as is there."""
        self._client, self._request = client, request
        self._head, self._body = b"", None
        self.transport.write(data)

    def go_on(self, client: Asker, standing: Standing, head: bytes) -> None:
        """Reads the answer of an exchange on that a predecessor began; `head` is what it has read of a head."""
        self._client, self._request = client, standing.request
        self._head, self._body, self._reusable = head, standing.answer, standing.reusable

    @property
    def quiet(self) -> bool:
        """Whether the exchange can move: all that was sent is in the kernel's hands, and no whole head waits."""
        return not self._closed and not (
            self.transport.is_closing() or self.transport.get_write_buffer_size() or b"\r\n\r\n" in self._head
        )

    @property
    def descriptor(self) -> int:
        """The connection's."""
        return self._sock.fileno()

    def outlook(self) -> tuple[Length | Chunks | UntilClose | None, bool, bytes]:
        """What is to come of the answer, whether the connection is kept after it, what was read of its head."""
        return self._body, self._reusable, self._head

    def send(self, data: bytes) -> None:
        """Sends more of the body."""
        self.transport.write(data)

    def close(self) -> None:
        """Ends the connection; nobody is told."""
        self._client = None
        if not self._closed:
            self.transport.abort()

    # -- asyncio.Protocol ------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The connection is up."""
        self.transport = cast(asyncio.Transport, transport)  # uvloop's is one in all but name
        self._closed = False
        self.transport.set_write_buffer_limits(WRITE_HIGH, WRITE_LOW)

    def connection_lost(self, error: Exception | None) -> None:
        """The application closed, or the connection broke."""
        self._closed = True
        self.catch_up()
        client, self._client = self._client, None
        if client is None:
            self.pool.discard(self)
        elif self._body is None:
            client.upstream_failed(502, "upstream-closed")
        elif isinstance(self._body, UntilClose) and error is None:
            client.upstream_done(False)
        else:
            client.upstream_broke()

    def pause_writing(self) -> None:
        """The application reads slowly: the client has to wait."""
        if self._client is not None:
            self._client.upstream_full(True)

    def resume_writing(self) -> None:
        """The application has caught up."""
        if self._client is not None:
            self._client.upstream_full(False)

    def data_received(self, data: bytes) -> None:
        """Bytes of an answer."""
        client = self._client
        if client is None:  # nobody asked
            self.pool.discard(self)
            self.transport.abort()
        elif self._body is None:
            if self._head:
                data = self._head + data
            if len(data) > SHORT:
                self._read_head(client, data)
                return
            self._head = data
            turn = self._turn
            turn.answers.append(self)
            if not turn.begun:
                turn.begin()
        else:
            self._read_body(client, b"", data)

    def catch_up(self) -> None:
        """See Turn."""
        client = self._client
        if self._head and client is not None and self._body is None:
            self._read_head(client, self._head)

    # -- reading ---------------------------------------------------------------------------------------------

    def _read_head(self, client: Asker, data: bytes) -> None:
        while True:
            head, end, rest = data.partition(b"\r\n\r\n")
            if not end:
                self._head = data
                if len(data) > HEAD_LIMIT:
                    self._fail(client)
                return
            try:
                answer = response(head, self._request)
            except BadResponseError:
                self._fail(client)
                return
            data = rest
            if answer.status >= 200:
                break
            if answer.status == 101:
                self._client = None
                client.upstream_switched(answer, self.transport, data)
                return
            client.interim(answer)
            if not data:
                self._head = b""
                return
        self._head = b""
        self._reusable = answer.reusable
        if answer.length == len(data):  # the whole answer, and nothing after it
            self._body = _WHOLE
            client.response_data(client.response_head(answer, True), data)
            self._done(client, answer.reusable)
            return
        if answer.length == CHUNKED:
            self._body = Chunks()
        else:
            self._body = UntilClose() if answer.length == UNTIL_CLOSE else Length(answer.length)
        complete = 0 <= answer.length <= len(data)
        self._read_body(client, client.response_head(answer, complete), data)

    def _read_body(self, client: Asker, head: bytes, data: bytes) -> None:
        body = self._body
        assert body is not None
        try:
            taken = body.take(data)
        except BadBodyError:
            if head:
                client.response_data(head, b"")
            self.close()
            client.upstream_broke()
            return
        surplus = taken < len(data)
        client.response_data(head, data[:taken] if surplus else data)
        if body.done:
            self._done(client, self._reusable and not surplus)

    def _done(self, client: Asker, reusable: bool) -> None:
        if self._client is client:  # it may have gone while it was written to
            self._client = None
            client.upstream_done(reusable)

    def _fail(self, client: Asker) -> None:
        self.close()
        client.upstream_failed(502, "upstream-malformed")
