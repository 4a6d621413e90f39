"""How an HTTP/1 connection that the predecessor has packed is served on, alone or in an exchange.

The successor acknowledges before: what fails here ends the connection. Knows nothing of how it is packed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from socket import socket
from typing import TYPE_CHECKING

from sidecar.listener import Kind, Listener
from sidecar.parcel import Parcel
from sidecar.proxy.client import ClientConnection
from sidecar.proxy.exchange import Exchange, exchange_of
from sidecar.proxy.upstream import UpstreamConnection

if TYPE_CHECKING:
    from sidecar.proxy.service import Service


def can_take(parcel: Parcel, listener: Listener) -> bool:
    """Whether `unpack` can serve this."""
    try:
        exchange = _exchange(parcel)
    except ValueError:
        return False
    peer = parcel.state.get("peer")  # goes into a header field
    if not (isinstance(peer, str) and peer.isascii() and peer.isprintable()):
        return False
    if exchange is None:
        return len(parcel.descriptors) == 1 and listener.kind in (Kind.INBOUND, Kind.OUTBOUND)
    return len(parcel.descriptors) == 2 and listener.kind is Kind.INBOUND


async def unpack(service: Service, parcel: Parcel, listener: Listener, sockets: Sequence[socket]) -> None:
    """Attaches the client's connection, then the application's."""
    exchange = _exchange(parcel)
    ahead = parcel.data if exchange is None else parcel.data[: exchange.ahead]
    client = ClientConnection(service, listener, parcel.state["peer"], ahead)
    if exchange is not None:
        client.go_on(exchange)
    loop = asyncio.get_running_loop()
    try:
        await loop.connect_accepted_socket(lambda: client, sockets[0])
    except OSError:
        for sock in sockets:
            sock.close()
        service.vanished()
        return
    if exchange is not None:
        upstream = UpstreamConnection(service.pool, sockets[1])
        upstream.go_on(client, exchange, parcel.data[exchange.ahead :])
        await _join(client, upstream, sockets[1])


async def _join(client: ClientConnection, upstream: UpstreamConnection, sock: socket) -> None:
    if not client.joined(upstream):
        sock.close()
        return
    try:
        await asyncio.get_running_loop().create_connection(lambda: upstream, sock=sock)
    except OSError:
        sock.close()
        client.upstream_broke()
        return
    if client.transport.is_closing():
        upstream.close()


def _exchange(parcel: Parcel) -> Exchange | None:
    found = parcel.state.get("exchange")
    return None if found is None else exchange_of(found)
