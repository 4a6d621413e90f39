"""Accepts from one listening socket that another process may hold as well. Knows nothing of HTTP.

Stopping is exact: what was accepted is counted until its connection is up, and nothing is accepted after
`stop`. The socket itself stays open, so that `start` can be called again. It is never shut down: that would
refuse connections for both holders.
"""

from __future__ import annotations

import asyncio
import errno
import socket

from sidecar.address import peer_host
from sidecar.listener import Listener
from sidecar.proxy.service import Service

_BATCH = 64  # connections a turn, so that others have theirs
_PAUSE_S = 0.1  # when descriptors or memory have run out: retrying at once would spin
_EXHAUSTED = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})


class Acceptor:
    """One listener of this process."""

    def __init__(self, listener: Listener, sock: socket.socket, service: Service) -> None:
        self.listener, self.sock, self._service = listener, sock, service
        self._loop = asyncio.get_running_loop()
        self._accepting = False
        self._pause: asyncio.TimerHandle | None = None
        sock.setblocking(False)

    def start(self) -> None:
        """Accepts from now on."""
        if not self._accepting:
            self._accepting = True
            self._loop.add_reader(self.sock.fileno(), self._readable)

    def stop(self) -> None:
        """Accepts no more; the socket stays open."""
        if self._pause is not None:
            self._pause.cancel()
            self._pause = None
        if self._accepting:
            self._accepting = False
            self._loop.remove_reader(self.sock.fileno())

    def close(self) -> None:
        """For good. Connections that were queued are served first: closing would reset them."""
        if self._accepting:
            self._readable()
        self.stop()
        self.sock.close()

    def _readable(self) -> None:
        for _ in range(_BATCH):
            if not self._accepting:
                return
            try:
                connection, peer = self.sock.accept()
            except BlockingIOError:  # the other holder may have been quicker
                return
            except OSError as error:
                if error.errno in _EXHAUSTED:
                    self.stop()
                    self._pause = self._loop.call_later(_PAUSE_S, self.start)
                    return
                continue  # this one connection is gone already
            connection.setblocking(False)
            peer_name = "unknown" if self.listener.address.family == "unix" else peer_host(peer[0])
            self._service.greet(self.listener, peer_name, connection)
