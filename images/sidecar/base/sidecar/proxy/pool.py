"""Connections to the application, kept for the next request. Knows nothing of requests.

A request is never sent twice: a connection is only taken if the application has not closed it, as far as the
kernel knows at that moment, and idle ones are dropped well before an application would.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from sidecar.address import Address, connect
from sidecar.proxy.upstream import UpstreamConnection

if TYPE_CHECKING:
    from sidecar.proxy.service import Service

# More idle connections than one core keeps busy are of no use.
MOST_IDLE = 512


class Pool:
    """The idle connections to one address, the last used first."""

    def __init__(
        self,
        service: Service,
        address: Address,
        connect_timeout_s: float,
        idle_s: float,
        most: int = MOST_IDLE,
    ) -> None:
        self.turn = service.turn
        self._service, self._address, self._most = service, address, most
        self._connect_timeout_s, self._idle_s = connect_timeout_s, idle_s
        self._idle: list[UpstreamConnection] = []

    def take(self) -> UpstreamConnection | None:
        """A connection that is open now."""
        while self._idle:
            connection = self._idle.pop()
            if connection.usable(self._service.now, self._idle_s):
                return connection
            connection.close()
        return None

    def put(self, connection: UpstreamConnection) -> None:
        """Keeps a connection whose exchange is complete."""
        if len(self._idle) < self._most:
            connection.idle_since = self._service.now
            self._idle.append(connection)
        else:
            connection.close()

    async def connect(self) -> UpstreamConnection:
        """A new connection; OSError or TimeoutError."""
        try:
            sock = await connect(self._address, self._connect_timeout_s)
        except OSError:
            self._service.tally.failed_connects += 1
            raise
        connection = UpstreamConnection(self, sock)
        try:
            await asyncio.get_running_loop().create_connection(lambda: connection, sock=sock)
        except BaseException:
            sock.close()
            raise
        self._service.tally.connects += 1
        return connection

    @property
    def idle(self) -> int:
        """How many are kept."""
        return len(self._idle)

    def discard(self, connection: UpstreamConnection) -> None:
        """An idle connection has ended."""
        if connection in self._idle:
            self._idle.remove(connection)

    def tick(self) -> None:
        """Drops what has been idle for too long; the longest idle come first."""
        while self._idle and self._service.now - self._idle[0].idle_since > self._idle_s:
            self._idle.pop(0).close()

    def close(self) -> None:
        """Drops all."""
        for connection in self._idle:
            connection.close()
        self._idle.clear()
