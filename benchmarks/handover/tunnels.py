"""The strict tunnels, as a process: numbered records there and back, through everything that carries bytes.

A WebSocket upgrade and a TCP listener towards the application, and CONNECT by the outbound listener. What comes
back has to be what went out, byte for byte: a record that is lost, cut, repeated or out of turn ends the client.
"""

from __future__ import annotations

import asyncio
import random
import struct
from collections import deque
from collections.abc import Awaitable, Callable
from time import monotonic

from benchmarks.handover import http1
from benchmarks.handover.ledger import BROKEN, CLOSED, REFUSED, Client
from benchmarks.handover.stage import AGAIN_S, Stage, play

CLIENTS = 6  # of each kind
AHEAD = 8  # records under way
LARGEST = 8192
PAUSE_S = 0.02
WITHIN_S = 10.0
_HEADER = struct.Struct("!QI")  # number, length of what follows

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class NoTunnel(Exception):
    """It was not opened; the argument says what was answered."""


async def tcp(stage: Stage, name: str) -> Streams:
    """The TCP listener."""
    return await asyncio.open_connection("127.0.0.1", stage.settings["tcp_port"])


async def websocket(stage: Stage, name: str) -> Streams:
    """An upgrade on the inbound listener."""
    head = (
        f"GET /socket HTTP/1.1\r\nHost: benchmark\r\nx-request-id: {name}\r\nConnection: Upgrade\r\n"
        "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    )
    return await _ask(stage.settings["port"], head, b" 101 ")


async def connect(stage: Stage, name: str) -> Streams:
    """CONNECT on the outbound listener."""
    target = f"127.0.0.1:{stage.settings['echo_port']}"
    head = f"CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n\r\n"
    return await _ask(stage.settings["outbound_port"], head, b" 200 ")


async def _ask(port: int, head: str, granted: bytes) -> Streams:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(head.encode())
    answer = await reader.readuntil(b"\r\n\r\n")
    if granted not in answer.split(b"\r\n", 1)[0] + b" ":
        writer.close()
        raise NoTunnel(answer.split(b"\r\n", 1)[0].decode("latin-1"))
    return reader, writer


OPEN: dict[str, Callable[[Stage, str], Awaitable[Streams]]] = {
    "tcp": tcp,
    "websocket": websocket,
    "connect": connect,
}


async def carry(stage: Stage, streams: Streams, client: Client) -> None:
    """Numbered records until the run or the tunnel ends."""
    reader, writer = streams
    under_way: deque[tuple[bytes, float]] = deque()
    room = asyncio.Semaphore(AHEAD)

    async def receive() -> None:
        """Until the other side ends; the writer cancels it in the end."""
        while True:
            header = await reader.readexactly(_HEADER.size)
            _, length = _HEADER.unpack(header)
            if not under_way or length > LARGEST:
                raise ValueError
            sent, began = under_way[0]
            if header + await reader.readexactly(length) != sent:
                raise ValueError
            under_way.popleft()
            client.answer()
            stage.record.sample(client.traffic, began, monotonic())
            room.release()

    receiving = asyncio.create_task(receive())
    receiving.add_done_callback(lambda _: room.release())  # whoever waits for room is to see the end
    try:
        while not (stage.stopping.is_set() or receiving.done()):
            await asyncio.wait_for(room.acquire(), WITHIN_S)
            record = http1.body(random.randint(16, LARGEST))
            record = _HEADER.pack(client.begin(), len(record)) + record
            under_way.append((record, monotonic()))
            writer.write(record)
            await stage.pause(random.uniform(0, 2 * PAUSE_S))
        deadline = monotonic() + WITHIN_S
        while under_way and not receiving.done() and monotonic() < deadline:
            await asyncio.sleep(0.01)
        how = _how(receiving) if receiving.done() else "no answer in time" if under_way else ""
    except TimeoutError:
        how = _how(receiving) if receiving.done() else "no answer in time"
    if how:
        client.end(how)
        first = client.answered + 1
        for number in range(first, client.sent + 1):
            client.fail(number, f"record: {how}")
    receiving.cancel()
    await asyncio.gather(receiving, return_exceptions=True)
    writer.close()


def _how(receiving: asyncio.Task[None]) -> str:
    error = receiving.exception()
    if isinstance(error, asyncio.IncompleteReadError):
        return BROKEN if error.partial else CLOSED
    return "wrong bytes" if isinstance(error, ValueError) else BROKEN


async def place(stage: Stage, kind: str, number: int) -> None:
    """One tunnel after another; as a rule there is only the first."""
    generation = 0
    while not stage.stopping.is_set():
        client = stage.record.client(f"{kind}.{number}.{generation}", kind)
        generation += 1
        try:
            streams = await asyncio.wait_for(OPEN[kind](stage, f"{client.name}-open-1"), WITHIN_S)
        except (OSError, TimeoutError, EOFError, NoTunnel) as error:
            client.fail(client.begin(), f"not opened: {error or type(error).__name__}")
            client.end(REFUSED)
        else:
            await carry(stage, streams, client)
        await stage.pause(AGAIN_S)


async def main(stage: Stage) -> None:
    """All tunnels."""
    await asyncio.gather(*(place(stage, kind, number) for kind in OPEN for number in range(CLIENTS)))


if __name__ == "__main__":
    play(main)
