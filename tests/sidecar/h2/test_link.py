"""A connection's way out: turns, windows, and a peer that does not read. No sockets."""

from __future__ import annotations

import asyncio

from sidecar.proxy.h2 import link as links
from sidecar.proxy.h2.engine import ServerEngine
from sidecar.proxy.h2.link import Flow, Link
from tests.sidecar.h2.peer import PREFACE, frame

GET = b"\x82\x86\x84\x41\x01a"


class Wire(asyncio.Transport):
    """Keeps what is written; takes as much as the test says."""

    def __init__(self) -> None:
        super().__init__()
        self.written: list[bytes] = []
        self.unread = 0
        self.aborted = False

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.written.append(bytes(data))

    def get_write_buffer_size(self) -> int:
        return self.unread

    def is_closing(self) -> bool:
        return self.aborted

    def abort(self) -> None:
        self.aborted = True

    def frames(self) -> list[tuple[int, int, int]]:
        """Stream, flags and size of each DATA frame, taken out."""
        data, found = b"".join(self.written), []
        self.written.clear()
        while data:
            size = int.from_bytes(data[:3], "big")
            if data[3] == 0:
                found.append((int.from_bytes(data[5:9], "big"), data[4], size))
            data = data[9 + size :]
        return found


class Answer(Flow):
    def __init__(self, link: Link, number: int) -> None:
        super().__init__()
        self.attach(link, number)
        self.full: list[bool] = []
        self.complete = False

    def crowded(self, full: bool) -> None:
        self.full.append(full)

    def sent(self) -> None:
        self.complete = True


def link(streams: int, settings: bytes = b"") -> tuple[Link, Wire, list[Answer]]:
    engine = ServerEngine(65536)
    engine.greet()
    numbers = range(1, 2 * streams, 2)
    requests = b"".join(frame(1, 5, number, GET) for number in numbers)
    engine.receive(PREFACE + frame(4, 0, 0, settings) + requests, 0.0)
    one, wire = Link(engine), Wire()
    one.transport = wire
    answers = [Answer(one, number) for number in numbers]
    for answer in answers:
        answer.head([(b":status", b"200")], last=False)
    return one, wire, answers


async def test_streams_take_turns_and_the_last_piece_ends_its_stream() -> None:
    one, wire, (first, second) = link(2)
    first.write(b"x" * 20_000)
    second.write(b"y" * 20_000)
    for answer in (first, second):
        answer.finish([])
    one.flush()
    assert wire.frames() == [(1, 0, 16384), (3, 0, 16384), (1, 1, 3616), (3, 1, 3616)]
    assert first.complete
    assert second.complete


async def test_a_stream_without_a_window_waits_and_holds_up_nobody() -> None:
    one, wire, (first, second) = link(2, settings=b"\0\4\0\0\0\x0a")
    first.write(b"x" * 100)
    second.write(b"y" * 5)
    second.finish([])
    one.flush()
    assert wire.frames() == [(1, 0, 10), (3, 1, 5)]
    one.engine.receive(frame(8, 0, 1, b"\0\0\0\x32"), 0.0)
    one.opened()
    one.flush()
    assert wire.frames() == [(1, 0, 50)]


async def test_the_source_of_a_slow_stream_waits_until_most_of_it_has_gone() -> None:
    one, wire, (answer,) = link(1)
    answer.write(b"x" * (links.FULL + 60_000))
    one.flush()
    assert answer.full == [True]
    one.engine.receive(frame(8, 0, 1, b"\0\1\0\0") + frame(8, 0, 0, b"\0\1\0\0"), 0.0)
    one.opened()
    one.flush()
    assert answer.full == [True, False]
    assert sum(size for _, _, size in wire.frames()) == links.FULL + 60_000


async def test_no_body_is_written_while_the_peer_does_not_read() -> None:
    one, wire, (answer,) = link(1)
    one.pause_writing()
    answer.write(b"x" * 100)
    one.flush()
    assert wire.frames() == []
    one.resume_writing()
    one.flush()
    assert wire.frames() == [(1, 0, 100)]


async def test_a_peer_that_sends_and_does_not_read_is_cut_off() -> None:
    one, wire, _ = link(1)
    wire.unread = links.OUTPUT_LIMIT
    one.flush()
    assert not wire.aborted
    wire.unread = links.OUTPUT_LIMIT + 1
    one.flush()
    assert wire.aborted


async def test_what_was_written_for_a_stream_that_is_gone_is_not_sent() -> None:
    one, wire, (first, second) = link(2)
    first.write(b"x" * 100)
    second.write(b"y" * 100)
    one.engine.receive(frame(3, 0, 1, bytes(4)), 0.0)
    first.closed = True  # as its owner does when it hears of the reset
    one.flush()
    assert wire.frames() == [(3, 0, 100)]
    first.write(b"more")
    first.finish([])
    one.flush()
    assert wire.frames() == []
