"""As a predecessor it shuts its listening sockets down when it accepts no more, which ends them for both holders.

Seen by: new-connection, whose connections are refused from the commit on.
"""

from __future__ import annotations

import socket

from mutation import Original, replaces
from sidecar.process import Process


@replaces(Process, "stop_accepting")
def stop_accepting(original: Original, process: Process) -> None:
    """The successor accepts, or so it believes."""
    original(process)
    for acceptor in process._listeners._acceptors.values():
        acceptor.sock.shutdown(socket.SHUT_RDWR)
