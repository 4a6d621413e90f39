"""What all connections share: limits, the stamp on every response, clock, upstream pool, and the drain.

Knows nothing of sockets that listen, nor of why a drain begins.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from typing import Any

from sidecar.capacity import Capacity
from sidecar.config import Config
from sidecar.listener import Kind, Listener
from sidecar.parcel import Parcel
from sidecar.proxy import packing, tunnel
from sidecar.proxy.client import ClientConnection
from sidecar.proxy.connection import Connection
from sidecar.proxy.h2 import state
from sidecar.proxy.h2.application import Application
from sidecar.proxy.h2.connection import Http2Connection
from sidecar.proxy.h2.exchange import Asker, Exchange
from sidecar.proxy.h2.fields import Request
from sidecar.proxy.h2.http1 import Http1Exchange
from sidecar.proxy.local import LOOPBACK, LocalAnswer, LocalClient
from sidecar.proxy.outbound import Outbound
from sidecar.proxy.pool import Pool
from sidecar.proxy.tally import Tally
from sidecar.proxy.tunnel import Tunnel
from sidecar.proxy.turn import Turn

# Time-outs are looked at so often; a timer for each request would cost more than the request.
TICK_S = 0.1


@dataclass(frozen=True, slots=True)  # its fields are found faster than a tuple's
class Limits:
    """Bytes and seconds that a connection may take."""

    header: int
    body: int
    header_s: float
    body_s: float
    idle_s: float
    upstream_s: float
    connect_s: float


class Drain:
    """A drain under way: who is still there, and how the others went."""

    def __init__(
        self,
        began: float,
        idle_s: float,
        deadline_s: float,
        done: Callable[[dict[str, int]], None],
        tells: bool,
    ) -> None:
        self.began, self.idle_s, self.deadline, self.done = began, idle_s, began + deadline_s, done
        self.tells = tells  # every client; else only those whose connection stays
        # finished: closed by the client or at its wish; told: after an answer that said so;
        # moved: to the successor;
        # forced: without a word, of which forced_silent had asked nothing since the drain began.
        self.counts = {"finished": 0, "told": 0, "moved": 0, "forced": 0, "forced_silent": 0}

    def count(self, client: Connection) -> None:
        """One connection has gone."""
        gone = (client.moved, "moved"), (client.forced, "forced"), (client.told, "told")
        self.counts[next((name for so, name in gone if so), "finished")] += 1


class Service:
    """The proxy of one process."""

    def __init__(self, config: Config) -> None:
        self._loop = asyncio.get_running_loop()
        self.limits = Limits(
            config.header_limit,
            config.body_limit,
            config.header_timeout_s,
            config.body_timeout_s,
            config.idle_timeout_s,
            config.upstream_timeout_s,
            config.connect_timeout_s,
        )
        stamp = f"\r\nx-sidecar-version: {config.release}"
        if config.version is not None:
            stamp += f"\r\nx-sidecar-instance: {config.version}"
        self.stamp = f"{stamp}\r\n\r\n".encode()  # ends a response's header
        self.stamp_close = f"{stamp}\r\nConnection: close\r\n\r\n".encode()
        self.stamp_fields = [  # the same, of an HTTP/2 response
            (name.encode(), value.encode())
            for name, _, value in (line.partition(": ") for line in stamp.split("\r\n")[1:])
        ]
        self._look_at_clock()
        self.turn = Turn(self._loop)
        self.pool = Pool(self, config.upstream, config.connect_timeout_s, config.upstream_idle_s)
        self.outbound = Outbound(self, config)
        self.application = (  # if it speaks HTTP/2
            Application(self, config.upstream, config.connect_timeout_s, config.upstream_idle_s)
            if config.upstream_protocol == "h2"
            else None
        )
        self.clients: set[Connection] = set()
        self.arriving = 0  # accepted or unpacked, but not yet among the clients
        self._attaching: set[asyncio.Task[None]] = set()
        self.capacity = Capacity(config.max_connections, lambda: len(self.clients) + self.arriving)
        # Answers to requests, the sidecar's own included, by status // 100; what is no class of HTTP's is at 0.
        self.requests = [0] * 6
        self.tally = Tally()
        self.drain: Drain | None = None
        # Called with each connection that may be ready to move, while connections move.
        self.rest: Callable[[Connection], None] | None = None
        # Requests that this process answers itself: their first two lines, and what answers them.
        self.local: dict[bytes, LocalAnswer] = {}
        self._ticking = self._loop.call_later(TICK_S, self._tick)

    def greet(self, listener: Listener, peer: str, sock: socket.socket) -> None:
        """Serves a connection that was accepted; `peer` is the client's address."""
        self.tally.accepted += 1
        here = self.local and peer == LOOPBACK and listener.kind is Kind.INBOUND
        protocol = (LocalClient if here else _GREETERS[listener.kind])(self, listener, peer)
        self._begin(self._attach(protocol, sock))

    def count(self, status: int) -> None:
        """A request has its final status."""
        self.requests[status // 100 if status < 600 else 0] += 1

    def start_drain(self, idle_s: float, deadline_s: float, done: Callable[[dict[str, int]], None]) -> None:
        """Connections move if `rest` is set, else they are told to close; `done(counts)` when all have gone.

        A connection that is silent for `idle_s` is closed, and at the deadline so is every other.
        """
        self._look_at_clock()
        self.drain = Drain(self.now, idle_s, deadline_s, done, tells=self.rest is None)
        for client in list(self.clients):
            client.drain()
        self._loop.call_soon(self._perhaps_drained)

    def tell(self) -> None:
        """Connections cannot move any more: a drain that is under way tells all that are left."""
        self.rest = None
        if self.drain is not None:
            self.drain.tells = True
            for client in list(self.clients):
                client.drain()

    def moves(self) -> dict[str, str]:
        """The kinds of connections that move, each with the format of its parcels; both have to be equal."""
        return {ClientConnection.kind: "1", Http2Connection.kind: state.FORM, Tunnel.kind: "1"}

    def can_take(self, parcel: Parcel, listener: Listener) -> bool:
        """Whether `unpack` can serve this; looks at what is small, and answers at once."""
        if parcel.kind == Tunnel.kind:
            return tunnel.can_take(parcel)
        if parcel.kind == Http2Connection.kind:
            return Http2Connection.can_take(parcel, listener)
        return parcel.kind == ClientConnection.kind and packing.can_take(parcel, listener)

    def unpack(self, parcel: Parcel, listener: Listener, sockets: Sequence[socket.socket]) -> None:
        """Serves a connection that the predecessor has packed; the sockets are this process's, non-blocking.

        The successor acknowledges before it calls this: what fails here ends the connection.
        """
        self.tally.moved_in += 1
        if parcel.kind == Tunnel.kind:
            self._begin(tunnel.unpack(self, parcel, listener, sockets))
        elif parcel.kind == Http2Connection.kind:
            try:
                client = Http2Connection.unpack(self, listener, parcel)
            except state.BadStateError:
                sockets[0].close()
            else:
                self._begin(self._attach(client, sockets[0]))
        else:
            self._begin(packing.unpack(self, parcel, listener, sockets))

    def _begin(self, coming: Coroutine[Any, Any, None]) -> None:
        """A connection is on its way: it will have `arrived` or `vanished`."""
        self.arriving += 1
        task = self._loop.create_task(coming)
        self._attaching.add(task)
        task.add_done_callback(self._attaching.discard)

    async def _attach(self, protocol: asyncio.Protocol, sock: socket.socket) -> None:
        try:
            await self._loop.connect_accepted_socket(lambda: protocol, sock)
        except OSError:
            sock.close()
            self.vanished()

    def stop_drain(self) -> None:
        """Serves on; those already told to close are still closed."""
        if self.drain is not None:
            self.tally.drained.update(self.drain.counts)
            self.drain = None

    def exchange(self, asker: Asker, wanted: Request, whole: bool) -> Exchange:
        """Begins to send a request of an HTTP/2 client to the application; `whole`: it has no body."""
        if self.application is not None:
            return self.application.ask(asker, wanted, whole)
        return Http1Exchange(self.pool, asker, wanted, whole)

    def arrived(self, client: Connection) -> None:
        """A connection is up."""
        self.arriving -= 1
        self.clients.add(client)

    def changes(self, client: Connection) -> None:
        """A connection goes on as one of another kind, which will be `arrived`."""
        self.clients.remove(client)
        self.arriving += 1

    def vanished(self) -> None:
        """A connection was accepted and never came up."""
        self.arriving -= 1
        self.capacity.freed()
        self._perhaps_drained()

    def gone(self, client: Connection) -> None:
        """A connection has ended."""
        self.clients.discard(client)
        self.tally.moved_out += client.moved
        self.tally.told += client.told
        self.capacity.freed()
        if self.drain is not None:
            self.drain.count(client)
            self._perhaps_drained()

    def close(self) -> None:
        """Ends everything at once."""
        self._ticking.cancel()
        self.pool.close()
        self.outbound.close()
        if self.application is not None:
            self.application.close()
        for client in list(self.clients):
            client.transport.abort()

    def _look_at_clock(self) -> None:
        """The time as of the last tick, and what follows from it for every request."""
        self.now = self._loop.time()
        self.idle_until = self.now + self.limits.idle_s
        self.answer_until = self.now + self.limits.upstream_s

    def _perhaps_drained(self) -> None:
        drain = self.drain
        if drain is not None and not self.clients and not self.arriving:
            self._drained(drain)

    def _drained(self, drain: Drain) -> None:
        self.drain = None
        self.tally.drained.update(drain.counts)
        drain.done(drain.counts)

    def _tick(self) -> None:
        self._ticking = self._loop.call_later(TICK_S, self._tick)
        self._look_at_clock()
        self.turn.catch_up()  # nobody's time is up for what has been read
        self.pool.tick()
        self.outbound.tick()
        if self.application is not None:
            self.application.tick()
        for client in [client for client in self.clients if client.deadline <= self.now]:
            client.tick(self.now)
        drain = self.drain
        if drain is not None:
            self._tick_drain(drain)

    def _tick_drain(self, drain: Drain) -> None:
        """Moves what rests unnoticed; closes the silent ones, and at the deadline all."""
        if self.rest is not None:
            for client in self.clients:
                if not client.stays and client.ready():
                    self.rest(client)
        over = self.now >= drain.deadline
        for client in list(self.clients):
            silent = client.silent_since is not None
            if silent and (over or self.now - max(client.silent_since or 0, drain.began) >= drain.idle_s):
                client.close_silent()
                drain.counts["forced_silent"] += client.forced  # not one that is on its way to the successor
            elif over:
                client.cut()
        if over and self.drain is drain:
            # What lingers is over but for the client's FIN; it is counted now, since the process may end.
            for client in self.clients:
                drain.count(client)
            self._drained(drain)


# Who speaks on the connections of a listener.
_GREETERS: dict[Kind, Callable[[Service, Listener, str], asyncio.Protocol]] = {
    Kind.INBOUND: ClientConnection,
    Kind.OUTBOUND: ClientConnection,
    Kind.TCP: tunnel.greet,
}
