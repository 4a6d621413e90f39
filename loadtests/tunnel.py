"""HTTP/1.1 through a tunnel: the application of one pod CONNECTs, through its own sidecar, to another pod's sidecar.

    client -> A's sidecar -> application A -> A's outbound listener -> B's sidecar -> application B

The first two hops are an upgrade to `tunnel`, the third is a CONNECT; from then on client and B's sidecar speak
HTTP/1.1. Opening the tunnel is part of the first request on it. Knows nothing of schedules and ledgers.
"""

from __future__ import annotations

from collections.abc import Callable

from loadtests.client import Address, Request, RequestFailed, never
from loadtests.http1 import SWITCHING_PROTOCOLS, Http1

MAX_HEAD_BYTES = 16384
END = b"\r\n\r\n"
ERROR = b"x-app-error"  # the application says why it could not pass a request on


class Tunnel(Http1[Request]):
    """A connection to the pod beyond."""

    def __init__(self, address: Address, deadline: float, stopping: Callable[[], bool] = never) -> None:
        """Opens the tunnel too; RequestFailed `status` when it is declined."""
        super().__init__(address, deadline, stopping)
        try:
            self._open(address, deadline)
        except RequestFailed:
            self.close()
            raise

    def _open(self, address: Address, deadline: float) -> None:
        assert address.beyond is not None, "nowhere to go"
        target = b"/tunnel?to=" + address.beyond.authority
        fields = b"Host: %b\r\nConnection: Upgrade\r\nUpgrade: tunnel" % address.authority
        self._send(b"GET %b HTTP/1.1\r\n%b\r\n\r\n" % (target, fields), deadline)
        answer = b""
        while END not in answer:
            data = self._receive(deadline)
            answer += data
            if not data or len(answer) > MAX_HEAD_BYTES:
                raise RequestFailed("eof", "no tunnel")
        head, _, early = answer.partition(END)
        status_line, *lines = head.split(b"\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(b":") for line in lines)}
        if not status_line.startswith(b"HTTP/1.1 %d" % SWITCHING_PROTOCOLS):
            status = status_line[9:12].decode("latin-1")
            why = headers.get(ERROR, b"no tunnel").decode("latin-1")
            raise RequestFailed("status", f"status {status}: {why}", headers)
        if early:
            raise RequestFailed("protocol", "bytes in the new tunnel that nobody asked for", headers)
