"""As a successor it opens sockets of its own with SO_REUSEPORT, and closes those that it was handed.

The kernel deals new connections out to all sockets of the address: those in the predecessor's queue are answered by
nobody, and reset when that ends. Seen by: new-connection.
"""

from __future__ import annotations

import socket

from mutation import Original, replaces
from sidecar.address import BACKLOG, Address
from sidecar.handover.successor import Received
from sidecar.process import Process


@replaces(Process, "warm_up")
async def warm_up(original: Original, process: Process, received: Received) -> None:
    """Has every listener, but not the predecessor's."""
    received.update({address: _beside(address, sock) for address, sock in received.items()})
    await original(process, received)


def _beside(address: Address, sock: socket.socket) -> socket.socket:
    if address.family == "unix":
        return sock
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)  # both have to allow it
    own = socket.create_server(address.name, family=address.number, backlog=BACKLOG, reuse_port=True)
    own.setblocking(False)
    sock.close()
    return own
