"""As a predecessor it resets idle connections when a successor asks for them, instead of moving them.

Seen by: idle-keep-alive, and keep-alive between two requests.
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Callable, Iterable, Mapping

from mutation import Original, replaces
from sidecar.parcel import Movable
from sidecar.process import Process
from sidecar.proxy.connection import Connection

RESET = struct.pack("ii", 1, 0)  # SO_LINGER with no time to linger: close sends RST


@replaces(Process, "start_moving")
def start_moving(
    original: Original, process: Process, moves: Mapping[str, str], add: Callable[[Movable], None]
) -> Iterable[Movable]:
    """What is idle ends; tunnels, and what comes to rest later, move."""
    idle: list[Connection] = list(original(process, moves, add))
    for client in idle:
        if client.silent_since is not None:
            client.transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
            client.transport.abort()
    return [client for client in idle if client.silent_since is None]
