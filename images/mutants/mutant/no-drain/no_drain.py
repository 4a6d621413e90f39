"""As a predecessor it drops its connections at the commit: they are neither moved nor drained.

Seen by: every class that keeps a connection, and by stream and post in mid-exchange.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from mutation import Original, replaces
from sidecar.parcel import Movable
from sidecar.process import Process


@replaces(Process, "start_moving")
def start_moving(
    original: Original, process: Process, moves: Mapping[str, str], add: Callable[[Movable], None]
) -> Iterable[Movable]:
    """Nothing moves."""
    return ()


@replaces(Process, "start_drain")
def start_drain(original: Original, process: Process) -> None:
    """There is nothing left to drain."""
    for client in list(process._service.clients):
        client.transport.abort()
    original(process)
