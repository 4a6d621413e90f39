"""It drops all connections at every third hand-over of a pod that it takes part in, on either side; others are sound.

The pod's directory keeps the count. Seen by: every class that keeps a connection, from the third upgrade of a pod on.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from socket import socket

from mutation import Original, replaces
from sidecar.handover.successor import Received
from sidecar.parcel import Movable, Parcel
from sidecar.process import Process

EVERY = 3
_drops = False  # this process, in the hand-over under way


@replaces(Process, "start_moving")
def start_moving(
    original: Original, process: Process, moves: Mapping[str, str], add: Callable[[Movable], None]
) -> Iterable[Movable]:
    """As the predecessor: before anything has moved."""
    _take_part(process)
    if _drops:
        for client in list(process._service.clients):
            client.transport.abort()
    moving: Iterable[Movable] = original(process, moves, add)
    return moving


@replaces(Process, "warm_up")
async def warm_up(original: Original, process: Process, received: Received) -> None:
    """As the successor: before anything has come."""
    _take_part(process)
    await original(process, received)


@replaces(Process, "take")
def take(original: Original, process: Process, parcel: Parcel, sockets: Sequence[socket]) -> None:
    """Serves a connection from now on, or ends it."""
    if not _drops:
        original(process, parcel, sockets)
        return
    for sock in sockets:
        sock.close()


def _take_part(process: Process) -> None:
    global _drops
    kept = Path(process._config.directory, "handovers")
    count = 1 + (int(kept.read_text()) if kept.exists() else 0)
    kept.write_text(str(count))
    _drops = count % EVERY == 0
