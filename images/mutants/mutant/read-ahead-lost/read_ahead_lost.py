"""As a predecessor it moves a connection without the bytes that it has read ahead, of the requests that follow.

Seen by: pipelined, and any client whose request's head comes in two pieces across the hand-over.
"""

from __future__ import annotations

from mutation import Original, replaces
from sidecar.parcel import Parcel
from sidecar.proxy.client import ClientConnection


@replaces(ClientConnection, "pack")
def pack(original: Original, client: ClientConnection) -> Parcel:
    """What was read of the answer's head, in an exchange that moves, comes after those bytes and stays."""
    parcel: Parcel = original(client)
    exchange = parcel.state.get("exchange")
    ahead = len(parcel.data) if exchange is None else exchange["ahead"]
    if exchange is not None:
        exchange["ahead"] = 0
    return parcel._replace(data=parcel.data[ahead:])
