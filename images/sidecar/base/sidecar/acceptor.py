"""Accepts from one listening socket that another process may hold as well. Knows nothing of HTTP.

Stopping is exact: what was accepted is counted until its connection is up, and nothing is accepted after
`stop`. The socket itself stays open, so that `start` can be called again. It is never shut down: that would
refuse connections for both holders.
"""

from __future__ import annotations

import asyncio
import errno
import socket
from typing import Protocol

from sidecar.address import BACKLOG, peer_host
from sidecar.capacity import Capacity
from sidecar.listener import Listener

_BATCH = 64  # connections a turn, so that others have theirs
_PAUSE_S = 0.1  # when descriptors or memory have run out: retrying at once would spin
_EXHAUSTED = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})


class Host(Protocol):
    """Whose the connections are."""

    capacity: Capacity

    def greet(self, listener: Listener, peer: str, sock: socket.socket) -> None:
        """Serves a connection that was accepted; `peer` is the client's address."""


class Acceptor:
    """One listener of this process."""

    def __init__(self, listener: Listener, sock: socket.socket, host: Host) -> None:
        self.listener, self.sock, self._host = listener, sock, host
        self._loop = asyncio.get_running_loop()
        self._accepting = False
        self._pause: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """Accepts from now on."""
        if not self._accepting:
            self._accepting = True
            self._listen()

    def stop(self) -> None:
        """Accepts no more; the socket stays open."""
        if self._accepting:
            self._accepting = False
            self._rest()

    def close(self) -> None:
        """For good. Connections that were queued are served first, limit or not: closing would reset them."""
        if self._accepting:
            for _ in range(BACKLOG):
                if not self._accept():
                    break
        self.stop()
        self.sock.close()

    def _listen(self) -> None:
        self._loop.add_reader(self.sock.fileno(), self._readable)

    def _rest(self) -> None:
        """Until `_listen`, whatever would have called it."""
        self._loop.remove_reader(self.sock.fileno())
        self._host.capacity.forget(self._listen)
        if self._pause is not None:
            self._pause.cancel()
            self._pause = None

    def _readable(self) -> None:
        self.sock.setblocking(False)  # another holder may have changed what they share: accept would wait
        for _ in range(_BATCH):
            if self._host.capacity.full():
                self._rest()
                self._host.capacity.pauses["limit"] += 1
                self._host.capacity.wait(self._listen)
                return
            if not self._accept():
                return

    def _accept(self) -> bool:
        """Takes one connection; False if there is none to be had now."""
        try:
            connection, peer = self.sock.accept()
        except BlockingIOError:  # the other holder may have been quicker
            return False
        except OSError as error:
            if error.errno in _EXHAUSTED:
                self._rest()
                self._host.capacity.pauses["descriptors"] += 1
                self._pause = self._loop.call_later(_PAUSE_S, self._listen)
                return False
            return True  # this one connection is gone already
        connection.setblocking(False)
        peer_name = "unknown" if self.listener.address.family == "unix" else peer_host(peer[0])
        self._host.greet(self.listener, peer_name, connection)
        return True
