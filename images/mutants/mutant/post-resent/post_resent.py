"""Every 200th POST is sent to the application twice.

Seen by: post and idle-keep-alive, by what the application executed; the clients' answers are right.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools

from mutation import Original, replaces
from sidecar.address import Address, connect
from sidecar.proxy.head import Request
from sidecar.proxy.upstream import Asker, UpstreamConnection

EVERY = 200
_numbers = itertools.count(1)
_under_way: set[asyncio.Task[None]] = set()


@replaces(UpstreamConnection, "start")
def start(
    original: Original, upstream: UpstreamConnection, client: Asker, request: Request, data: bytes
) -> None:
    """Sends a request; once more if it is a POST that is whole, and its turn."""
    original(upstream, client, request, data)
    head, _, body = data.partition(b"\r\n\r\n")
    if head.startswith(b"POST ") and len(body) == request.length and next(_numbers) % EVERY == 0:
        task = asyncio.get_running_loop().create_task(_again(upstream.pool._address, data))
        _under_way.add(task)
        task.add_done_callback(_under_way.discard)


async def _again(application: Address, data: bytes) -> None:
    with contextlib.suppress(OSError), await connect(application, within_s=5) as sock:
        loop = asyncio.get_running_loop()
        await loop.sock_sendall(sock, data)
        await loop.sock_recv(sock, 65536)  # an application may stop when nobody waits for its answer
