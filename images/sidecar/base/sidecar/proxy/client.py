"""One connection from a client: reads requests, has each one answered, in order, one at a time.

What was read ahead stays in `_buffer`, and messages are framed here rather than by a parser: a connection can
be moved to another process at any message's end. Knows nothing of listeners or hand-overs; of a drain only
that there is one.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, cast

from sidecar.listener import Kind
from sidecar.parcel import Parcel
from sidecar.proxy import packing, stage
from sidecar.proxy.answers import answer
from sidecar.proxy.body import BadBodyError, Chunks, Length
from sidecar.proxy.connection import WRITE_HIGH, WRITE_LOW
from sidecar.proxy.h2.connection import PREFACE, Http2Connection
from sidecar.proxy.head import CHUNKED, UNTIL_CLOSE, RefusedError, Response
from sidecar.proxy.lifetime import NONE, Lifetime
from sidecar.proxy.plain import request
from sidecar.proxy.tunnel import Tunnel
from sidecar.proxy.turn import SHORT

if TYPE_CHECKING:
    from sidecar.proxy.outbound import Outbound
    from sidecar.proxy.upstream import UpstreamConnection


class ClientConnection(Lifetime):
    """A connection from a client."""

    __slots__ = ()

    # -- asyncio.Protocol ------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The connection is up."""
        self.transport = cast(asyncio.Transport, transport)  # uvloop's is one in all but name
        self.transport.set_write_buffer_limits(WRITE_HIGH, WRITE_LOW)
        self.deadline = self._service.idle_until
        self._service.arrived(self)
        if self._state is stage.EXCHANGE:  # that the predecessor began
            self.deadline = self._service.answer_until
        elif self._buffer:
            self._read(self._buffer)
        elif self._service.rest is not None:
            self._service.rest(self)

    def connection_lost(self, error: Exception | None) -> None:
        """The connection has ended; what the application does for it is of no use any more."""
        if self._upstream is not None:
            self._upstream.close()
            self._upstream = None
        if self._connecting is not None:
            self._connecting.cancel()
        self._state = stage.LINGER
        self._service.gone(self)

    def eof_received(self) -> bool:
        """The client sends no more. It still gets the answer to what it sent whole."""
        self._ended = True
        self.catch_up()
        return self._state is stage.EXCHANGE and self._body is None

    def pause_writing(self) -> None:
        """The client reads slowly: the application has to wait."""
        self._slow = True
        if self._upstream is not None:
            self._upstream.transport.pause_reading()

    def resume_writing(self) -> None:
        """The client has caught up."""
        self._slow = False
        if self._upstream is not None:
            self._upstream.transport.resume_reading()

    def data_received(self, data: bytes) -> None:
        """Bytes of requests."""
        state = self._state
        if state <= stage.HEAD:
            if self._buffer:
                data = self._buffer + data
            if len(data) > SHORT:
                self._read(data)
                return
            self._buffer = data
            turn = self._turn
            turn.requests.append(self)
            if not turn.begun:
                turn.begin()
        elif state >= stage.LINGER:
            pass
        elif self._body is not None:
            self._read_body(data)
        else:
            self._buffer += data
            self._throttle()

    def catch_up(self) -> None:
        """See Turn."""
        if self._buffer and self._state <= stage.HEAD:
            self._read(self._buffer)

    # -- requests --------------------------------------------------------------------------------------------

    def _read(self, data: bytes) -> None:
        """Takes the next request, if its head is whole."""
        if data[0] <= 13:
            while data.startswith(b"\r\n"):
                data = data[2:]  # some clients end a body with an extra line
            if not data:
                self._idle(b"")
                return
            if data[:1] == b"\n" or (data[:1] == b"\r" and len(data) > 1):
                self._refuse(400, "malformed")
                return
        head, end, rest = data.partition(b"\r\n\r\n")
        if not end or len(head) + 4 > self._service.limits.header:
            self._read_part(data)
            return
        self.silent_since = None
        try:
            self._request = wanted = request(head, self._peer, self._outbound is not None)
        except RefusedError as error:
            if not self._begins_http2(data):
                self._refuse(error.status, error.reason)
            return
        self._state = stage.EXCHANGE
        self._started = False
        self._closing = wanted.close
        if not wanted.length:
            self._body = None
            self._buffer = rest
            self._forward(wanted.forward)
            return
        limit = self._service.limits.body
        if limit and wanted.length > limit:
            self._refuse(413, "body-limit")
            return
        self._body = Chunks() if wanted.length == CHUNKED else Length(wanted.length)
        self._buffer = b""
        self._read_body(rest, wanted.forward)

    def _begins_http2(self, data: bytes) -> bool:
        """Whether these first bytes are HTTP/2's preface (RFC 9113, section 3.4), or may become it."""
        if self._request is not NONE or data[:24] != PREFACE[: len(data)]:
            return False
        if self.listener.kind is not Kind.INBOUND:
            return False
        if len(data) < len(PREFACE):
            self._read_part(data)
            return True
        client = Http2Connection(self._service, self.listener, self._peer.decode())
        self._state = stage.LINGER
        self.transport.set_protocol(client)
        self._service.changes(self)
        client.begin(self.transport, data)
        return True

    def _read_part(self, data: bytes) -> None:
        """Keeps part of a head, unless it is too long already or breaks the grammar."""
        if len(data) > self._service.limits.header:
            self._refuse(431, "header-limit")
        elif data.count(b"\n") != data.count(b"\r\n"):
            self._refuse(400, "malformed")
        else:
            self._buffer = data
            if self._state is stage.IDLE:
                self._state = stage.HEAD
                self.silent_since = None
                self.deadline = self._service.now + self._service.limits.header_s

    def _read_body(self, data: bytes, head: bytes = b"") -> None:
        """Passes the body on, and keeps what follows it."""
        body = self._body
        assert body is not None
        try:
            taken = body.take(data)
        except BadBodyError:
            self._refuse(400, "chunks")
            return
        limit = self._service.limits.body
        if limit and isinstance(body, Chunks) and body.payload > limit:
            self._refuse(413, "body-limit")
            return
        if body.done:
            self._body = None
            self._buffer = data[taken:]
        if self._state is stage.SKIP:
            if body.done:
                self._next()
            return
        self.deadline = self._service.now + self._service.limits.body_s
        self._forward(head + data[:taken])

    def _forward(self, data: bytes) -> None:
        """Sends to the application: over an idle connection, over a new one, or later."""
        if self._body is None:
            self.deadline = self._service.answer_until
        if self._upstream is not None:
            self._upstream.send(data)
            return
        if self._connecting is None:
            upstream = self._service.pool.take() if self._outbound is None else None
            if upstream is not None:
                self._start(upstream, data)
                return
            self._connecting = asyncio.get_running_loop().create_task(self._connect())
        self._queue.append(data)
        self._throttle()

    async def _connect(self) -> None:
        wanted = self._request
        try:
            if self._outbound is None:
                upstream = await self._service.pool.connect()
            elif wanted.forward:
                upstream = await self._outbound.connect(wanted.authority)
            else:
                await self._dial(self._outbound, wanted.authority)
                return
        except RefusedError as error:
            self._connecting = None
            self.upstream_failed(error.status, error.reason)
        except TimeoutError:
            self._connecting = None
            self.upstream_failed(504, "upstream-connect")
        except OSError:
            self._connecting = None
            self.upstream_failed(502, "upstream-connect")
        else:
            self._connecting = None
            if self._state is not stage.EXCHANGE:  # refused or gone meanwhile
                upstream.pool.put(upstream)
                return
            data = b"".join(self._queue)
            self._queue.clear()
            self._start(upstream, data)
            self._throttle()

    async def _dial(self, outbound: Outbound, authority: bytes) -> None:
        """CONNECT: what the client sends from here on is for the destination."""
        sock = await outbound.dial(authority)
        self._connecting = None
        if self._state is not stage.EXCHANGE:
            sock.close()
            return
        tunnel = self._tunnel(b"HTTP/1.1 200 Connected" + self._service.stamp)
        try:
            await tunnel.attach(tunnel.target, sock)
        except OSError:
            tunnel.transport.abort()

    def _start(self, upstream: UpstreamConnection, data: bytes) -> None:
        self._upstream = upstream
        if self._slow:
            upstream.transport.pause_reading()
        upstream.start(self, self._request, data)

    # -- answers (called by the connection to the application) -----------------------------------------------

    def interim(self, response: Response) -> None:
        """A 1xx response; HTTP/1.0 knows none."""
        if not self._request.old:
            self.transport.write(response.forward + b"\r\n\r\n")

    def response_head(self, response: Response, complete: bool) -> bytes:
        """The head as this client gets it; `complete` says that the whole body is at hand."""
        self._started = True
        self._service.count(response.status)
        self._rechunk = response.length == UNTIL_CLOSE and not self._request.old
        if self._body is not None and (complete or self._request.expects):
            # Answered early: whether the rest of the body will ever come is unknown.
            self._closing = True
        elif self._service.drain is not None and self._tells() and not self._buffer and not self._closing:
            # Requests that are here already are answered first: only the last one is told.
            self._closing = self.told = True
        framing = b"\r\nTransfer-Encoding: chunked" if self._rechunk else response.framing
        return (
            response.forward + framing + (self._service.stamp_close if self._closing else self._service.stamp)
        )

    def response_data(self, head: bytes, data: bytes) -> None:
        """Part of the answer."""
        if self._rechunk and data:
            data = b"%x\r\n%b\r\n" % (len(data), data)
        if head or data:
            self.transport.write(head + data if data else head)

    def upstream_done(self, reusable: bool) -> None:
        """The answer is complete."""
        upstream, self._upstream = self._upstream, None
        assert upstream is not None
        if reusable and self._body is None:
            if self._slow:
                upstream.transport.resume_reading()
            upstream.pool.put(upstream)
        else:
            upstream.close()
        if self._rechunk:
            self.transport.write(b"0\r\n\r\n")
        self._full = False
        if self._closing or (self._ended and not self._buffer):
            self._linger()
        elif self._body is not None:
            self._state = stage.SKIP
            self.deadline = self._service.now + self._service.limits.body_s
            self._throttle()
        elif self._buffer or self._paused:
            self._next()
        else:
            self._idle(b"")

    def upstream_switched(self, response: Response, transport: asyncio.Transport, early: bytes) -> None:
        """The application speaks another protocol from here on, and may have begun."""
        self._upstream = None
        tunnel = self._tunnel(response.forward + response.framing + self._service.stamp)
        tunnel.target.adopt(transport, early)

    def _tunnel(self, head: bytes) -> Tunnel:
        """Answers the request; the client's connection is one end of a tunnel then, with what it sent early."""
        self._service.count(int(head[9:12]))
        self.transport.write(head)
        self._state = stage.LINGER
        self._service.changes(self)
        tunnel = Tunnel(self._service, self.listener)
        tunnel.client.adopt(self.transport, self._buffer, self._ended)
        return tunnel

    def upstream_failed(self, status: int, reason: str) -> None:
        """There will be no answer from the application."""
        if self._state is not stage.EXCHANGE:
            return
        self._upstream = None
        self._queue.clear()
        if self._body is not None or self._closing:
            self._refuse(status, reason)
            return
        if self._tells() and not self._buffer:
            self.told = True
            self._refuse(status, reason)
            return
        self._service.tally.errors[reason] += 1
        self._service.count(status)
        self.transport.write(answer(status, reason, self._service.stamp, self._request.head))
        self._full = False
        if self._ended and not self._buffer:
            self._linger()
        else:
            self._next()

    def upstream_broke(self) -> None:
        """The answer has begun and will not be complete: ending the connection is the only way to say so."""
        self._upstream = None
        self._broken()

    def upstream_full(self, full: bool) -> None:
        """Whether the application has to catch up."""
        self._full = full
        self._throttle()

    # -- between requests ------------------------------------------------------------------------------------

    def _next(self) -> None:
        """After an answer: the next request, which may be here already."""
        data = self._buffer
        self._idle(data)
        if data:
            self._read(data)
        if self._paused:
            self._throttle()

    def _idle(self, data: bytes) -> None:
        service = self._service
        self._state = stage.IDLE
        self._buffer = data
        self.silent_since = service.now
        self.deadline = service.idle_until
        if service.rest is not None:
            service.rest(self)

    # -- moves (see sidecar.proxy.packing) -------------------------------------------------------------------

    def ready(self) -> bool:
        """See sidecar.proxy.packing."""
        return packing.ready(self)

    def pack(self) -> Parcel:
        """See sidecar.proxy.packing."""
        return packing.pack(self)

    def take_back(self) -> None:
        """See sidecar.proxy.packing."""
        packing.take_back(self)
