"""What was read and is not handled yet: it is handled once, in order, and lost by nothing that comes in between."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from types import SimpleNamespace
from typing import Any

import pytest

from sidecar.config import read
from sidecar.proxy.client import ClientConnection
from sidecar.proxy.service import Drain, Service
from sidecar.proxy.turn import SHORT, Turn
from sidecar.proxy.upstream import UpstreamConnection

REQUEST = b"GET /a HTTP/1.1\r\nHost: a\r\n\r\n"
SENT = b"GET /a HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 10.0.0.9\r\nX-Forwarded-Proto: http\r\n\r\n"
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"


class FakeLoop:
    """Calls what is due when it is told to, and keeps what it is told of failures."""

    def __init__(self) -> None:
        self.due: list[Callable[[], None]] = []
        self.failures: list[dict[str, Any]] = []

    def call_soon(self, call: Callable[[], None]) -> None:
        self.due.append(call)

    def call_exception_handler(self, failure: dict[str, Any]) -> None:
        self.failures.append(failure)

    def go_round(self) -> None:
        due, self.due = self.due, []
        for call in due:
            call()


class FakeReader:
    """Notes when it caught up, and does then what it was given to do."""

    def __init__(self, name: str, seen: list[str], then: Callable[[], None] = lambda: None) -> None:
        self.transport: Any = FakeTransport()
        self._name, self._seen, self._then = name, seen, then

    def catch_up(self) -> None:
        self._seen.append(self._name)
        self._then()


class FakeTransport:
    """As much of uvloop's as an exchange asks for."""

    def __init__(self, descriptor: int = 0) -> None:
        self.written = b""
        self.closing = False
        self._socket = SimpleNamespace(fileno=lambda: descriptor)

    def write(self, data: bytes) -> None:
        self.written += data

    def abort(self) -> None:
        self.closing = True

    def is_closing(self) -> bool:
        return self.closing

    def get_extra_info(self, name: str) -> object:
        assert name == "socket"
        return self._socket

    def get_write_buffer_size(self) -> int:
        return 0

    def set_write_buffer_limits(self, high: int, low: int) -> None:
        """Not of interest here."""

    def pause_reading(self) -> None:
        """Not of interest here."""

    def resume_reading(self) -> None:
        """Not of interest here."""


class FakeSocket:
    """Open, and silent."""

    def fileno(self) -> int:
        return 11

    def recv(self, size: int, flags: int) -> bytes:
        raise BlockingIOError


class Pair:
    """A client's connection, and one to the application that waits for a request."""

    def __init__(self) -> None:
        self.service = Service(read({}))
        self.here, self.there = FakeTransport(10), FakeTransport(11)
        self.upstream = UpstreamConnection(self.service.pool, FakeSocket())  # type: ignore[arg-type]
        self.upstream.connection_made(self.there)  # type: ignore[arg-type]
        self.service.pool.put(self.upstream)
        (listener,) = read({}).listeners
        self.client = ClientConnection(self.service, listener, "10.0.0.9")
        self.service.arriving += 1
        self.client.connection_made(self.here)  # type: ignore[arg-type]

    def catch_up(self) -> None:
        self.service.turn.catch_up()

    def answered(self) -> bool:
        return self.here.written.startswith(b"HTTP/1.1 200 OK\r\n") and self.here.written.endswith(b"hi")


@pytest.fixture
async def pair() -> AsyncIterator[Pair]:
    pair = Pair()
    yield pair
    pair.service.close()


def test_all_that_was_read_is_handled_in_one_call_and_answers_first() -> None:
    loop, seen = FakeLoop(), list[str]()
    turn = Turn(loop)  # type: ignore[arg-type]
    turn.requests += [FakeReader("request 1", seen), FakeReader("request 2", seen)]
    turn.answers += [FakeReader("answer 1", seen), FakeReader("answer 2", seen)]
    turn.begin()
    loop.go_round()
    assert seen == ["answer 1", "answer 2", "request 1", "request 2"]
    loop.go_round()
    assert len(seen) == 4


def test_what_is_read_while_others_catch_up_waits_for_the_next_turn() -> None:
    loop, seen = FakeLoop(), list[str]()
    turn = Turn(loop)  # type: ignore[arg-type]

    def more() -> None:
        assert not turn.begun
        turn.answers.append(FakeReader("later", seen))
        turn.begin()

    turn.requests.append(FakeReader("first", seen, more))
    turn.begin()
    loop.go_round()
    assert seen == ["first"]
    loop.go_round()
    assert seen == ["first", "later"]


def test_a_connection_that_fails_ends_alone() -> None:
    loop, seen = FakeLoop(), list[str]()
    turn = Turn(loop)  # type: ignore[arg-type]

    def fail() -> None:
        raise ValueError("broken")

    bad, good = FakeReader("bad", seen, fail), FakeReader("good", seen)
    turn.requests += [bad, good]
    turn.begin()
    loop.go_round()
    assert seen == ["bad", "good"]
    assert (bad.transport.closing, good.transport.closing) == (True, False)
    assert [str(failure["exception"]) for failure in loop.failures] == ["broken"]


async def test_an_exchange_takes_place_when_the_turn_ends(pair: Pair) -> None:
    pair.client.data_received(REQUEST)
    assert pair.there.written == b""
    await asyncio.sleep(0)
    assert pair.there.written == SENT
    pair.upstream.data_received(ANSWER)
    assert pair.here.written == b""
    await asyncio.sleep(0)
    assert pair.answered()


async def test_a_request_in_pieces_is_put_together(pair: Pair) -> None:
    for at in range(len(REQUEST)):
        pair.client.data_received(REQUEST[at : at + 1])
        if at % 3:
            pair.catch_up()
    pair.catch_up()
    assert pair.there.written == SENT


async def test_a_long_piece_does_not_wait(pair: Pair) -> None:
    long = REQUEST.replace(b"\r\n\r\n", b"\r\nCookie: " + b"x" * SHORT + b"\r\n\r\n")
    pair.client.data_received(long)
    assert pair.there.written.startswith(b"GET /a HTTP/1.1\r\n")
    pair.upstream.data_received(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % SHORT + b"x" * SHORT)
    assert pair.here.written.endswith(b"x" * SHORT)


async def test_a_request_that_was_read_and_not_handled_moves_with_its_connection(pair: Pair) -> None:
    pair.client.data_received(REQUEST)
    assert pair.client.ready()
    assert pair.client.pack().data == REQUEST
    pair.catch_up()
    assert pair.there.written == b""


async def test_a_request_that_comes_back_with_its_connection_is_handled(pair: Pair) -> None:
    pair.client.data_received(REQUEST)
    pair.client.pack()
    pair.catch_up()
    pair.client.take_back()
    assert pair.there.written == SENT
    pair.upstream.data_received(ANSWER)
    pair.catch_up()
    assert pair.answered()


async def test_an_exchange_does_not_move_while_its_answer_waits_to_be_handled(pair: Pair) -> None:
    pair.client.data_received(REQUEST)
    pair.catch_up()
    pair.service.drain = Drain(pair.service.now - 10, 60.0, 60.0, lambda counts: None, tells=False)
    assert pair.client.ready()
    pair.upstream.data_received(ANSWER[:-2])
    assert not pair.client.ready()
    pair.catch_up()
    assert pair.client.ready()
    assert pair.client.pack().data == b""  # the head has gone out
    pair.service.drain = None


async def test_a_client_that_sends_a_request_and_no_more_gets_its_answer(pair: Pair) -> None:
    pair.client.data_received(REQUEST)
    assert pair.client.eof_received()
    assert pair.there.written == SENT


async def test_an_answer_counts_though_its_connection_has_ended(pair: Pair) -> None:
    pair.client.data_received(REQUEST)
    pair.catch_up()
    pair.upstream.data_received(ANSWER)
    pair.there.closing = True
    pair.upstream.connection_lost(None)
    assert pair.answered()
    assert pair.service.pool.idle == 0


async def test_an_answer_to_a_client_that_has_gone_goes_nowhere(pair: Pair) -> None:
    pair.client.data_received(REQUEST)
    pair.catch_up()
    pair.upstream.data_received(ANSWER)
    pair.client.connection_lost(None)
    pair.catch_up()
    assert pair.here.written == b""


async def test_a_connection_that_has_asked_is_not_closed_for_its_silence(pair: Pair) -> None:
    pair.client.deadline = 0.0
    pair.client.data_received(REQUEST)
    pair.service._tick()
    assert pair.there.written == SENT
    assert pair.here.written == b""
    assert not pair.here.closing
