"""The wire format of the control channel, protocols 1 and 2 (docs/handover-protocol.md tells it at length).

Channel: a unix SEQPACKET socket, `<directory>/<generation>.sock`; every process listens on its own.
Frame: one record = header (magic `HU`, format 1, kind, payload's length; network order) + a JSON object;
a `carry` has a number of 8 bytes and raw bytes instead.
Initiator: whoever connects. It sends `request` (a successor) or `watch` (hook, probe, a silent predecessor).

    successor                                     predecessor
      request {protocols, generation, release, room, moves}  ->
                                                <-  offer {protocol, generation, release, listeners} + fds
      prepared {listeners}                      ->      the sockets are checked, the successor is warm
                                                <-  carry* move {first, connections} + fds    protocol 2,
      moved {through, refused}                  ->      for each move                          until drained
                                                <-  accept          what was idle has moved
      accepting                                 ->      it accepts, as the predecessor still does
                                                <-  commit          the predecessor accepts no more
                                                <-  drained {finished, told, moved, forced, forced_silent}
      released                                  ->      the successor handed over to one of its own
    abort {reason}: from either side before the commit; afterwards from the successor, which gives all back.

Pairing: one connection, its frames strictly in turn, open until one side ends: that is
how the other notices. To `watch` the answer is `state`, at once and after every change.
Partial reads: SEQPACKET has none; a record cut short (MSG_TRUNC, MSG_CTRUNC, wrong length): a broken peer.
Unknown kinds and unknown fields are ignored, so that a later protocol may add some.
Descriptors: an array in `offer` and `move`, in the order of their rows. A sender keeps its own copies, whether
sending worked or not; a receiver owns what it received and closes what it refuses. A connection is the
successor's from the moment that its `moved` is sent, and it reads no byte of it before that.
"""

from __future__ import annotations

import json
import struct
from typing import Any, NamedTuple

from sidecar.errors import PeerHandoverError

PROTOCOLS = (1, 2)  # newest last
MOVING = 2  # the first protocol in which connections move
MAGIC = b"HU"
FORMAT = 1
HEADER = struct.Struct("!2sBBI")
NUMBER = struct.Struct("!Q")  # of a connection, in front of what a `carry` brings for it
MAX_FRAME = 65536  # bytes; a record has to fit the default SO_SNDBUF (208 KiB)
MAX_DESCRIPTORS = 253  # the kernel's SCM_MAX_FD

WATCH, STATE = 1, 2
REQUEST, OFFER, PREPARED, ACCEPT, ACCEPTING, COMMIT, DRAINED, RELEASED = range(16, 24)
MOVE, CARRY, MOVED = range(24, 27)
ABORT = 31
# What a successor sends, and what a predecessor sends.
FROM_SUCCESSOR = frozenset({REQUEST, PREPARED, MOVED, ACCEPTING, RELEASED, ABORT})
FROM_PREDECESSOR = frozenset({OFFER, CARRY, MOVE, ACCEPT, COMMIT, DRAINED, ABORT})
WITH_DESCRIPTORS = frozenset({OFFER, MOVE})
KNOWN = FROM_SUCCESSOR | FROM_PREDECESSOR | {WATCH, STATE}

# Reasons of an abort that a successor acts on; any other text is for people.
NOT_SERVING = "not serving"
BUSY = "busy"


class Frame(NamedTuple):
    """One message; `kind` may be one that this release does not know."""

    kind: int
    body: dict[str, Any]
    data: bytes = b""  # of a `carry`, for the connection body["number"]


class Row(NamedTuple):
    """One connection of a `move`."""

    kind: str
    listener: str
    state: dict[str, Any]
    size: int  # bytes that came before by `carry`
    descriptors: int


def encode(kind: int, body: dict[str, Any] | None = None) -> bytes:
    """The record of a frame."""
    payload = json.dumps(body or {}, separators=(",", ":")).encode()
    return HEADER.pack(MAGIC, FORMAT, kind, len(payload)) + payload


def carry(number: int, data: bytes) -> list[bytes]:
    """The records that bring a connection's bytes, each small enough."""
    most = MAX_FRAME - HEADER.size - NUMBER.size
    return [
        HEADER.pack(MAGIC, FORMAT, CARRY, NUMBER.size + len(part)) + NUMBER.pack(number) + part
        for part in (data[at : at + most] for at in range(0, len(data), most))
    ]


def decode(record: bytes) -> Frame:
    """The frame of a whole record; PeerHandoverError if it is none."""
    if len(record) < HEADER.size:
        raise PeerHandoverError(f"a frame of {len(record)} bytes lacks its header")
    magic, form, kind, length = HEADER.unpack_from(record)
    if magic != MAGIC or form != FORMAT:
        raise PeerHandoverError(f"a frame starts with {record[:3]!r}, not with this protocol's mark")
    if length != len(record) - HEADER.size:
        raise PeerHandoverError(f"a frame of kind {kind} holds {len(record) - HEADER.size} bytes of {length}")
    if kind == CARRY:
        if length < NUMBER.size:
            raise PeerHandoverError("a carry lacks its number")
        (number,) = NUMBER.unpack_from(record, HEADER.size)
        return Frame(kind, {"number": number}, record[HEADER.size + NUMBER.size :])
    try:
        body = json.loads(record[HEADER.size :])
    except (ValueError, RecursionError) as error:
        raise PeerHandoverError(f"a frame of kind {kind} holds no JSON") from error
    if not isinstance(body, dict):
        raise PeerHandoverError(f"a frame of kind {kind} holds no JSON object")
    return Frame(kind, body)


def protocol(body: dict[str, Any]) -> int:
    """The protocol that an offer chose."""
    chosen = body.get("protocol")
    if chosen not in PROTOCOLS:
        raise PeerHandoverError(
            f"the predecessor chose protocol {chosen!r:.80}, this successor speaks {PROTOCOLS}"
        )
    return int(chosen)


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


def connections(body: dict[str, Any]) -> tuple[int, list[Row]]:
    """The number of a move's first connection, and all of them in order."""
    match body:
        case {"first": int(first), "connections": list(rows)} if rows and 0 <= first < 2**63:
            return first, [_row(row) for row in rows]
    raise PeerHandoverError("a move without connections")


def _row(row: object) -> Row:
    if isinstance(row, dict):
        found = Row(*(row.get(name) for name in Row._fields))  # type: ignore[arg-type]
        # By hand: matching a pattern would take most of the time that a connection takes to come.
        if (
            isinstance(found.kind, str)
            and isinstance(found.listener, str)
            and isinstance(found.state, dict)
            and isinstance(found.size, int)
            and isinstance(found.descriptors, int)
            and found.size >= 0
            and 0 < found.descriptors <= MAX_DESCRIPTORS
        ):
            return found
    raise PeerHandoverError(f"a move holds a connection that is described wrongly: {row!r:.200}")


def moved(body: dict[str, Any]) -> tuple[int, frozenset[int]]:
    """Up to which connection the successor has answered, and which of them it refused."""
    match body:
        case {"through": int(through), "refused": list(refused)} if all(isinstance(n, int) for n in refused):
            return through, frozenset(refused)
    raise PeerHandoverError(f"a move was acknowledged wrongly: {body!r:.200}")
