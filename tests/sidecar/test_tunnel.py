"""A tunnel's rules: flow, ends, rest and move, over transports that only take notes."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from sidecar.address import Address
from sidecar.listener import Kind, Listener
from sidecar.proxy.tunnel import FLOW_S, HOLD_S, End, Tunnel

LISTENER = Listener(Address("inet", "127.0.0.1", 5432), Kind.TCP, Address("inet", "127.0.0.1", 5433))
IDLE_S = 100.0


class FakeSocket:
    def __init__(self, number: int) -> None:
        self.number, self.lingers = number, True

    def fileno(self) -> int:
        return self.number

    def setsockopt(self, *_: object) -> None:
        self.lingers = False


class FakeTransport:
    """Takes everything at once while there is room, and keeps it otherwise."""

    def __init__(self, number: int) -> None:
        self.sock = FakeSocket(number)
        self.protocol: End
        self.written = b""
        self.waiting = b""
        self.high = 65536
        self.room = True
        self.reading = True
        self.closing = self.aborted = self.finished = False

    def set_protocol(self, protocol: End) -> None:
        self.protocol = protocol

    def set_write_buffer_limits(self, high: int) -> None:
        self.high = high

    def get_write_buffer_size(self) -> int:
        return len(self.waiting)

    def get_extra_info(self, name: str) -> FakeSocket:
        assert name == "socket"
        return self.sock

    def is_closing(self) -> bool:
        return self.closing

    def pause_reading(self) -> None:
        self.reading = False

    def resume_reading(self) -> None:
        self.reading = not self.closing

    def write(self, data: bytes) -> None:
        assert not self.finished
        assert not self.closing
        if self.room:
            self.written += data
            return
        before, self.waiting = len(self.waiting), self.waiting + data
        if before <= self.high < len(self.waiting):
            self.protocol.pause_writing()

    def write_eof(self) -> None:
        self.finished = True

    def close(self) -> None:
        self.closing = True

    def abort(self) -> None:
        self.closing = self.aborted = True

    # -- what the network does

    def flush(self) -> None:
        self.written, self.waiting = self.written + self.waiting, b""
        self.protocol.resume_writing()


class FakeService:
    def __init__(self) -> None:
        self.now = 1000.0
        self.limits = SimpleNamespace(idle_s=IDLE_S, connect_s=1.0)
        self.rest: Callable[[Any], None] | None = None
        self.here = 0
        self.ended: list[Tunnel] = []

    def arrived(self, tunnel: Tunnel) -> None:
        self.here += 1

    def gone(self, tunnel: Tunnel) -> None:
        self.ended.append(tunnel)


class Rig:
    """A tunnel whose ends are up, but for what a test wants otherwise."""

    def __init__(self, early: tuple[bytes, bytes] = (b"", b""), ended: bool = False) -> None:
        self.service = FakeService()
        self.tunnel = Tunnel(self.service, LISTENER)  # type: ignore[arg-type]
        self.client, self.target = FakeTransport(10), FakeTransport(11)
        self.tunnel.client.adopt(self.client, early[0], ended)  # type: ignore[arg-type]
        self.tunnel.target.adopt(self.target, early[1])  # type: ignore[arg-type]

    def tick(self, seconds: float = 0.1) -> None:
        self.service.now += seconds
        if self.tunnel.deadline <= self.service.now:
            self.tunnel.tick(self.service.now)

    def lose(self, transport: FakeTransport, error: Exception | None = None) -> None:
        transport.closing = True
        transport.protocol.connection_lost(error)


@pytest.fixture
def rig() -> Rig:
    return Rig()


def test_bytes_go_both_ways(rig: Rig) -> None:
    rig.client.protocol.data_received(b"ask")
    rig.target.protocol.data_received(b"answer")
    assert (rig.target.written, rig.client.written) == (b"ask", b"answer")
    assert rig.tunnel.carried == 9
    assert rig.tunnel.silent_since is None  # an exchange: a drain does not close it for its silence


def test_what_either_side_sent_early_goes_first() -> None:
    rig = Rig(early=(b"early ask, ", b"early answer, "))
    rig.client.protocol.data_received(b"ask")
    rig.target.protocol.data_received(b"answer")
    assert (rig.target.written, rig.client.written) == (b"early ask, ask", b"early answer, answer")


def test_a_client_waits_until_its_target_is_there() -> None:
    service = FakeService()
    tunnel = Tunnel(service, LISTENER)  # type: ignore[arg-type]
    client, target = FakeTransport(10), FakeTransport(11)
    tunnel.client.adopt(client, b"")  # type: ignore[arg-type]
    client.protocol.data_received(b"one ")
    assert not client.reading
    assert not tunnel.ready()
    tunnel.target.adopt(target, b"")  # type: ignore[arg-type]
    assert client.reading
    client.protocol.data_received(b"two")
    assert target.written == b"one two"
    assert service.here == 1


def test_a_slow_reader_stops_the_other_side_and_nothing_else(rig: Rig) -> None:
    rig.target.room = False
    rig.client.protocol.data_received(b"much")
    assert (rig.client.reading, rig.target.reading) == (False, True)
    rig.target.flush()
    assert (rig.client.reading, rig.target.reading) == (True, True)


def test_a_fin_goes_through_and_the_other_way_stays_open(rig: Rig) -> None:
    assert rig.client.protocol.eof_received()
    assert rig.target.finished
    assert not rig.client.finished
    rig.target.protocol.data_received(b"late")
    assert rig.client.written == b"late"
    rig.target.protocol.eof_received()
    assert rig.client.finished
    assert rig.client.closing
    assert rig.target.closing
    assert not rig.client.aborted


def test_a_fin_that_came_before_the_target_was_there_goes_through_after_the_early_bytes() -> None:
    rig = Rig(early=(b"all of it", b""), ended=True)
    assert rig.target.written == b"all of it"
    assert rig.target.finished


def test_a_side_that_has_finished_is_not_read_from_again(rig: Rig) -> None:
    rig.client.room = False
    rig.target.protocol.data_received(b"much")
    rig.client.protocol.eof_received()
    rig.client.reading = False  # as a loop does at the end of a stream
    rig.client.flush()
    assert (rig.client.reading, rig.target.reading) == (False, True)


def test_a_reset_goes_through(rig: Rig) -> None:
    rig.lose(rig.client, ConnectionResetError())
    assert rig.target.aborted
    assert not rig.target.sock.lingers
    assert rig.service.ended == []
    rig.lose(rig.target)
    assert rig.service.ended == [rig.tunnel]


def test_the_last_bytes_are_written_when_the_other_side_has_closed(rig: Rig) -> None:
    rig.client.room = False
    rig.target.protocol.data_received(b"last")
    rig.target.protocol.eof_received()
    rig.client.protocol.eof_received()
    rig.lose(rig.target)
    assert not rig.client.aborted
    rig.lose(rig.client)
    assert rig.service.ended == [rig.tunnel]


def test_silence_ends_a_tunnel_in_the_end(rig: Rig) -> None:
    rig.tick(IDLE_S - 1)
    rig.client.protocol.data_received(b"alive")
    rig.tick(IDLE_S - 1)
    assert not rig.client.closing
    rig.tick(1)
    assert rig.client.aborted
    assert rig.target.aborted
    assert not rig.tunnel.forced


def test_the_end_of_a_drain_is_counted_as_forced(rig: Rig) -> None:
    rig.tunnel.drain()
    rig.tunnel.close_silent()
    assert not rig.client.closing
    rig.tunnel.cut()
    assert rig.client.aborted
    assert rig.target.aborted
    assert rig.tunnel.forced


# -- moving ----------------------------------------------------------------------------------------------------


def test_a_tunnel_is_ready_when_nothing_waits_to_be_written(rig: Rig) -> None:
    assert rig.tunnel.ready()
    rig.client.room = False
    rig.target.protocol.data_received(b"much")
    assert not rig.tunnel.ready()
    rig.client.flush()
    assert rig.tunnel.ready()
    rig.target.closing = True
    assert not rig.tunnel.ready()


def test_a_tunnel_says_when_it_has_become_ready(rig: Rig) -> None:
    rested: list[Tunnel] = []
    rig.client.room = False
    rig.target.protocol.data_received(b"much")
    rig.service.rest = rested.append
    assert rested == []
    rig.client.flush()
    assert rested == [rig.tunnel]


def slow_both_ways(rig: Rig) -> list[Tunnel]:
    """Both readers are slow, and a move is wanted."""
    rested: list[Tunnel] = []
    rig.service.rest = rested.append
    rig.tunnel.drain()
    rig.client.room = rig.target.room = False
    rig.client.protocol.data_received(b"much")
    rig.target.protocol.data_received(b"much")
    return rested


def test_a_tunnel_with_slow_readers_comes_to_rest_when_a_move_is_wanted(rig: Rig) -> None:
    rested = slow_both_ways(rig)
    rig.tick()
    rig.client.flush()
    assert not rig.target.reading  # or the client's buffer would fill again
    assert rested == []
    rig.target.flush()
    assert rested == [rig.tunnel]
    assert not rig.client.reading
    assert rig.tunnel.ready()


def test_a_reader_that_has_stalled_stops_a_tunnel_only_for_a_moment(rig: Rig) -> None:
    slow_both_ways(rig)
    rig.tick()
    rig.client.room = True
    rig.client.flush()
    rig.tick(HOLD_S + 0.1)
    assert rig.target.reading  # for the client, who reads
    assert not rig.client.reading  # the target still does not
    rig.tick(FLOW_S - 0.1)
    assert rig.target.reading
    rig.tick(0.2)
    assert not rig.target.reading  # the next attempt


def test_a_tunnel_flows_on_when_no_move_is_wanted_any_more(rig: Rig) -> None:
    slow_both_ways(rig)
    rig.tick()
    rig.client.room = True
    rig.client.flush()
    rig.service.rest = None
    rig.tick()
    assert rig.target.reading


def test_a_tunnel_that_stays_is_not_held(rig: Rig) -> None:
    slow_both_ways(rig)
    rig.tunnel.stays = True
    rig.tick()
    rig.client.flush()
    assert rig.target.reading


def test_a_packed_tunnel_reads_nothing_and_is_not_closed(rig: Rig) -> None:
    rig.client.protocol.eof_received()
    parcel = rig.tunnel.pack()
    assert parcel == ("tunnel", "127.0.0.1:5432", {"ended": [True, False]}, b"", (10, 11))
    assert not rig.target.reading
    assert not rig.tunnel.ready()
    rig.tick(2 * IDLE_S)
    rig.tunnel.cut()
    assert not rig.client.closing
    assert not rig.target.closing


def test_a_tunnel_that_is_taken_back_flows_on(rig: Rig) -> None:
    rig.tunnel.pack()
    rig.tunnel.take_back()
    assert rig.client.reading
    assert rig.target.reading
    rig.client.protocol.data_received(b"on")
    assert rig.target.written == b"on"


def test_an_end_that_breaks_while_it_is_packed_leaves_the_other_alone_until_it_is_back(rig: Rig) -> None:
    rig.tunnel.pack()
    rig.lose(rig.client, ConnectionResetError())
    assert not rig.target.closing
    assert rig.target.sock.lingers
    rig.tunnel.take_back()
    assert rig.target.aborted


def test_a_tunnel_that_was_let_go_has_moved(rig: Rig) -> None:
    rig.tunnel.pack()
    rig.tunnel.let_go()
    assert rig.client.aborted
    assert rig.target.aborted
    assert rig.client.sock.lingers  # the successor's connection would be reset with it
    rig.lose(rig.client)
    rig.lose(rig.target)
    assert rig.service.ended == [rig.tunnel]
    assert rig.tunnel.moved
    assert not rig.tunnel.forced


async def test_a_tunnel_is_not_offered_before_its_loop_reads_for_it() -> None:
    """uvloop begins to read when `connection_made` has returned: what was packed in there would be read from."""
    rested: list[Tunnel] = []
    service = FakeService()
    service.rest = rested.append
    tunnel = Tunnel(service, LISTENER)  # type: ignore[arg-type]
    tunnel.client.adopt(FakeTransport(10), b"")  # type: ignore[arg-type]
    tunnel.target.connection_made(FakeTransport(11))  # type: ignore[arg-type]
    assert rested == []
    assert tunnel.ready()


async def test_a_client_that_goes_before_its_target_is_there_is_gone_once() -> None:
    service = FakeService()
    tunnel = Tunnel(service, LISTENER)  # type: ignore[arg-type]
    client, target = FakeTransport(10), FakeTransport(11)
    tunnel.client.adopt(client, b"")  # type: ignore[arg-type]
    client.protocol.connection_lost(None)
    assert service.ended == [tunnel]
    tunnel.target.adopt(target, b"")  # type: ignore[arg-type]
    assert target.aborted
    target.protocol.connection_lost(None)
    await asyncio.sleep(0)
    assert service.ended == [tunnel]
