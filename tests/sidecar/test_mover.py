"""Batches, window and ownership of connections that move; the channel is a list."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sidecar.errors import PeerHandoverError
from sidecar.handover import frames
from sidecar.handover.frames import Frame
from sidecar.handover.mover import BATCH, WINDOW, Mover
from sidecar.parcel import Movable, Parcel


class Wire:
    """As much of a channel as the mover needs: what it posted, and what the peer had sent before the end."""

    def __init__(self) -> None:
        self.records: list[tuple[Frame, int]] = []
        self.unread: list[Frame] = []

    def post(self, record: bytes, descriptors: Any = ()) -> None:
        self.records.append((frames.decode(record), len(descriptors)))

    def rest(self) -> list[Frame]:
        return self.unread

    def moves(self) -> list[Frame]:
        return [frame for frame, _ in self.records if frame.kind == frames.MOVE]


class Idle:
    """A connection that says in which state it is."""

    def __init__(self, silent_since: float = 0.0, data: bytes = b"", descriptors: int = 1) -> None:
        self.silent_since: float | None = silent_since
        self.data, self.descriptors = data, descriptors
        self.busy = False
        self.state = "served"

    def ready(self) -> bool:
        return not self.busy and self.state == "served"

    def pack(self) -> Parcel:
        assert self.state == "served"
        self.state = "packed"
        return Parcel("http1", "0.0.0.0:1", {}, self.data, (7,) * self.descriptors)

    def take_back(self) -> None:
        assert self.state == "packed"
        self.state = "served"

    def let_go(self) -> None:
        assert self.state == "packed"
        self.state = "gone"


class Host:
    """Notes what the mover says."""

    def __init__(self) -> None:
        self.said: list[str] = []

    def bulk_moved(self) -> None:
        self.said.append("bulk moved")

    def sent(self) -> None:
        pass

    def stays(self, connection: Movable) -> None:
        self.said.append("stays")
        connection.take_back()

    def full(self) -> None:
        self.said.append("full")


class Moving:
    def __init__(self, room: int = 10_000) -> None:
        self.wire, self.host = Wire(), Host()
        self.mover = Mover(self.wire, self.host, room)  # type: ignore[arg-type]

    def acknowledge(self, through: int, *refused: int) -> None:
        self.mover.acknowledged({"through": through, "refused": list(refused)})


async def test_batches_go_out_until_the_window_is_full_and_on_with_each_acknowledgement() -> None:
    moving = Moving()
    idle = [Idle() for _ in range(200)]
    moving.mover.start(idle)
    sizes = [len(frame.body["connections"]) for frame in moving.wire.moves()]
    assert sizes == [BATCH] * (WINDOW // BATCH)
    assert sum(one.state == "packed" for one in idle) == WINDOW
    moving.acknowledge(BATCH - 1)
    assert len(moving.wire.moves()) == WINDOW // BATCH + 1
    assert sum(one.state == "gone" for one in idle) == BATCH
    while moving.mover.waits:
        last = moving.wire.moves()[-1].body
        moving.acknowledge(last["first"] + len(last["connections"]) - 1)
    assert {one.state for one in idle} == {"gone"}
    assert moving.host.said == ["bulk moved"]


async def test_the_last_active_goes_first() -> None:
    moving = Moving()
    idle = [Idle(silent_since=float(number)) for number in range(3)]
    moving.mover.start(idle)
    moving.acknowledge(0)
    assert [one.state for one in idle] == ["packed", "packed", "gone"]


async def test_nothing_to_move_is_moved_at_once() -> None:
    moving = Moving()
    moving.mover.start([])
    assert (moving.host.said, moving.wire.records) == (["bulk moved"], [])


async def test_a_connection_that_has_become_busy_is_left_until_it_rests() -> None:
    moving = Moving()
    busy = Idle()
    busy.busy = True
    moving.mover.start([busy])
    assert (moving.host.said, moving.wire.records) == (["bulk moved"], [])
    busy.busy = False
    moving.mover.add(busy)
    moving.mover.add(busy)  # once is enough
    for _ in range(3):
        await asyncio.sleep(0)
    assert busy.state == "packed"
    moving.acknowledge(0)
    assert busy.state == "gone"
    assert moving.host.said == ["bulk moved"]


async def test_what_was_read_ahead_goes_before_the_connection_in_frames_that_fit() -> None:
    moving = Moving()
    data = bytes(range(256)) * 600
    moving.mover.start([Idle(data=data)])
    *carried, (move, descriptors) = moving.wire.records
    assert [frame.kind for frame, _ in carried] == [frames.CARRY] * 3
    assert b"".join(frame.data for frame, _ in carried) == data
    assert {frame.body["number"] for frame, _ in carried} == {0}
    assert (move.body["connections"][0]["size"], descriptors) == (len(data), 1)


async def test_a_refused_connection_stays_and_the_others_go() -> None:
    moving = Moving()
    idle = [Idle(silent_since=9.0 - number) for number in range(3)]
    moving.mover.start(idle)
    moving.acknowledge(2, 1)
    assert [one.state for one in idle] == ["gone", "served", "gone"]
    assert moving.host.said == ["stays", "bulk moved"]
    assert (moving.mover.moved, moving.mover.refused) == (2, 1)


async def test_what_there_is_no_room_for_stays_and_the_bulk_is_done_without_it() -> None:
    moving = Moving(room=5)
    idle = [Idle(descriptors=2) for _ in range(4)]
    moving.mover.start(idle)
    assert moving.host.said == ["full"]
    moving.acknowledge(1)
    assert sorted(one.state for one in idle) == ["gone", "gone", "served", "served"]
    assert moving.host.said == ["full", "bulk moved"]
    moving.mover.add(idle[3])
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert len(moving.wire.moves()) == 1


async def test_taking_back_heeds_what_was_acknowledged_but_not_read_yet() -> None:
    moving = Moving()
    idle = [Idle(silent_since=100.0 - number) for number in range(100)]
    moving.mover.start(idle)
    moving.wire.unread = [Frame(frames.MOVED, {"through": 15, "refused": [3]}), Frame(frames.ACCEPTING, {})]
    moving.mover.take_back()
    states = [one.state for one in idle]
    assert states == ["gone"] * 3 + ["served"] + ["gone"] * 12 + ["served"] * 84
    assert len(moving.wire.moves()) == WINDOW // BATCH, "nothing more is sent"


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"through": 16, "refused": []},
        {"through": "1", "refused": []},
        {"through": 1, "refused": ["1"]},
        {"through": 1},
    ],
)
async def test_an_acknowledgement_of_what_was_never_sent_is_a_fault_and_changes_nothing(
    body: dict[str, Any],
) -> None:
    moving = Moving()
    idle = [Idle() for _ in range(16)]
    moving.mover.start(idle)
    with pytest.raises(PeerHandoverError):
        moving.mover.acknowledged(body)
    assert {one.state for one in idle} == {"packed"}


@settings(max_examples=200)
@given(st.data())
def test_whatever_is_acknowledged_again_or_late_each_connection_ends_in_one_place(
    data: st.DataObject,
) -> None:
    async def run() -> None:
        moving = Moving(room=data.draw(st.integers(0, 120)))
        idle = [Idle(float(number)) for number in range(data.draw(st.integers(0, 100)))]
        moving.mover.start(idle)
        refused: set[int] = set()
        for _ in range(data.draw(st.integers(0, 12))):
            sent = sum(len(frame.body["connections"]) for frame in moving.wire.moves())
            if not sent:
                break
            through = data.draw(st.integers(0, sent - 1))
            new = {
                number
                for number in data.draw(st.sets(st.integers(0, sent - 1), max_size=3))
                if number <= through
            }
            refused |= new
            moving.acknowledge(through, *new)
        before = [one.state for one in idle]
        moving.mover.take_back()
        for one, state in zip(idle, before, strict=True):
            assert one.state == ("gone" if state == "gone" else "served")
        assert moving.mover.moved == sum(state == "gone" for state in before)

    asyncio.run(run())
