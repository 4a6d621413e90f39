"""What the service asks of every connection from a client, whatever is spoken over it."""

from __future__ import annotations

import asyncio
from typing import ClassVar, Protocol

from sidecar.listener import Listener
from sidecar.parcel import Parcel

# What a transport may hold unsent, in bytes, before the other side has to wait; on both sides of an exchange.
# One read (256 KiB of uvloop's) may come on top. More would be memory for each slow reader; less would have
# large bodies stop and go. The loop's own low mark is 16 bytes, at which the writer has nothing left to do.
WRITE_HIGH, WRITE_LOW = 65536, 16384


class Connection(Protocol):
    """A connection from a client; satisfies `sidecar.parcel.Movable`.

    Calls `service.arrived(self)` when it is up, `service.gone(self)` once when it has ended, and, if
    `service.rest` is not None, `service.rest(self)` whenever it may have become `ready`.
    While it is packed, `tick`, `drain`, `close_silent` and `cut` do nothing.
    """

    kind: ClassVar[str]  # of its parcels
    listener: Listener  # that it came by
    transport: asyncio.Transport
    silent_since: float | None  # None: an exchange is under way
    deadline: float  # loop time from which on `tick` is called, several times a second, until it is later
    told: bool  # the client has been told to close (Connection: close, GOAWAY)
    forced: bool  # was ended without a word
    moved: bool  # the successor has it
    stays: bool  # cannot move: in a drain its client is told instead; set from outside

    def tick(self, now: float) -> None:
        """Its deadline has passed."""

    def drain(self) -> None:
        """A drain begins, or this connection turned out to stay: tell the client now, if the protocol can.

        Clients are told when `service.drain.tells` or `self.stays`; else the connection will move.
        """

    def close_silent(self) -> None:
        """Ends an idle connection; a request that crosses with this is never executed."""

    def cut(self) -> None:
        """Ends the connection in mid-exchange, at the end of a drain."""

    def ready(self) -> bool:
        """See Movable."""

    def pack(self) -> Parcel:
        """See Movable."""

    def take_back(self) -> None:
        """See Movable."""

    def let_go(self) -> None:
        """See Movable."""
