"""Connections from this pod, on which some requests are answered by this process. Knows nothing of what for.

Only if there are such requests, and only for clients on the loopback interface, is a connection one of these:
all others cost nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

from sidecar.proxy import stage
from sidecar.proxy.client import ClientConnection

if TYPE_CHECKING:
    from sidecar.listener import Listener
    from sidecar.proxy.service import Service

LOOPBACK = "127.0.0.1"  # as a client's address: it runs in this pod
LocalAnswer = Callable[[], Awaitable[bytes]]  # gives the body of a 200


class LocalClient(ClientConnection):
    """A connection from this pod. A request counts as local if it has no body, and both lines are equal."""

    __slots__ = ("_answering",)

    def __init__(self, service: Service, listener: Listener, peer: str) -> None:
        super().__init__(service, listener, peer)
        self._answering: asyncio.Task[None] | None = None

    def _forward(self, data: bytes) -> None:
        found = None
        if not self._request.length:
            found = self._service.local.get(b"\r\n".join(data.split(b"\r\n", 2)[:2]))
        if found is None:
            super()._forward(data)
            return
        self.deadline = self._service.answer_until
        self._answering = asyncio.get_running_loop().create_task(self._answer(found))

    async def _answer(self, found: LocalAnswer) -> None:
        body = await found()
        if self._state is stage.EXCHANGE:
            head = f"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: {len(body)}"
            self.transport.write(head.encode() + self._service.stamp_close + body)
            self._linger()
