"""How an HTTP/1 connection is packed for the successor and unpacked by it: at rest, or in a long exchange.

The insides of `ClientConnection` that have to do with moving; knows nothing of how parcels are carried. The
successor acknowledges before it unpacks: what fails then ends the connection.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Sequence
from socket import socket
from typing import TYPE_CHECKING, Any

from sidecar.listener import Kind, Listener
from sidecar.parcel import Parcel
from sidecar.proxy import client as http1
from sidecar.proxy import stage
from sidecar.proxy.standing import SOON_S, Standing, standing_of, state_of
from sidecar.proxy.upstream import UpstreamConnection

if TYPE_CHECKING:
    from sidecar.proxy.client import ClientConnection
    from sidecar.proxy.service import Service


def ready(client: ClientConnection) -> bool:
    """Between two requests, whole or not, or in an exchange that takes long; nothing waits to be written."""
    state = client._state
    return (
        (state <= stage.HEAD or (state == stage.EXCHANGE and _takes_long(client)))
        and not client._ended
        and not client.transport.is_closing()
        and not client.transport.get_write_buffer_size()
    )


def _takes_long(client: ClientConnection) -> bool:
    """Whether the exchange can move, and should: its request is with the application, whole."""
    drain = client._service.drain
    return (
        drain is not None
        and not drain.tells
        and client._service.now - drain.began >= SOON_S
        and client._body is None
        and client._outbound is None
        and not client._request.upgrade
        and client._upstream is not None
        and client._upstream.quiet
    )


def pack(client: ClientConnection) -> Parcel:
    """The connection with what was read of its next request, and the exchange that it is in, if it is."""
    client.transport.pause_reading()
    descriptors = [client.transport.get_extra_info("socket").fileno()]
    state: dict[str, Any] = {"peer": client._peer.decode()}
    data = client._buffer
    upstream = client._upstream
    if upstream is not None:
        upstream.transport.pause_reading()
        answer, reusable, head = upstream.outlook()
        standing = Standing(
            client._request, client._started, client._closing, client._rechunk, reusable, answer, len(data)
        )
        state["exchange"] = state_of(standing)
        data += head
        descriptors.append(upstream.descriptor)
    client._state = stage.PACKED
    client.deadline = math.inf
    return Parcel(client.kind, str(client.listener), state, data, tuple(descriptors))


def take_back(client: ClientConnection) -> None:
    """Reads on."""
    service, upstream = client._service, client._upstream
    if upstream is not None:
        client._state = stage.EXCHANGE
        client.deadline = service.answer_until
        if not client._slow:
            upstream.transport.resume_reading()
    elif client._buffer:
        client._state = stage.HEAD
        client.deadline = service.now + service.limits.header_s
    else:
        client._idle(b"")
    if not client._paused:
        client.transport.resume_reading()
    client.catch_up()  # a request that had been read, but not handled


def can_take(parcel: Parcel, listener: Listener) -> bool:
    """Whether `unpack` can serve this."""
    try:
        standing = _standing(parcel)
    except ValueError:
        return False
    peer = parcel.state.get("peer")  # goes into a header field
    if not (isinstance(peer, str) and peer.isascii() and peer.isprintable()):
        return False
    if standing is None:
        return len(parcel.descriptors) == 1 and listener.kind in (Kind.INBOUND, Kind.OUTBOUND)
    return len(parcel.descriptors) == 2 and listener.kind is Kind.INBOUND


async def unpack(service: Service, parcel: Parcel, listener: Listener, sockets: Sequence[socket]) -> None:
    """Attaches the client's connection, then the application's."""
    standing = _standing(parcel)
    ahead = parcel.data if standing is None else parcel.data[: standing.ahead]
    client = http1.ClientConnection(service, listener, parcel.state["peer"], ahead)
    if standing is not None:
        _go_on(client, standing)
    try:
        await asyncio.get_running_loop().connect_accepted_socket(lambda: client, sockets[0])
    except OSError:
        for sock in sockets:
            sock.close()
        service.vanished()
        return
    if standing is not None:
        upstream = UpstreamConnection(service.pool, sockets[1])
        upstream.go_on(client, standing, parcel.data[standing.ahead :])
        await _join(client, upstream, sockets[1])


def _go_on(client: ClientConnection, standing: Standing) -> None:
    client._request, client._state = standing.request, stage.EXCHANGE
    client._started, client._closing, client._rechunk = standing.started, standing.closing, standing.rechunk
    client.silent_since = None


async def _join(client: ClientConnection, upstream: UpstreamConnection, sock: socket) -> None:
    if client._state != stage.EXCHANGE:  # the client has gone meanwhile
        sock.close()
        return
    client._upstream = upstream
    try:
        await asyncio.get_running_loop().create_connection(lambda: upstream, sock=sock)
    except OSError:
        sock.close()
        client.upstream_broke()
        return
    if client.transport.is_closing():
        upstream.close()


def _standing(parcel: Parcel) -> Standing | None:
    found = parcel.state.get("exchange")
    return None if found is None else standing_of(found)
