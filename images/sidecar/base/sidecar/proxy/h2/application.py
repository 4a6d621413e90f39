"""An application that speaks HTTP/2: few connections, many requests on each.

A request is sent once. What the application certainly did not execute (REFUSED_STREAM, or a stream above a
GOAWAY's last) goes back to the client as REFUSED_STREAM, so that the client decides. Knows nothing of clients'
connections.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING

from h2.events import (
    ConnectionTerminated,
    DataReceived,
    Event,
    RemoteSettingsChanged,
    WindowUpdated,
)
from h2.exceptions import ProtocolError

from sidecar.address import Address, connect
from sidecar.proxy.h2 import fields
from sidecar.proxy.h2.engine import HIGHEST, ClientEngine
from sidecar.proxy.h2.exchange import Asker
from sidecar.proxy.h2.http2 import Http2Exchange
from sidecar.proxy.h2.link import Link

if TYPE_CHECKING:
    from sidecar.proxy.service import Service

# Connections: enough that an application which takes 100 requests on each is not what holds a client up.
MOST = 8


class Application:
    """The connections to one address, and the requests that wait for room on one."""

    def __init__(self, service: Service, address: Address, connect_timeout_s: float, idle_s: float) -> None:
        self.service = service
        self._address, self._connect_timeout_s, self._idle_s = address, connect_timeout_s, idle_s
        self._links: list[ApplicationLink] = []
        self._waiting: deque[Http2Exchange] = deque()
        self._connecting: asyncio.Task[None] | None = None

    def ask(self, asker: Asker, wanted: fields.Request, whole: bool) -> Http2Exchange:
        """Sends a request, as soon as there is room."""
        exchange = Http2Exchange(asker, wanted, whole)
        asker.full(True)
        self._waiting.append(exchange)
        self.place()
        return exchange

    def place(self) -> None:
        """There may be room now."""
        while self._waiting:
            if self._waiting[0].over:
                self._waiting.popleft()
                continue
            link = next((link for link in self._links if link.room), None)
            if link is None:
                if self._connecting is None and len(self._links) < MOST:
                    self._connecting = asyncio.get_running_loop().create_task(self._connect())
                return
            link.start(self._waiting.popleft())

    async def _connect(self) -> None:
        """One more connection; without any, nothing that waits has a future."""
        link = ApplicationLink(self)
        try:
            await self._open(link)
        except OSError as error:  # TimeoutError is one
            self._connecting = None
            if not self._links:
                reason = "upstream-connect" if link.idle_since is None else "upstream-http2"
                waiting, self._waiting = self._waiting, deque()
                for exchange in waiting:
                    exchange.fail(504 if isinstance(error, TimeoutError) else 502, reason)
        else:
            self._connecting = None
            self._links.append(link)
            self.place()

    async def _open(self, link: ApplicationLink) -> None:
        """Up to the application's SETTINGS, which say how much it takes at once."""
        try:
            sock = await connect(self._address, self._connect_timeout_s)
        except OSError:
            self.service.tally.failed_connects += 1
            raise
        try:
            async with asyncio.timeout(self._connect_timeout_s):
                await asyncio.get_running_loop().create_connection(lambda: link, sock=sock)
                await link.greeted
        except BaseException:
            if link.idle_since is None:  # it did not come up
                sock.close()
            else:
                link.transport.abort()
            raise

    def gone(self, link: ApplicationLink) -> None:
        """A connection takes no more requests."""
        if link in self._links:
            self._links.remove(link)
        self.place()

    def tick(self) -> None:
        """Drops connections that have been idle for too long: the application would soon do so itself."""
        for link in list(self._links):
            if link.idle_since is not None and self.service.now - link.idle_since > self._idle_s:
                link.leave()

    def close(self) -> None:
        """Drops all."""
        if self._connecting is not None:
            self._connecting.cancel()
        self._waiting.clear()
        for link in list(self._links):
            link.transport.abort()


class ApplicationLink(Link):
    """One connection to the application."""

    engine: ClientEngine

    def __init__(self, application: Application) -> None:
        super().__init__(ClientEngine())
        self._application = application
        self.greeted: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.exchanges: dict[int, Http2Exchange] = {}
        self.idle_since: float | None = None
        self._leaving = False  # no new requests

    @property
    def room(self) -> bool:
        """Whether one more request can be sent."""
        engine = self.engine
        return (
            not self._leaving
            and engine.open_outbound_streams < engine.remote_settings.max_concurrent_streams
            and engine.highest_outbound_stream_id < HIGHEST - 2
        )

    def start(self, exchange: Http2Exchange) -> None:
        """Sends a request's head, and what has come of its body."""
        number = self.engine.get_next_available_stream_id()
        self.exchanges[number] = exchange
        self.idle_since = None
        exchange.start(self, number)

    def gone(self, exchange: Http2Exchange) -> None:
        """An exchange has ended."""
        if self.exchanges.pop(exchange.id, None) is None:
            return
        self._blocked.discard(exchange)
        if not self.exchanges:
            self.idle_since = self._application.service.now
            if self._leaving:
                self.leave()
        self._application.place()

    def leave(self) -> None:
        """Ends a connection without requests."""
        self._leave()
        self.engine.goaway(0)
        self.flush()
        self.transport.close()

    def _leave(self) -> None:
        self._leaving = True
        self._application.gone(self)

    # -- asyncio.Protocol ------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The connection is up."""
        self.up(transport)
        self._application.service.tally.connects += 1
        self.idle_since = self._application.service.now
        self.engine.greet()
        self.wake()

    def connection_lost(self, error: Exception | None) -> None:
        """The application closed, or the connection broke."""
        if not self.greeted.done():
            self.greeted.set_exception(ConnectionResetError("no HTTP/2"))
        self._leave()
        for exchange in list(self.exchanges.values()):
            exchange.lost()

    def data_received(self, data: bytes) -> None:
        """Frames."""
        try:
            events = self.engine.receive(data, self._application.service.now)
        except ProtocolError:
            self.flush()
            self.transport.close()
            return
        for event in events:
            self._take(event)
        if self.engine.unsent:
            self.wake()

    def _take(self, event: Event) -> None:
        if isinstance(event, WindowUpdated):
            self.opened()
        elif isinstance(event, RemoteSettingsChanged):
            if not self.greeted.done():
                self.greeted.set_result(None)
            self.opened()
            self._application.place()
        elif isinstance(event, ConnectionTerminated):
            self._told(event.last_stream_id or 0)
        else:
            exchange = self.exchanges.get(getattr(event, "stream_id", 0))
            if exchange is not None:
                exchange.take(event)
            elif isinstance(event, DataReceived):
                self.engine.acknowledge_received_data(event.flow_controlled_length, event.stream_id)

    def _told(self, last: int) -> None:
        """GOAWAY: what is above `last` was not executed, the rest is."""
        self._leave()
        for number, exchange in list(self.exchanges.items()):
            if number > last:
                exchange.refused()
        if not self.exchanges:
            self.leave()
