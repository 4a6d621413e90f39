"""What is listened on, and what is spoken there. Knows nothing of sockets that are open."""

from __future__ import annotations

from enum import Enum
from typing import NamedTuple

from sidecar.address import Address


class Kind(Enum):
    """What a listener's connections are; the value is what logs and parcels show."""

    INBOUND = "inbound"  # HTTP for the pod's application
    OUTBOUND = "outbound"  # HTTP proxy for the application's own requests: absolute form and CONNECT
    TCP = "tcp"  # bytes, to one target
    ADMIN = "admin"  # metrics, health, state


class Listener(NamedTuple):
    """One address of this process."""

    address: Address
    kind: Kind = Kind.INBOUND
    target: Address | None = None  # where its connections go; None: each request says, or nowhere

    def __str__(self) -> str:
        return str(self.address)
