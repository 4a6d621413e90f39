"""The strict HTTP/2 clients, as a process: prior knowledge, several requests at a time on each connection.

No retry and no reconnect: a GOAWAY, a reset stream and a close are counted, and once a connection is of no use
a new one takes its place. Each stream's place on a connection is a client of its own in the ledger.
"""

from __future__ import annotations

import asyncio
import random
from time import monotonic
from typing import cast

from h2.config import H2Configuration
from h2.connection import ConnectionInputs, ConnectionState, H2Connection, H2ConnectionStateMachine
from h2.errors import ErrorCodes
from h2.events import (
    ConnectionTerminated,
    DataReceived,
    Event,
    ResponseReceived,
    StreamEnded,
    StreamReset,
    WindowUpdated,
)
from h2.exceptions import ProtocolError

from benchmarks.handover import http1
from benchmarks.handover.http1 import ANSWER_S, Answer, Ended
from benchmarks.handover.ledger import BROKEN, CLOSED, REFUSED, TOLD, Client
from benchmarks.handover.stage import AGAIN_S, Stage, play

CONNECTIONS = 6
LANES = 4  # requests at a time on each
PAUSE_S = 0.06
SILENT_CONNECTIONS = 4  # with a request now and then: most hand-overs find them idle
SILENCE_S = 1.6
GOAWAY, RESET = "GOAWAY frames", "streams reset"

# The library takes a GOAWAY for the end; but streams that have begun go on (RFC 9113, section 6.8).
for _state in (ConnectionState.IDLE, ConnectionState.CLIENT_OPEN):
    H2ConnectionStateMachine._transitions[_state, ConnectionInputs.RECV_GOAWAY] = (None, _state)


class Exchange:
    """One stream, as far as it has come."""

    def __init__(self, answer: asyncio.Future[Answer]) -> None:
        self.answer = answer
        self.status = 0
        self.release = b""
        self.body = b""


class Connection(asyncio.Protocol):
    """One TCP connection; `ended` says how it became of no use."""

    _transport: asyncio.Transport

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self._h2 = H2Connection(H2Configuration(client_side=True, header_encoding=None))
        self._exchanges: dict[int, Exchange] = {}
        self._room = asyncio.Event()  # set whenever a window has grown
        self._closed = False
        self.ended = ""

    @classmethod
    async def open(cls, stage: Stage) -> Connection:
        """Opens it; Ended if that fails."""
        opening = asyncio.get_running_loop().create_connection(
            lambda: cls(stage), "127.0.0.1", stage.settings["port"]
        )
        try:
            _, connection = await asyncio.wait_for(opening, ANSWER_S)
        except (OSError, TimeoutError) as error:
            raise Ended(REFUSED) from error
        return connection

    async def ask(self, request_id: str, body: bytes) -> Answer:
        """One stream, from its request to its end."""
        if self.ended:
            raise Ended(self.ended)
        stream = self._h2.get_next_available_stream_id()
        exchange = self._exchanges[stream] = Exchange(asyncio.get_running_loop().create_future())
        headers = [
            (":method", "POST" if body else "GET"),
            (":scheme", "http"),
            (":authority", "benchmark"),
            (":path", "/echo"),
            ("x-request-id", request_id),
        ]
        if body:
            headers.append(("content-length", str(len(body))))
        self._h2.send_headers(stream, headers, end_stream=not body)
        self._flush()
        sending = self._send(stream, body) if body else None
        try:
            return await asyncio.wait_for(self._answer(exchange, sending), ANSWER_S)
        finally:
            self._exchanges.pop(stream, None)

    async def _answer(self, exchange: Exchange, sending: asyncio.Future[None] | None) -> Answer:
        if sending is not None:
            await sending
        return await exchange.answer

    def _send(self, stream: int, body: bytes) -> asyncio.Future[None]:
        return asyncio.ensure_future(self._send_body(stream, body))

    async def _send_body(self, stream: int, body: bytes) -> None:
        while body and not self._closed and stream in self._exchanges:
            size = min(
                self._h2.local_flow_control_window(stream), self._h2.max_outbound_frame_size, len(body)
            )
            if size <= 0:
                self._room.clear()
                await self._room.wait()
                continue
            self._h2.send_data(stream, body[:size], end_stream=size == len(body))
            self._flush()
            body = body[size:]

    def close(self) -> None:
        """The client is done with it."""
        self._closed = True
        if not self._transport.is_closing():
            self._h2.close_connection()
            self._flush()
        self._transport.close()

    def _flush(self) -> None:
        self._transport.write(self._h2.data_to_send())

    # -- asyncio.Protocol ------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._h2.initiate_connection()
        self._flush()

    def data_received(self, data: bytes) -> None:
        if self._closed:
            return
        try:
            events = self._h2.receive_data(data)
        except ProtocolError as error:
            self._stage.record.count(f"protocol errors: {error}")
            self._end(BROKEN)
            self._transport.abort()
            return
        for event in events:
            self._happened(event)
        self._flush()

    def connection_lost(self, error: Exception | None) -> None:
        self._end(BROKEN if error is not None or self._exchanges else CLOSED)
        self._closed = True
        self._room.set()
        for exchange in self._exchanges.values():
            if not exchange.answer.done():
                exchange.answer.set_exception(Ended(self.ended))

    # --------------------------------------------------------------------------------------------------------

    def _happened(self, event: Event) -> None:
        if isinstance(event, ConnectionTerminated):
            self._stage.record.count(GOAWAY)
            self._end(TOLD)
            return
        if isinstance(event, WindowUpdated):
            self._room.set()
            return
        exchange = self._exchanges.get(getattr(event, "stream_id", None) or 0)
        if isinstance(event, DataReceived):
            self._h2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
        if exchange is None or exchange.answer.done():
            return
        if isinstance(event, ResponseReceived):
            headers = dict(event.headers)
            exchange.status = int(headers[b":status"])
            exchange.release = headers.get(b"x-sidecar-version", b"")
        elif isinstance(event, DataReceived):
            exchange.body += event.data
        elif isinstance(event, StreamEnded):
            exchange.answer.set_result(Answer(exchange.status, exchange.body, exchange.release))
        elif isinstance(event, StreamReset):
            self._stage.record.count(RESET)
            exchange.answer.set_exception(Ended(f"stream reset, {ErrorCodes(event.error_code).name}"))

    def _end(self, how: str) -> None:
        if not self._closed:
            self.ended = self.ended or how


async def lane(stage: Stage, connection: Connection, client: Client, pause_s: float) -> None:
    """One stream after another, on one connection."""
    await stage.pause(random.uniform(0, pause_s))
    while not (stage.stopping.is_set() or connection.ended or client.failures):
        number = client.begin()
        name = f"{client.name}-{number}"
        body = http1.body(random.randint(1024, 16384)) if number % 2 else b""
        began = monotonic()
        try:
            answer = await connection.ask(name, body)
        except (Ended, ProtocolError) as error:
            client.fail(number, f"no answer: {error}")
        except TimeoutError:
            client.fail(number, "no answer in time")
        else:
            if answer.status == 200 and answer.body == http1.expected(name, body):
                client.answer()
                stage.record.sample(client.traffic, began, monotonic())
            else:
                client.fail(number, f"status {answer.status}" if answer.status != 200 else "wrong answer")
        await stage.pause(pause_s)


async def place(stage: Stage, traffic: str, number: int, lanes: int, pause_s: float) -> None:
    """One connection after another; as a rule there is only the first."""
    generation = 0
    while not stage.stopping.is_set():
        names = [f"{traffic}.{number}.{generation}.{at}" for at in range(lanes)]
        clients = [stage.record.client(name, traffic) for name in names]
        generation += 1
        try:
            connection = await Connection.open(stage)
        except Ended as error:
            clients[0].fail(clients[0].begin(), str(error))
            clients[0].end(str(error))
        else:
            await asyncio.gather(*(lane(stage, connection, client, pause_s) for client in clients))
            if connection.ended:
                clients[0].end(connection.ended)
            connection.close()
        await stage.pause(AGAIN_S)


async def main(stage: Stage) -> None:
    """All clients."""
    stage.record.counts.update({GOAWAY: 0, RESET: 0})
    busy = [place(stage, "h2", number, LANES, PAUSE_S) for number in range(CONNECTIONS)]
    silent = [place(stage, "h2-idle", number, 1, SILENCE_S) for number in range(SILENT_CONNECTIONS)]
    await asyncio.gather(*busy, *silent)


if __name__ == "__main__":
    play(main)
