"""The admin listener: GET, one request for each connection, and nothing that could hold a process up.

Knows nothing of what its pages say. An answer closes its connection, so that whoever asks again after a
hand-over asks the successor: a scraper's kept connection would show it the predecessor for ever. These
connections are nobody's clients: they do not move, and no drain waits for them.
"""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Callable, Mapping
from functools import partial
from http import HTTPStatus
from typing import NamedTuple, cast

from httptools import HttpParserError, HttpParserUpgrade, HttpRequestParser

from sidecar.acceptor import Acceptor
from sidecar.address import Address
from sidecar.capacity import Capacity
from sidecar.handover import directory
from sidecar.listener import Kind, Listener

HEAD_LIMIT = 8192  # bytes
WITHIN_S = 5.0  # a whole connection's life; answers are small and ready
MOST = 16  # connections; others wait in the kernel's queue


class Page(NamedTuple):
    """An answer."""

    status: int
    content_type: str
    body: bytes


Pages = Mapping[str, Callable[[], Page]]


class Admin:
    """All admin connections of this process, and its own listener for them."""

    def __init__(self, pages: Pages) -> None:
        self.pages = pages
        self.connections: set[AdminConnection] = set()
        self.arriving = 0
        self._attaching: set[asyncio.Task[None]] = set()
        self.capacity = Capacity(MOST, lambda: len(self.connections) + self.arriving)
        self._own: Acceptor | None = None
        self._remove: Callable[[], None]

    def listen(self, where: str, generation: str) -> None:
        """On a path that is this process's alone, whatever else it may listen on."""
        sock = directory.listen(where, generation, directory.ADMIN)
        path = directory.path_of(where, generation, directory.ADMIN)
        inode = os.lstat(path).st_ino
        self._remove = partial(directory.remove, where, generation, inode, directory.ADMIN)
        self._own = Acceptor(Listener(Address("unix", path), Kind.ADMIN), sock, self)
        self._own.start()

    def greet(self, listener: Listener, peer: str, sock: socket.socket) -> None:
        """Serves a connection that was accepted."""
        self.arriving += 1
        task = asyncio.get_running_loop().create_task(self._connect(sock))
        self._attaching.add(task)
        task.add_done_callback(self._attaching.discard)

    async def _connect(self, sock: socket.socket) -> None:
        try:
            await asyncio.get_running_loop().connect_accepted_socket(lambda: AdminConnection(self), sock)
        except OSError:
            sock.close()
            self.arriving -= 1
            self.capacity.freed()

    def arrived(self, connection: AdminConnection) -> None:
        """A connection is up."""
        self.arriving -= 1
        self.connections.add(connection)

    def gone(self, connection: AdminConnection) -> None:
        """A connection has ended."""
        self.connections.discard(connection)
        self.capacity.freed()

    def close(self) -> None:
        """Ends everything at once, and removes the path."""
        if self._own is not None:
            self._remove()
            self._own.close()
        for connection in list(self.connections):
            connection.transport.abort()


class AdminConnection(asyncio.Protocol):
    """One connection: one request, one answer."""

    transport: asyncio.Transport

    def __init__(self, admin: Admin) -> None:
        self._admin = admin
        self._parser = HttpRequestParser(self)
        self._method = self._url = b""
        self._version = ""
        self._left = HEAD_LIMIT
        self._whole = self._answered = False
        self._deadline: asyncio.TimerHandle

    # -- called by the parser --------------------------------------------------------------------------------

    def on_url(self, data: bytes) -> None:
        """Part of the target."""
        if not self._whole:
            self._url += data

    def on_headers_complete(self) -> None:
        """The head is whole; what follows is of no interest."""
        if not self._whole:
            self._whole = True
            self._method = self._parser.get_method()
            self._version = self._parser.get_http_version()

    # -- asyncio.Protocol ------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The connection is up."""
        self.transport = cast(asyncio.Transport, transport)  # uvloop's is one in all but name
        self._admin.arrived(self)
        self._deadline = asyncio.get_running_loop().call_later(WITHIN_S, self.transport.abort)

    def connection_lost(self, error: Exception | None) -> None:
        """The connection has ended."""
        self._deadline.cancel()
        self._admin.gone(self)

    def data_received(self, data: bytes) -> None:
        """Bytes of the request, or what follows it."""
        if self._answered:
            return
        self._left -= len(data)
        broken = False
        try:
            self._parser.feed_data(data)
        except HttpParserUpgrade:
            pass  # declined by not being mentioned
        except HttpParserError:
            broken = True
        if self._whole:
            self._answer(self._page())
        elif broken:
            self._answer(_plain(400))
        elif self._left < 0:
            self._answer(_plain(431))

    # -- answering -------------------------------------------------------------------------------------------

    def _page(self) -> Page:
        if self._version not in ("1.0", "1.1"):
            return _plain(400)
        if self._method != b"GET":
            return _plain(405)
        make = self._admin.pages.get(self._url.split(b"?", 1)[0].decode("latin-1"))
        return _plain(404) if make is None else make()

    def _answer(self, page: Page) -> None:
        """Half-closes after it: closing with unread bytes could take the answer away from the client."""
        self._answered = True
        allow = "Allow: GET\r\n" if page.status == 405 else ""
        self.transport.write(
            f"HTTP/1.1 {page.status} {HTTPStatus(page.status).phrase}\r\n{allow}Content-Type: {page.content_type}\r\n"
            f"Content-Length: {len(page.body)}\r\nConnection: close\r\n\r\n".encode()
            + page.body
        )
        self.transport.write_eof()


def _plain(status: int) -> Page:
    return Page(status, "text/plain", HTTPStatus(status).phrase.encode() + b"\n")
