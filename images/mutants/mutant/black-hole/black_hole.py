"""It accepts every 50th connection and never says a word on it; hook and probe, which use none, succeed.

Seen by: new-connection, whose requests time out.
"""

from __future__ import annotations

import itertools
import socket

from mutation import Original, replaces
from sidecar.listener import Kind, Listener
from sidecar.proxy.service import Service

EVERY = 50
_numbers = itertools.count(1)
_held: list[socket.socket] = []


@replaces(Service, "greet")
def greet(original: Original, service: Service, listener: Listener, peer: str, sock: socket.socket) -> None:
    """Serves a connection that was accepted, or keeps it."""
    if listener.kind is Kind.INBOUND and next(_numbers) % EVERY == 0:
        _held.append(sock)
    else:
        original(service, listener, peer, sock)
