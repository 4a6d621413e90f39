"""As a predecessor it neither moves HTTP/2 connections nor says GOAWAY: they are closed without a word in the drain.

Seen by: h2, whose connections end under requests, or idle and untold.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from mutation import Original, replaces
from sidecar.parcel import Movable
from sidecar.process import Process
from sidecar.proxy.h2.connection import Http2Connection
from sidecar.proxy.h2.engine import ServerEngine


@replaces(Process, "start_moving")
def start_moving(
    original: Original, process: Process, moves: Mapping[str, str], add: Callable[[Movable], None]
) -> Iterable[Movable]:
    """HTTP/2 stays."""
    others = {kind: form for kind, form in moves.items() if kind != Http2Connection.kind}
    moving: Iterable[Movable] = original(process, others, add)
    return moving


@replaces(ServerEngine, "goaway")
def goaway(original: Original, engine: ServerEngine, *what: Any) -> None:
    """The connection goes on and ends as if it had been said."""
