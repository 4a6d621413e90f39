"""Connections that come: acknowledged before they are served, refused whole, inherited from the dead."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator, Sequence
from typing import Any

import pytest

from sidecar.errors import PeerHandoverError
from sidecar.handover import frames
from sidecar.handover.frames import Frame
from sidecar.handover.receiver import MOST_CARRIED, Receiver
from sidecar.parcel import Parcel


class Wire:
    """As much of a channel as the receiver needs."""

    def __init__(self) -> None:
        self.sent: list[dict[str, Any]] = []
        self.broken = False

    def send(self, kind: int, body: dict[str, Any]) -> bool:
        assert kind == frames.MOVED
        if not self.broken:
            self.sent.append(body)
        return not self.broken


class Receiving:
    def __init__(self) -> None:
        self.wire = Wire()
        self.taken: list[tuple[Parcel, list[socket.socket]]] = []
        self.made: list[socket.socket] = []
        self.receiver = Receiver(self.wire, lambda parcel: parcel.kind == "http1", self.take)  # type: ignore[arg-type]

    def take(self, parcel: Parcel, sockets: Sequence[socket.socket]) -> None:
        assert self.wire.sent or self.wire.broken, "served before it was acknowledged"
        assert not any(sock.getblocking() for sock in sockets)
        self.taken.append((parcel, list(sockets)))

    def descriptor(self) -> int:
        ours, peer = socket.socketpair()
        self.made.append(peer)
        return ours.detach()

    def close(self) -> None:
        for sock in [*self.made, *(sock for _, sockets in self.taken for sock in sockets)]:
            sock.close()


@pytest.fixture
def receiving() -> Iterator[Receiving]:
    receiving = Receiving()
    yield receiving
    receiving.close()


def move(first: int, *kinds: str, size: int = 0, descriptors: int = 1) -> Frame:
    rows = [
        {"kind": kind, "listener": "l", "state": {}, "size": size, "descriptors": descriptors, "later": 1}
        for kind in kinds
    ]
    return Frame(frames.MOVE, {"first": first, "connections": rows})


def closed(descriptor: int) -> bool:
    try:
        os.fstat(descriptor)
    except OSError:
        return True
    return False


def test_connections_are_acknowledged_then_served_with_what_was_carried(receiving: Receiving) -> None:
    receiving.receiver.carry(Frame(frames.CARRY, {"number": 1}, b"GET "))
    receiving.receiver.carry(Frame(frames.CARRY, {"number": 1}, b"/"))
    receiving.receiver.move(move(0, "http1"), [receiving.descriptor()])
    receiving.receiver.move(move(1, "http1", size=5), [receiving.descriptor()])
    assert receiving.wire.sent == [{"through": 0, "refused": []}, {"through": 1, "refused": []}]
    assert [parcel.data for parcel, _ in receiving.taken] == [b"", b"GET /"]


def test_a_kind_that_cannot_be_served_is_refused_and_closed(receiving: Receiving) -> None:
    descriptors = [receiving.descriptor() for _ in range(3)]
    receiving.receiver.move(move(0, "http1", "quic", "http1"), list(descriptors))
    assert receiving.wire.sent == [{"through": 2, "refused": [1]}]
    assert [closed(descriptor) for descriptor in descriptors] == [False, True, False]


def test_a_frame_that_lost_descriptors_is_refused_whole(receiving: Receiving) -> None:
    descriptors = [receiving.descriptor() for _ in range(2)]
    receiving.receiver.move(move(0, "http1", "http1", "http1"), list(descriptors))
    assert receiving.wire.sent == [{"through": 2, "refused": [0, 1, 2]}]
    assert all(closed(descriptor) for descriptor in descriptors)
    receiving.receiver.move(move(3, "http1"), [receiving.descriptor()])
    assert len(receiving.taken) == 1


def test_what_is_no_socket_is_refused(receiving: Receiving) -> None:
    reading, writing = os.pipe()
    os.close(writing)
    receiving.receiver.move(move(0, "http1", "http1"), [reading, receiving.descriptor()])
    assert receiving.wire.sent == [{"through": 1, "refused": [0]}]
    assert closed(reading)


@pytest.mark.parametrize(
    "frame",
    [
        move(1, "http1"),  # the first is due
        move(0, "http1", size=3),  # nothing was carried
        Frame(frames.MOVE, {}),
        Frame(frames.MOVE, {"first": 0, "connections": []}),
        Frame(frames.MOVE, {"first": 0, "connections": [{"kind": "http1"}]}),
        move(0, "http1", descriptors=0),
    ],
)
def test_a_move_that_makes_no_sense_is_a_fault_and_closes_what_came(
    receiving: Receiving, frame: Frame
) -> None:
    descriptor = receiving.descriptor()
    with pytest.raises(PeerHandoverError):
        receiving.receiver.move(frame, [descriptor])
    assert closed(descriptor)
    assert (receiving.wire.sent, receiving.taken) == ([], [])


def test_a_move_that_comes_twice_is_a_fault_and_the_first_is_served_on(receiving: Receiving) -> None:
    receiving.receiver.move(move(0, "http1"), [receiving.descriptor()])
    with pytest.raises(PeerHandoverError):
        receiving.receiver.move(move(0, "http1"), [receiving.descriptor()])
    assert len(receiving.taken) == 1


def test_no_more_is_carried_than_memory_allows(receiving: Receiving) -> None:
    part = Frame(frames.CARRY, {"number": 0}, bytes(2**20))
    for _ in range(MOST_CARRIED // 2**20):
        receiving.receiver.carry(part)
    with pytest.raises(PeerHandoverError):
        receiving.receiver.carry(part)


@pytest.mark.parametrize(("dead", "served"), [(True, 1), (False, 0)])
def test_what_cannot_be_acknowledged_is_served_only_if_the_predecessor_has_died(
    receiving: Receiving, dead: bool, served: int
) -> None:
    receiving.wire.broken = True
    descriptor = receiving.descriptor()
    receiving.receiver.move(move(0, "http1"), [descriptor])
    assert receiving.taken == []
    if dead:
        receiving.receiver.inherit()
    else:
        receiving.receiver.give_back()
    assert len(receiving.taken) == served
    assert closed(descriptor) is not dead
