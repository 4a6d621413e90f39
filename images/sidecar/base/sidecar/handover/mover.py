"""Sends live connections to the successor, in batches within a window; the predecessor's part of moving.

Knows nothing of what is spoken over a connection: it asks each one whether it is ready, packs it, and lets go
of it when the successor has acknowledged. A connection is paused only when its turn comes: pausing all at once
would make each of them wait for all.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterable
from typing import Any, Protocol

from sidecar.errors import PeerHandoverError
from sidecar.handover import frames
from sidecar.handover.channel import Channel
from sidecar.parcel import Movable, Parcel

# Measured with 10,000 idle connections: larger batches stall both processes for longer, smaller ones take
# twice the time. The window keeps what is in flight below the kernel's queue of about 278 records.
BATCH = 16  # connections in a frame
WINDOW = 64  # connections that are not acknowledged


class MoverHost(Protocol):
    """Told how moving goes."""

    def bulk_moved(self) -> None:
        """What was idle when moving began is with the successor, or has found something to do."""

    def sent(self) -> None:
        """An acknowledgement is due."""

    def stays(self, connection: Movable) -> None:
        """The successor refused this one: takes it back, and keeps it."""

    def full(self) -> None:
        """The successor takes no more."""


class Mover:
    """The connections of one hand-over: waiting, on their way, moved."""

    def __init__(self, channel: Channel, host: MoverHost, room: int) -> None:
        self._channel, self._host = channel, host
        self._room = room  # descriptors that the successor can take
        self._loop = asyncio.get_running_loop()
        self._queue: deque[Movable] = deque()
        self._queued: set[Movable] = set()
        self._bulk: set[Movable] = set()
        self._bulk_done = False
        self._under_way: dict[int, Movable] = {}  # by number, in order
        self._next = 0
        self._pumping = False
        self._full = self._stopped = False
        self.moved = self.refused = self.bytes = 0

    @property
    def waits(self) -> bool:
        """Whether an acknowledgement is due."""
        return bool(self._under_way)

    def start(self, idle: Iterable[Movable]) -> None:
        """Moves what is idle now, the last active first: they are the ones that will be missed first."""
        first = sorted(idle, key=lambda one: -(one.silent_since or 0))
        self._bulk.update(first)
        self._queue.extend(first)
        self._queued.update(first)
        self._pump()

    def add(self, connection: Movable) -> None:
        """Moves a connection that may be ready, in its turn."""
        if not (self._full or self._stopped) and connection not in self._queued:
            self._queued.add(connection)
            # A client that is active is worth more than one that is not: it goes first. One turn of the loop
            # later its answer has left this process.
            self._queue.appendleft(connection)
            if not self._pumping:
                self._pumping = True
                self._loop.call_soon(self._loop.call_soon, self._pump)

    def acknowledged(self, body: dict[str, Any]) -> None:
        """A `moved` frame; PeerHandoverError if it speaks of what was never sent."""
        through, refused = frames.moved(body)
        if through >= self._next:
            raise PeerHandoverError(
                f"the successor acknowledged connection {through}, {self._next} were sent"
            )
        while self._under_way:
            number = next(iter(self._under_way))
            if number > through:
                break
            connection = self._under_way.pop(number)
            self._bulk.discard(connection)
            if number in refused:
                self.refused += 1
                self._host.stays(connection)
            else:
                self.moved += 1
                connection.let_go()
        self._pump()

    def take_back(self) -> None:
        """Ends moving: what the successor has acknowledged is its, all else is served on here."""
        self._stopped = True
        for frame in self._channel.rest():
            if frame.kind == frames.MOVED:
                try:
                    self.acknowledged(frame.body)
                except PeerHandoverError:
                    break
        self._queue.clear()
        self._queued.clear()
        for connection in self._under_way.values():
            connection.take_back()
        self._under_way.clear()

    def _pump(self) -> None:
        """Sends batches as far as the window allows."""
        self._pumping = False
        while not self._stopped and len(self._under_way) < WINDOW and (batch := self._pack()):
            self._send(batch)
        if not self._bulk and not self._bulk_done and not self._stopped:
            self._bulk_done = True
            self._host.bulk_moved()

    def _pack(self) -> list[tuple[Movable, Parcel]]:
        batch: list[tuple[Movable, Parcel]] = []
        while self._queue and len(batch) < min(BATCH, WINDOW - len(self._under_way)):
            connection = self._queue.popleft()
            self._queued.discard(connection)
            if not connection.ready():  # comes back when it rests
                self._bulk.discard(connection)
                continue
            parcel = connection.pack()
            if len(parcel.descriptors) > self._room:
                self._fill(connection)
                break
            self._room -= len(parcel.descriptors)
            batch.append((connection, parcel))
        return batch

    def _send(self, batch: list[tuple[Movable, Parcel]]) -> None:
        first, rows = self._next, []
        descriptors: list[int] = []
        for connection, parcel in batch:
            for record in frames.carry(self._next, parcel.data):
                self._channel.post(record)
            self.bytes += len(parcel.data)
            rows.append(
                {
                    "kind": parcel.kind,
                    "listener": parcel.listener,
                    "state": parcel.state,
                    "size": len(parcel.data),
                    "descriptors": len(parcel.descriptors),
                }
            )
            descriptors.extend(parcel.descriptors)
            self._under_way[self._next] = connection
            self._next += 1
        self._channel.post(frames.encode(frames.MOVE, {"first": first, "connections": rows}), descriptors)
        self._host.sent()

    def _fill(self, packed: Movable) -> None:
        """No room for this one, nor for what is behind it."""
        self._full = True
        packed.take_back()
        self._bulk.difference_update(self._queue, (packed,))
        self._queue.clear()
        self._queued.clear()
        self._host.full()
