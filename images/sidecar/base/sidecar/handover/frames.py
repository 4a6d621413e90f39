"""The wire format of the control channel, version 1 (docs/handover-protocol.md tells it at length).

Channel: a unix SEQPACKET socket, `<directory>/<generation>.sock`; every process listens on its own.
Frame: one record = header (magic `HU`, format 1, kind, payload's length; network order) + a JSON object.
Initiator: whoever connects. It sends `request` (a successor) or `watch` (hook, probe, a silent predecessor).

    successor                                     predecessor
      request {protocols, generation, release}  ->
                                                <-  offer {protocol, generation, release, listeners} + fds
      prepared                                  ->      the sockets are checked, the successor is warm
                                                <-  accept          (connections will move before this)
      accepting                                 ->      it accepts, as the predecessor still does
                                                <-  commit          the predecessor accepts no more
                                                <-  drained {finished, told, forced, forced_silent}
      released                                  ->      the successor handed over to one of its own
    abort {reason}: from either side before the commit; afterwards from the successor, which gives all back.

Pairing: one connection, its frames strictly in turn, open until one side ends: that is
how the other notices. To `watch` the answer is `state`, at once and after every change.
Partial reads: SEQPACKET has none; a record cut short (MSG_TRUNC, MSG_CTRUNC, wrong length): a broken peer.
Unknown kinds and unknown fields are ignored, so that a later protocol may add some.
Descriptors: an array in `offer`, in the order of `listeners`. A sender keeps its own copies, whether sending
worked or not; a receiver owns what it received and closes what it refuses.
"""

from __future__ import annotations

import json
import struct
from typing import Any, NamedTuple

from sidecar.errors import PeerHandoverError

PROTOCOLS = (1,)  # newest last
MAGIC = b"HU"
FORMAT = 1
HEADER = struct.Struct("!2sBBI")
MAX_FRAME = 65536  # bytes; a record has to fit the default SO_SNDBUF (208 KiB)
MAX_DESCRIPTORS = 253  # the kernel's SCM_MAX_FD

WATCH, STATE = 1, 2
REQUEST, OFFER, PREPARED, ACCEPT, ACCEPTING, COMMIT, DRAINED, RELEASED = range(16, 24)
ABORT = 31
# What a successor sends, and what a predecessor sends.
FROM_SUCCESSOR = frozenset({REQUEST, PREPARED, ACCEPTING, RELEASED, ABORT})
FROM_PREDECESSOR = frozenset({OFFER, ACCEPT, COMMIT, DRAINED, ABORT})
KNOWN = FROM_SUCCESSOR | FROM_PREDECESSOR | {WATCH, STATE}

# Reasons of an abort that a successor acts on; any other text is for people.
NOT_SERVING = "not serving"
BUSY = "busy"


class Frame(NamedTuple):
    """One message; `kind` may be one that this release does not know."""

    kind: int
    body: dict[str, Any]


def encode(kind: int, body: dict[str, Any] | None = None) -> bytes:
    """The record of a frame."""
    payload = json.dumps(body or {}, separators=(",", ":")).encode()
    return HEADER.pack(MAGIC, FORMAT, kind, len(payload)) + payload


def decode(record: bytes) -> Frame:
    """The frame of a whole record; PeerHandoverError if it is none."""
    if len(record) < HEADER.size:
        raise PeerHandoverError(f"a frame of {len(record)} bytes lacks its header")
    magic, form, kind, length = HEADER.unpack_from(record)
    if magic != MAGIC or form != FORMAT:
        raise PeerHandoverError(f"a frame starts with {record[:3]!r}, not with this protocol's mark")
    if length != len(record) - HEADER.size:
        raise PeerHandoverError(f"a frame of kind {kind} holds {len(record) - HEADER.size} bytes of {length}")
    try:
        body = json.loads(record[HEADER.size :])
    except (ValueError, RecursionError) as error:
        raise PeerHandoverError(f"a frame of kind {kind} holds no JSON") from error
    if not isinstance(body, dict):
        raise PeerHandoverError(f"a frame of kind {kind} holds no JSON object")
    return Frame(kind, body)


def listeners(body: dict[str, Any]) -> list[tuple[str, str, int]]:
    """The offered listeners: family, host or path, port."""
    rows = body.get("listeners")
    if not isinstance(rows, list) or not 0 < len(rows) <= MAX_DESCRIPTORS:
        raise PeerHandoverError("an offer without listeners")
    found = []
    for row in rows:
        match row:
            case {
                "family": "inet" | "inet6" | "unix" as family,
                "host": str(host),
                "port": int(port),
                "kind": "stream",
            }:
                found.append((family, host, port))
            case _:
                raise PeerHandoverError(
                    f"an offer holds a listener that this release cannot take: {row!r:.200}"
                )
    return found
