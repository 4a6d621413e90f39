"""Takes live connections from the predecessor; the successor's part of moving.

A connection becomes this process's with the acknowledgement, which is sent before a byte of it is read. If
that cannot be sent, the connection is in doubt until the channel's end: a predecessor that gave up says so
first (`abort`) and serves the connection itself; one that says nothing has died, and what came is all that is
left. Knows nothing of what is spoken over a connection.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Sequence

from sidecar.errors import PeerHandoverError
from sidecar.handover import frames
from sidecar.handover.channel import Channel, close_all
from sidecar.handover.frames import Frame, Row
from sidecar.parcel import Parcel

MOST_CARRIED = 64 * 2**20  # bytes for connections that have not come yet
Take = Callable[[Parcel, Sequence[socket.socket]], None]


class Receiver:
    """The connections of one hand-over."""

    def __init__(self, channel: Channel, can_take: Callable[[Parcel], bool], take: Take) -> None:
        self._channel, self._can_take, self._take = channel, can_take, take
        self._carried: dict[int, bytearray] = {}
        self._bytes = 0
        self._next = 0
        self._in_doubt: list[tuple[Parcel, list[socket.socket]]] = []
        self.taken = 0

    def carry(self, frame: Frame) -> None:
        """Bytes of a connection that is to come; PeerHandoverError if they are too many."""
        self._bytes += len(frame.data)
        if self._bytes > MOST_CARRIED:
            raise PeerHandoverError(f"the predecessor carries more than {MOST_CARRIED} bytes ahead")
        self._carried.setdefault(frame.body["number"], bytearray()).extend(frame.data)

    def move(self, frame: Frame, descriptors: list[int]) -> None:
        """Acknowledges and takes what came; PeerHandoverError, with nothing taken, if it makes no sense.

        Connections whose descriptors were lost on the way, or that this release does not know how to serve,
        are refused: the predecessor serves them on.
        """
        try:
            first, rows = frames.connections(frame.body)
            if first != self._next:
                raise PeerHandoverError(f"connection {first} came where {self._next} was due")
            parcels = self._parcels(first, rows)
        except PeerHandoverError:
            close_all(descriptors)
            raise
        self._next += len(rows)
        came = _sockets(parcels, descriptors)
        refused = [
            first + index
            for index, (parcel, sockets) in enumerate(zip(parcels, came, strict=True))
            if not sockets or not self._can_take(parcel)
        ]
        sent = self._channel.send(frames.MOVED, {"through": self._next - 1, "refused": refused})
        for index, (parcel, sockets) in enumerate(zip(parcels, came, strict=True)):
            if first + index in refused:
                _close(sockets)
            elif sent:
                self.taken += 1
                self._take(parcel, sockets)
            else:
                self._in_doubt.append((parcel, sockets))

    def give_back(self) -> None:
        """The predecessor lives: what is in doubt is its."""
        for _, sockets in self._in_doubt:
            _close(sockets)
        self._in_doubt.clear()

    def inherit(self) -> None:
        """The predecessor has died: what is in doubt has nobody else."""
        for parcel, sockets in self._in_doubt:
            self.taken += 1
            self._take(parcel, sockets)
        self._in_doubt.clear()

    def _parcels(self, first: int, rows: list[Row]) -> list[Parcel]:
        parcels = []
        for number, row in enumerate(rows, first):
            data = bytes(self._carried.pop(number, b""))
            self._bytes -= len(data)
            if len(data) != row.size:
                raise PeerHandoverError(f"connection {number} came with {len(data)} bytes of {row.size}")
            # Their numbers here are the sockets'; a parcel that came names how many there are.
            parcels.append(Parcel(row.kind, row.listener, row.state, data, (-1,) * row.descriptors))
        return parcels


def _sockets(parcels: list[Parcel], descriptors: list[int]) -> list[list[socket.socket]]:
    """Each parcel's sockets, non-blocking; none for one of a frame whose descriptors did not all come."""
    if len(descriptors) != sum(len(parcel.descriptors) for parcel in parcels):
        close_all(descriptors)
        return [[] for _ in parcels]
    rest = iter(descriptors)
    return [_open([next(rest) for _ in parcel.descriptors]) for parcel in parcels]


def _open(descriptors: list[int]) -> list[socket.socket]:
    sockets: list[socket.socket] = []
    try:
        for descriptor in descriptors:
            sock = socket.socket(fileno=descriptor)
            sockets.append(sock)
            sock.setblocking(False)  # shared with the predecessor, as the flag is
    except OSError:  # no socket
        _close(sockets)
        close_all(descriptors[len(sockets) :])
        return []
    return sockets


def _close(sockets: list[socket.socket]) -> None:
    for sock in sockets:
        sock.close()
