"""The strict clients against peers that misbehave: what a client cannot see, the benchmark cannot count."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest
from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.errors import ErrorCodes
from h2.events import RequestReceived, StreamEnded
from hyperframe.frame import HeadersFrame, PingFrame

from benchmarks.handover import http1, http2
from benchmarks.handover.http1 import Ended
from benchmarks.handover.ledger import BROKEN, CLOSED, REFUSED, TOLD
from benchmarks.handover.stage import Stage
from tests.sidecar.rig import WITHIN_S, eventually, free_port

pytestmark = pytest.mark.integration

Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n%b\r\nok"


@asynccontextmanager
async def peer(serve: Serve) -> AsyncIterator[int]:
    tasks: list[asyncio.Task[None]] = []

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.append(task)
        await serve(reader, writer)
        writer.close()
        await writer.wait_closed()

    server = await asyncio.start_server(connected, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        await asyncio.wait_for(asyncio.gather(*tasks), WITHIN_S)
        await asyncio.sleep(0)  # the clients' transports close in the turn after


def answering(data: bytes) -> Serve:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(data)
        await writer.drain()

    return serve


async def test_an_idle_connection_that_is_closed_without_a_word_is_seen() -> None:
    async with peer(answering(OK % b"")) as port:
        connection = await http1.Connection.open(port)
        assert (await connection.ask(http1.get("a-1"))).body == b"ok"
        await eventually(lambda: connection.ended == CLOSED, "the close")


async def test_an_answer_that_says_close_tells() -> None:
    async with peer(answering(OK % b"Connection: close\r\n")) as port:
        connection = await http1.Connection.open(port)
        assert (await connection.ask(http1.get("a-1"))).status == 200
        assert connection.ended == TOLD


async def test_an_answer_that_is_cut_breaks_the_connection() -> None:
    async with peer(answering((OK % b"")[:-1])) as port:
        connection = await http1.Connection.open(port)
        with pytest.raises(Ended, match=BROKEN):
            await connection.ask(http1.get("a-1"))


async def test_a_request_on_a_connection_that_has_ended_fails_at_once() -> None:
    async with peer(answering(OK % b"")) as port:
        connection = await http1.Connection.open(port)
        await connection.ask(http1.get("a-1"))
        await eventually(lambda: connection.ended, "the close")
        with pytest.raises(Ended, match=CLOSED):
            await connection.ask(http1.get("a-2"))


async def test_an_answer_that_nobody_asked_for_breaks_the_connection() -> None:
    async with peer(answering(OK % b"" + OK % b"")) as port:
        connection = await http1.Connection.open(port)
        await connection.ask(http1.get("a-1"))
        assert connection.ended == BROKEN


async def test_nobody_there_is_refused() -> None:
    with pytest.raises(Ended, match=REFUSED):
        await http1.Connection.open(free_port())


def http2_peer(act: Callable[[H2Connection, int], bool]) -> Serve:
    """Answers each whole request with what `act` does, until that is false."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection = H2Connection(H2Configuration(client_side=False, header_encoding=None))
        connection.initiate_connection()
        goes_on = True
        while goes_on:
            writer.write(connection.data_to_send())
            data = await reader.read(65536)
            if not data:
                return
            for event in connection.receive_data(data):
                if isinstance(event, RequestReceived):
                    connection.increment_flow_control_window(1 << 20)
                    connection.increment_flow_control_window(1 << 20, event.stream_id)
                elif isinstance(event, StreamEnded):
                    goes_on = act(connection, event.stream_id)
            writer.write(connection.data_to_send())

    return serve


def answer(connection: H2Connection, stream: int) -> bool:
    connection.send_headers(stream, [(":status", "200"), ("x-sidecar-version", "v1")])
    connection.send_data(stream, b"ok", end_stream=True)
    return True


def say_goaway(connection: H2Connection, stream: int) -> bool:
    answer(connection, stream)
    connection.close_connection()
    return True


def say_goaway_first(connection: H2Connection, stream: int) -> bool:
    connection.close_connection(last_stream_id=2**31 - 1)
    connection._data_to_send += PingFrame(0, b"still on").serialize()
    headers = HeadersFrame(stream, connection.encoder.encode([(":status", "200")]))
    headers.flags.add("END_HEADERS")
    headers.flags.add("END_STREAM")
    connection._data_to_send += headers.serialize()
    return False


def reset(connection: H2Connection, stream: int) -> bool:
    connection.reset_stream(stream, ErrorCodes.REFUSED_STREAM)
    return True


def hang_up(connection: H2Connection, stream: int) -> bool:
    return False


async def test_an_http2_request_is_answered_with_a_body_larger_than_the_window() -> None:
    async with peer(http2_peer(answer)) as port:
        stage = Stage({"port": port})
        connection = await http2.Connection.open(stage)
        found = await connection.ask("a-1", http1.body(200_000))
        assert (found.status, found.body, found.release) == (200, b"ok", b"v1")
        assert (await connection.ask("a-2", b"")).status == 200
        assert not connection.ended
        connection.close()
        assert not stage.record.counts


async def test_a_goaway_is_counted_and_ends_the_connection() -> None:
    async with peer(http2_peer(say_goaway)) as port:
        stage = Stage({"port": port})
        connection = await http2.Connection.open(stage)
        await connection.ask("a-1", b"")
        assert connection.ended == TOLD
        assert stage.record.counts == {http2.GOAWAY: 1}
        with pytest.raises(Ended, match=TOLD):
            await connection.ask("a-2", b"")
        connection.close()


async def test_a_request_that_was_begun_before_a_goaway_still_gets_its_answer() -> None:
    async with peer(http2_peer(say_goaway_first)) as port:
        stage = Stage({"port": port})
        connection = await http2.Connection.open(stage)
        assert (await connection.ask("a-1", b"")).status == 200
        assert stage.record.counts == {http2.GOAWAY: 1}
        connection.close()


async def test_a_reset_stream_fails_its_request_and_is_counted() -> None:
    async with peer(http2_peer(reset)) as port:
        stage = Stage({"port": port})
        connection = await http2.Connection.open(stage)
        with pytest.raises(Ended, match="REFUSED_STREAM"):
            await connection.ask("a-1", b"")
        assert stage.record.counts == {http2.RESET: 1}
        connection.close()


async def test_an_http2_connection_that_is_closed_in_an_exchange_is_broken() -> None:
    async with peer(http2_peer(hang_up)) as port:
        connection = await http2.Connection.open(Stage({"port": port}))
        with pytest.raises(Ended, match=BROKEN):
            await connection.ask("a-1", b"")
