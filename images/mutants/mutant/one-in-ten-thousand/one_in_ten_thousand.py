"""Each process answers its every 10,000th HTTP/1 request by closing the connection.

Seen by: any class, if it sends enough between two upgrades.
"""

from __future__ import annotations

import itertools

from mutation import Original, replaces
from sidecar.proxy.client import ClientConnection
from sidecar.proxy.upstream import UpstreamConnection

EVERY = 10_000
_numbers = itertools.count(1)


@replaces(ClientConnection, "_start")
def start(original: Original, client: ClientConnection, upstream: UpstreamConnection, data: bytes) -> None:
    """Sends a request to the application, or nowhere."""
    if next(_numbers) % EVERY:
        original(client, upstream, data)
    else:
        upstream.pool.put(upstream)
        client._broken()
