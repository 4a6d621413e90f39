"""A live connection on its way to the successor: what crosses between the proxy and the hand-over.

The proxy packs and unpacks, the hand-over carries. Neither knows the other's insides: the proxy sees no
frame, the hand-over sees no HTTP.
"""

from __future__ import annotations

from typing import Any, NamedTuple, Protocol


class Parcel(NamedTuple):
    """One connection, as it is sent.

    `kind` says what unpacks it: `http1`, `http2` or `tunnel`; a successor that does not know it refuses.
    `listener` is the text of the address that it came by. `state` is small, JSON, and open for more fields;
    what is large or raw goes into `data`. The descriptors stay the packing process's, which lets go of them
    when the successor has acknowledged: the first is the client's, a tunnel's second its target's.
    """

    kind: str
    listener: str
    state: dict[str, Any]
    data: bytes
    descriptors: tuple[int, ...]


class Movable(Protocol):
    """A connection that may move. In this order: `pack`, then exactly one of `let_go` and `take_back`."""

    silent_since: float | None  # loop time of the last byte; None while an exchange is under way

    def ready(self) -> bool:
        """Whether it can be packed now: nothing under way, nothing waiting to be written."""

    def pack(self) -> Parcel:
        """Stops reading and gives everything away; nothing is read, written or closed from now on."""

    def take_back(self) -> None:
        """The successor does not have it: goes on as if nothing had been."""

    def let_go(self) -> None:
        """The successor has it: closes this process's descriptors without a word (close, no shutdown)."""
