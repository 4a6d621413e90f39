"""What all connections share: limits, the stamp on every response, clock, upstream pool, and the drain.

Knows nothing of sockets that listen, nor of why a drain begins.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

from sidecar.config import Config
from sidecar.proxy.pool import Pool

if TYPE_CHECKING:
    from sidecar.proxy.client import ClientConnection

# Time-outs are looked at so often; a timer for each request would cost more than the request.
TICK_S = 0.1


class Limits(NamedTuple):
    """Bytes and seconds that a connection may take."""

    header: int
    body: int
    header_s: float
    body_s: float
    idle_s: float
    upstream_s: float


class Drain:
    """A drain under way: who is still there, and how the others went."""

    def __init__(
        self, began: float, idle_s: float, deadline_s: float, done: Callable[[dict[str, int]], None]
    ) -> None:
        self.began, self.idle_s, self.deadline, self.done = began, idle_s, began + deadline_s, done
        # finished: closed by the client or at its wish; told: after an answer that said so;
        # forced: without a word, of which forced_silent had asked nothing since the drain began.
        self.counts = {"finished": 0, "told": 0, "forced": 0, "forced_silent": 0}


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
        )
        stamp = f"\r\nx-sidecar-version: {config.release}"
        if config.version is not None:
            stamp += f"\r\nx-sidecar-instance: {config.version}"
        self.stamp = f"{stamp}\r\n\r\n".encode()  # ends a response's header
        self.stamp_close = f"{stamp}\r\nConnection: close\r\n\r\n".encode()
        self.now = self._loop.time()  # as of the last tick
        self.pool = Pool(self, config.upstream, config.connect_timeout_s, config.upstream_idle_s)
        self.clients: set[ClientConnection] = set()
        self.arriving = 0  # accepted, but not yet among the clients
        self.drain: Drain | None = None
        self._ticking = self._loop.call_later(TICK_S, self._tick)

    def start_drain(self, idle_s: float, deadline_s: float, done: Callable[[dict[str, int]], None]) -> None:
        """Each connection is told to close with its next answer; `done(counts)` when all have gone.

        A connection that is silent for `idle_s` is closed, and at the deadline so is every other.
        """
        self.now = self._loop.time()
        self.drain = Drain(self.now, idle_s, deadline_s, done)
        self._loop.call_soon(self._perhaps_drained)

    def stop_drain(self) -> None:
        """Serves on; those already told to close are still closed."""
        self.drain = None

    def arrived(self, client: ClientConnection) -> None:
        """A connection is up."""
        self.arriving -= 1
        self.clients.add(client)

    def vanished(self) -> None:
        """A connection was accepted and never came up."""
        self.arriving -= 1
        self._perhaps_drained()

    def gone(self, client: ClientConnection) -> None:
        """A connection has ended."""
        self.clients.discard(client)
        if self.drain is not None:
            self.drain.counts["forced" if client.forced else "told" if client.told else "finished"] += 1
            self._perhaps_drained()

    def close(self) -> None:
        """Ends everything at once."""
        self._ticking.cancel()
        self.pool.close()
        for client in list(self.clients):
            client.transport.abort()

    def _perhaps_drained(self) -> None:
        drain = self.drain
        if drain is not None and not self.clients and not self.arriving:
            self._drained(drain)

    def _drained(self, drain: Drain) -> None:
        self.drain = None
        drain.done(drain.counts)

    def _tick(self) -> None:
        self._ticking = self._loop.call_later(TICK_S, self._tick)
        self.now = self._loop.time()
        self.pool.tick()
        for client in list(self.clients):
            client.tick(self.now)
        drain = self.drain
        if drain is not None:
            self._tick_drain(drain)

    def _tick_drain(self, drain: Drain) -> None:
        """Closes the silent ones, and at the deadline all."""
        over = self.now >= drain.deadline
        for client in list(self.clients):
            silent = client.silent_since is not None
            if silent and (over or self.now - max(client.silent_since or 0, drain.began) >= drain.idle_s):
                drain.counts["forced_silent"] += 1
                client.close_silent()
            elif over:
                client.cut()
        if over and self.drain is drain:
            # What lingers is over but for the client's FIN; it is counted now, since the process may end.
            for client in self.clients:
                drain.counts["forced" if client.forced else "told" if client.told else "finished"] += 1
            self._drained(drain)
