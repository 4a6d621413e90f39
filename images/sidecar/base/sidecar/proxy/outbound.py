"""Where the requests of outbound listeners go: each names its own destination.

A name is resolved for each request, and the connection is made to the very address that was checked, so a
name that changes its mind in between gains nothing. Knows nothing of clients.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, TypeVar
from weakref import WeakValueDictionary

from sidecar.address import Address, connect
from sidecar.config import Config
from sidecar.proxy.destination import AllowList, address_of, split
from sidecar.proxy.head import RefusedError
from sidecar.proxy.pool import Pool
from sidecar.proxy.upstream import UpstreamConnection

if TYPE_CHECKING:
    from sidecar.proxy.service import Service

MOST_POOLS = 256  # destinations whose connections are kept; those of others serve one request
MOST_IDLE = 32  # connections for each
MOST_TRIES = 3  # addresses of one name
_T = TypeVar("_T")


class Outbound:
    """Resolves, checks and connects."""

    def __init__(self, service: Service, config: Config) -> None:
        self._service = service
        self._connect_s, self._idle_s = config.connect_timeout_s, config.upstream_idle_s
        listeners = [listener.address for listener in config.listeners]
        self._allowed = AllowList(config.outbound_allow, listeners, _is_here)
        # A pool lives as long as there is a connection of it, in use or idle.
        self._pools: WeakValueDictionary[Address, Pool] = WeakValueDictionary()
        self.refused = 0  # requests for destinations that are not allowed

    async def connect(self, authority: bytes) -> UpstreamConnection:
        """A connection for a plain request: an idle or a new one. OSError, TimeoutError, RefusedError."""

        async def attempt(address: Address) -> UpstreamConnection:
            pool = self._pool(address)
            return pool.take() or await pool.connect()

        return await self._reach(authority, 80, attempt)

    async def dial(self, authority: bytes) -> socket.socket:
        """A connection for CONNECT. OSError, TimeoutError, RefusedError."""

        async def attempt(address: Address) -> socket.socket:
            return await connect(address, self._connect_s)

        return await self._reach(authority, 0, attempt)

    def tick(self) -> None:
        """Drops connections that have been idle for too long."""
        for pool in list(self._pools.values()):
            pool.tick()

    def close(self) -> None:
        """Drops all."""
        for pool in list(self._pools.values()):
            pool.close()

    async def _reach(
        self, authority: bytes, default_port: int, attempt: Callable[[Address], Awaitable[_T]]
    ) -> _T:
        """Tries the addresses that are allowed, in the resolver's order; nothing has been sent to any."""
        try:
            host, port = split(authority, default_port)
        except ValueError:
            raise RefusedError(400, "target") from None
        allowed = [address for address in await self._resolve(host, port) if self._allowed.permits(address)]
        if not allowed:
            self.refused += 1
            raise RefusedError(403, "destination")
        *others, last = allowed[:MOST_TRIES]
        for address in others:
            try:
                return await attempt(address)
            except (OSError, TimeoutError):
                continue
        return await attempt(last)

    async def _resolve(self, host: str, port: int) -> list[Address]:
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(self._connect_s):
                found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except TimeoutError:
            raise RefusedError(504, "resolve") from None
        except (OSError, UnicodeError):
            raise RefusedError(502, "resolve") from None
        return [address_of(str(name[0]), port) for _, _, _, _, name in found]

    def _pool(self, address: Address) -> Pool:
        pool = self._pools.get(address)
        if pool is None:
            room = len(self._pools) < MOST_POOLS
            pool = Pool(self._service, address, self._connect_s, self._idle_s, MOST_IDLE if room else 0)
            if room:
                self._pools[address] = pool
        return pool


def _is_here(host: str) -> bool:
    """Whether an address is one of this network namespace: others cannot be bound."""
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_DGRAM) as sock:
        try:
            sock.bind((host, 0))
        except OSError:
            return False
    return True
