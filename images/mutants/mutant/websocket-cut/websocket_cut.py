"""As a predecessor it cuts its tunnels when a successor asks for its connections.

Seen by: websocket and connect.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from mutation import Original, replaces
from sidecar.parcel import Movable
from sidecar.process import Process
from sidecar.proxy.tunnel import Tunnel


@replaces(Process, "start_moving")
def start_moving(
    original: Original, process: Process, moves: Mapping[str, str], add: Callable[[Movable], None]
) -> Iterable[Movable]:
    """All else moves."""
    for client in list(process._service.clients):
        if client.kind == Tunnel.kind:
            client.cut()
    moving: Iterable[Movable] = original(process, moves, add)
    return moving
