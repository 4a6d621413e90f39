"""One request with an application that speaks HTTP/1.1, over a connection of the pool.

Knows nothing of frames. The request's body goes out in chunks unless its length is known; the answer's chunks
are checked by the connection (sidecar.proxy.body) and undone here, so that its trailers can be told.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from h2.errors import ErrorCodes
from httptools import HttpResponseParser

from sidecar.proxy.h2 import fields
from sidecar.proxy.h2.exchange import Asker
from sidecar.proxy.h2.fields import Fields
from sidecar.proxy.head import CHUNKED, Request, Response

if TYPE_CHECKING:
    from sidecar.proxy.pool import Pool
    from sidecar.proxy.upstream import UpstreamConnection

_CHUNKED_HEAD = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"


class _Chunks:
    """Undoes chunks that were checked already: payload and trailers."""

    def __init__(self) -> None:
        self.payload: list[bytes] = []
        self.trailers: Fields = []
        self._parser = HttpResponseParser(self)
        self._parser.feed_data(_CHUNKED_HEAD)
        self.trailers.clear()  # what was called back for that head

    def on_body(self, data: bytes) -> None:
        """Called by httptools."""
        self.payload.append(data)

    def on_header(self, name: bytes, value: bytes) -> None:
        """Called by httptools."""
        self.trailers.append((name, value))

    def take(self, data: bytes) -> bytes:
        """The payload in these bytes."""
        self._parser.feed_data(data)
        payload = b"".join(self.payload)
        self.payload.clear()
        return payload


class Http1Exchange:
    """See sidecar.proxy.h2.exchange; to the connection (sidecar.proxy.upstream) it is the one who asked."""

    def __init__(self, pool: Pool, asker: Asker, wanted: fields.Request, ended: bool) -> None:
        self._pool, self._asker = pool, asker
        head, self._chunked = fields.http1_request(wanted, ended)
        self._request = Request(b"", 0, wanted.method == b"HEAD", close=False, old=False, expects=False)
        self._queue = [head]  # while the connection is not there
        self._complete = ended  # the request is with the connection, whole
        self._chunks: _Chunks | None = None
        self._slow = self._over = False
        self._upstream: UpstreamConnection | None = None
        self._connecting: asyncio.Task[None] | None = None
        upstream = pool.take()
        if upstream is not None:
            self._start(upstream)
        else:
            asker.full(True)
            self._connecting = asyncio.get_running_loop().create_task(self._connect())

    async def _connect(self) -> None:
        try:
            upstream = await self._pool.connect()
        except TimeoutError:
            self.upstream_failed(504, "upstream-connect")
        except OSError:
            self.upstream_failed(502, "upstream-connect")
        else:
            self._connecting = None
            self._start(upstream)
            self._asker.full(False)

    def _start(self, upstream: UpstreamConnection) -> None:
        self._upstream = upstream
        if self._slow:
            upstream.transport.pause_reading()
        upstream.start(self, self._request, b"".join(self._queue))
        self._queue.clear()

    def _send(self, data: bytes) -> None:
        if self._upstream is not None:
            self._upstream.send(data)
        elif not self._over:
            self._queue.append(data)

    # -- called by the stream --------------------------------------------------------------------------------

    def send(self, data: bytes) -> None:
        """See Exchange."""
        if data:
            self._send(b"%x\r\n%b\r\n" % (len(data), data) if self._chunked else data)

    def end(self, trailers: Fields) -> None:
        """See Exchange; without chunks there is no place for trailers (RFC 9110, section 6.5.1)."""
        self._complete = True
        if self._chunked:
            self._send(fields.http1_trailers(trailers))

    def pause(self, slow: bool) -> None:
        """See Exchange."""
        self._slow = slow
        if self._upstream is not None:
            if slow:
                self._upstream.transport.pause_reading()
            else:
                self._upstream.transport.resume_reading()

    def cancel(self) -> None:
        """See Exchange."""
        self._over = True
        if self._connecting is not None:
            self._connecting.cancel()
        if self._upstream is not None:
            self._upstream.close()
            self._upstream = None

    # -- called by the connection ----------------------------------------------------------------------------

    def interim(self, response: Response) -> None:
        """A 1xx response."""
        self._asker.interim(response.status, fields.response_lines(response.forward, b""))

    def response_head(self, response: Response, complete: bool) -> bytes:
        """The head; nothing of it goes back, since it is not bytes that the client gets."""
        if response.length == CHUNKED:
            self._chunks = _Chunks()
        found = fields.response_lines(response.forward, response.framing if self._chunks is None else b"")
        self._over = response.length == 0
        self._asker.answered(response.status, found, last=self._over)
        return b""

    def response_data(self, head: bytes, data: bytes) -> None:
        """Part of the body as it came."""
        payload = data if self._chunks is None else self._chunks.take(data)
        if payload and not self._over:
            self._asker.data(payload)

    def upstream_switched(self, response: Response, transport: asyncio.Transport, early: bytes) -> None:
        """HTTP/2 has no upgrades (RFC 9113, section 8.6), so none was asked for."""
        transport.abort()
        self.upstream_failed(502, "upstream-malformed")

    def upstream_done(self, reusable: bool) -> None:
        """The answer is complete."""
        upstream, self._upstream = self._upstream, None
        if upstream is not None:
            if reusable and self._complete:
                if self._slow:
                    upstream.transport.resume_reading()
                upstream.pool.put(upstream)
            else:
                upstream.close()
        if not self._over:
            self._over = True
            self._asker.done([] if self._chunks is None else fields.trailer_lines(self._chunks.trailers))

    def upstream_failed(self, status: int, reason: str) -> None:
        """There will be no answer."""
        self._connecting = self._upstream = None
        self._over = True
        self._asker.failed(status, reason)

    def upstream_broke(self) -> None:
        """The answer will not be complete."""
        self._upstream = None
        if not self._over:
            self._over = True
            self._asker.broke(ErrorCodes.INTERNAL_ERROR)

    def upstream_full(self, full: bool) -> None:
        """Whether the application has to catch up."""
        self._asker.full(full)
