"""What a connection from a client is made of, and how it ends: refused, drained, moved away, out of time.

Knows nothing of how requests are read and answered, nor of how a connection is packed.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, ClassVar

from sidecar.listener import Kind
from sidecar.proxy import stage
from sidecar.proxy.answers import answer
from sidecar.proxy.body import Chunks, Length
from sidecar.proxy.head import Request

if TYPE_CHECKING:
    from sidecar.listener import Listener
    from sidecar.proxy.outbound import Outbound
    from sidecar.proxy.service import Service
    from sidecar.proxy.upstream import UpstreamConnection

# Between the last answer and the close: long enough for a client to read it and close first. Closing with
# unread bytes would send RST, which can take the answer away from the client.
LINGER_S = 2.0
NONE = Request(b"", 0, head=False, close=False, old=False, expects=False)  # before the first one
READ_AHEAD = 65536  # bytes of pipelined requests, beyond which the client has to wait


class Lifetime(asyncio.Protocol):
    """The state of a connection, and all that ends it."""

    __slots__ = (
        "_body",
        "_buffer",
        "_closing",
        "_connecting",
        "_ended",
        "_full",
        "_outbound",
        "_paused",
        "_peer",
        "_queue",
        "_rechunk",
        "_request",
        "_service",
        "_slow",
        "_started",
        "_state",
        "_turn",
        "_upstream",
        "deadline",
        "forced",
        "listener",
        "moved",
        "silent_since",
        "stays",
        "told",
        "transport",
    )

    kind: ClassVar[str] = "http1"
    transport: asyncio.Transport

    def __init__(self, service: Service, listener: Listener, peer: str, read_ahead: bytes = b"") -> None:
        self._service, self.listener, self._peer = service, listener, peer.encode()
        self._turn = service.turn
        # Where requests go: None is the application.
        self._outbound: Outbound | None = service.outbound if listener.kind is Kind.OUTBOUND else None
        self._state: int = stage.IDLE
        self._buffer = read_ahead  # what was read and is not handled; at first by the predecessor
        self._request = NONE
        self._body: Length | Chunks | None = None  # of the request, while it is coming
        self._queue: list[bytes] = []  # for an application that is being connected to
        self._connecting: asyncio.Task[None] | None = None
        self._upstream: UpstreamConnection | None = None
        self._started = False  # the answer has begun
        self._closing = False  # the connection ends with this answer
        self._rechunk = False  # the answer's end would be the close: make chunks of it
        self._full = False  # the application reads slowly
        self._slow = False  # the client reads slowly
        self._paused = False
        self._ended = False  # the client has sent FIN
        self.deadline = 0.0
        self.silent_since: float | None = service.now  # None: not idle
        self.told = False  # was told to close because of a drain
        self.forced = self.moved = self.stays = False

    def _throttle(self) -> None:
        """Reads from the client only what can be passed on or may be kept."""
        wait = self._state is stage.EXCHANGE and (
            self._full
            or (self._body is None and len(self._buffer) > READ_AHEAD)
            or (self._connecting is not None and self._body is not None)
        )
        if wait is not self._paused and not self.transport.is_closing():
            self._paused = wait
            if wait:
                self.transport.pause_reading()
            else:
                self.transport.resume_reading()

    # -- ends ------------------------------------------------------------------------------------------------

    def _tells(self) -> bool:
        """Whether the client has to be told that this connection closes."""
        drain = self._service.drain
        return drain is not None and (drain.tells or self.stays)

    def _refuse(self, status: int, reason: str) -> None:
        """Answers here and ends the connection."""
        if self._upstream is not None:
            self._upstream.close()
            self._upstream = None
        if self._state is stage.EXCHANGE and self._started:
            self._broken()
            return
        if self._state is not stage.SKIP:
            self._service.tally.errors[reason] += 1
            head = self._state is stage.EXCHANGE and self._request.head
            self._service.count(status)
            self.transport.write(answer(status, reason, self._service.stamp_close, head))
        self._linger()

    def _broken(self) -> None:
        self._state = stage.LINGER
        self.transport.abort()

    def _linger(self) -> None:
        """Half-closes, then waits for the client to close."""
        self._state = stage.LINGER
        self._buffer = b""
        self._body = None
        self.silent_since = None
        self.deadline = self._service.now + LINGER_S
        if self.transport.is_closing():
            return
        if self._ended:
            self.transport.close()
            return
        self.transport.write_eof()
        self._throttle()

    # -- drain and time (see sidecar.proxy.connection) -------------------------------------------------------

    def drain(self) -> None:
        """HTTP/1 can only tell with an answer."""

    def let_go(self) -> None:
        """The successor reads it now."""
        self.moved = True
        self._state = stage.LINGER
        self.transport.abort()

    def close_silent(self) -> None:
        """Ends an idle connection; a request that crosses with this is never executed."""
        if self._state is stage.PACKED:
            return
        self.forced = True
        self._linger()

    def cut(self) -> None:
        """Ends the connection in mid-exchange, at the end of a drain."""
        if self._state < stage.LINGER:
            self.forced = True
            self._broken()

    def tick(self, now: float) -> None:
        """This connection's time is up."""
        state = self._state
        if state is stage.LINGER:
            if self.transport.get_write_buffer_size():
                self.deadline = now + LINGER_S  # the answer itself is still on its way
            else:
                self.transport.abort()
        elif state is stage.IDLE:
            self._linger()
        elif state is stage.HEAD:
            self._refuse(408, "header-timeout")
        elif state is stage.SKIP:
            self._linger()
        elif self._body is not None:
            if self._paused:  # it is not the client who is slow
                self._refuse(504, "upstream-timeout")
            else:
                self._refuse(408, "body-timeout")
        elif not self._started:
            self._refuse(504, "upstream-timeout")
