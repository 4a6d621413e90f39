"""The strict HTTP/1.1 clients, as a process: five classes, paced, until it is told to stop.

When a connection ends that its client did not end, that is counted, and a new client takes its place.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Sequence
from time import monotonic
from typing import NamedTuple

from benchmarks.handover import http1
from benchmarks.handover.http1 import Answer, Connection, Ended, Request
from benchmarks.handover.ledger import Client
from benchmarks.handover.stage import AGAIN_S, Stage, play

SILENCE_S = 1.6  # longer than a flip
FRESH_CLIENTS = 4
FRESH_PAUSE_S = 0.03


async def settle(
    stage: Stage,
    client: Client,
    numbers: Sequence[int],
    requests: Sequence[Request],
    answers: Sequence[Awaitable[Answer]],
) -> None:
    """Waits for answers, in order, and books them."""
    began = monotonic()
    for number, request, answer in zip(numbers, requests, answers, strict=True):
        kind = await outcome(request, answer)
        if kind:
            client.fail(number, kind)
        else:
            client.answer()
            stage.record.sample(client.traffic, began, monotonic())


async def outcome(request: Request, answer: Awaitable[Answer]) -> str:
    """Empty when the answer is right; else what failed."""
    try:
        found = await answer
    except Ended as error:
        return f"no answer: {error}"
    except TimeoutError:
        return "no answer in time"
    if found.status != 200:
        return f"status {found.status}"
    return "" if found.body == request.expected else "wrong answer"


async def keep_alive(stage: Stage, connection: Connection, client: Client) -> None:
    """GET after GET."""
    number = client.begin()
    request = http1.get(f"{client.name}-{number}")
    await settle(stage, client, [number], [request], [connection.ask(request)])


async def post(stage: Stage, connection: Connection, client: Client) -> None:
    """POSTs of 1 to 16 KiB; every other one pauses somewhere, in its head or in its body."""
    number = client.begin()
    request = http1.post(f"{client.name}-{number}")
    cut = random.randrange(len(request.data)) if number % 2 else 0
    await settle(stage, client, [number], [request], [connection.ask(request, cut, random.uniform(0, 0.01))])


async def idle(stage: Stage, connection: Connection, client: Client) -> None:
    """Silent for longer than a flip, then a small POST."""
    number = client.begin()
    request = http1.post(f"{client.name}-{number}", 64, 64)
    await settle(stage, client, [number], [request], [connection.ask(request)])


async def pipeline(stage: Stage, connection: Connection, client: Client) -> None:
    """Eight requests at once, cut somewhere: what is read ahead has to come along, half heads too."""
    numbers = [client.begin() for _ in range(8)]
    names = [f"{client.name}-{number}" for number in numbers]
    requests = [http1.post(name, 1, 512) if at % 2 else http1.get(name) for at, name in enumerate(names)]
    answers = [asyncio.wait_for(connection.expect(), http1.ANSWER_S) for _ in requests]
    data = b"".join(request.data for request in requests)
    cut = random.randrange(len(data))
    connection.write(data[:cut])
    await asyncio.sleep(random.choice((0.0, 0.002)))
    connection.write(data[cut:])
    await settle(stage, client, numbers, requests, answers)


class Traffic(NamedTuple):
    """A class: how many clients, how long each pauses, and what it does between two pauses."""

    name: str
    clients: int
    pause_s: float
    exchange: Callable[[Stage, Connection, Client], Awaitable[None]]


CLASSES = (
    Traffic("keep-alive", 16, 0.025, keep_alive),
    Traffic("post", 8, 0.04, post),
    Traffic("idle-keep-alive", 60, SILENCE_S, idle),
    Traffic("pipeline", 4, 0.08, pipeline),
)


async def place(stage: Stage, traffic: Traffic, number: int) -> None:
    """One client after another; as a rule there is only the first."""
    generation = 0
    while not stage.stopping.is_set():
        client = stage.record.client(f"{traffic.name}.{number}.{generation}", traffic.name)
        generation += 1
        try:
            connection = await Connection.open(stage.settings["port"])
        except Ended as error:
            client.fail(client.begin(), str(error))
            client.end(str(error))
        else:
            await stage.pause(random.uniform(0, traffic.pause_s))
            while not (stage.stopping.is_set() or connection.ended or client.failures):
                await traffic.exchange(stage, connection, client)
                await stage.pause(traffic.pause_s)
            if connection.ended:
                client.end(connection.ended)
            connection.close()
        await stage.pause(AGAIN_S)


async def fresh(stage: Stage, number: int) -> None:
    """A connection for every request; the time that it takes to open counts."""
    client = stage.record.client(f"fresh.{number}", "fresh")
    while not stage.stopping.is_set():
        sequence = client.begin()
        request = http1.get(f"{client.name}-{sequence}")
        began = monotonic()
        connection = None
        try:
            connection = await Connection.open(stage.settings["port"])
            kind = await outcome(request, connection.ask(request))
        except Ended as error:
            kind = str(error)
        if kind:
            client.fail(sequence, kind)
        else:
            client.answer()
            stage.record.sample("fresh", began, monotonic())
        if connection is not None:
            connection.close()
        await stage.pause(FRESH_PAUSE_S)


async def main(stage: Stage) -> None:
    """All clients."""
    places = [place(stage, traffic, number) for traffic in CLASSES for number in range(traffic.clients)]
    await asyncio.gather(*places, *(fresh(stage, number) for number in range(FRESH_CLIENTS)))


if __name__ == "__main__":
    play(main)
