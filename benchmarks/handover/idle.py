"""Thousands of idle connections, as a process: each asks once, then is silent until the word `post`.

Answers to commands: `post` -> each connection POSTs, `count` -> how many have ended; `stop`.
"""

from __future__ import annotations

import asyncio
from collections import Counter

import uvloop

from benchmarks.handover import http1
from benchmarks.handover.http1 import Connection, Ended, Request
from benchmarks.handover.ledger import Client
from benchmarks.handover.worker import Record, commands, say, settings

AT_ONCE = 200  # requests under way
PER_SOURCE = 5000  # connections from one loopback address: its ports would run out


class Idle:
    """The connections and their ledger."""

    def __init__(self, port: int) -> None:
        self._port = port
        self.record = Record()
        self._connections: list[tuple[Connection, Client]] = []
        self._room = asyncio.Semaphore(AT_ONCE)
        self._releases: Counter[str] = Counter()

    async def open(self, count: int) -> None:
        """Opens all, and lets each ask once."""
        await asyncio.gather(*(self._open(number) for number in range(count)))

    async def _open(self, number: int) -> None:
        client = self.record.client(f"idle.{number}", "idle")
        async with self._room:
            try:
                connection = await Connection.open(self._port, f"127.0.2.{1 + number // PER_SOURCE}")
            except Ended as error:
                client.end(str(error))
                return
            self._connections.append((connection, client))
            sequence = client.begin()
            await self._ask(connection, client, sequence, http1.get(f"{client.name}-{sequence}"))

    async def post(self) -> dict[str, int]:
        """Each connection that has not failed yet POSTs, open or not; answers by release."""
        self._releases.clear()
        await asyncio.gather(
            *(
                self._post(connection, client)
                for connection, client in self._connections
                if not client.failures
            )
        )
        return dict(self._releases)

    async def _post(self, connection: Connection, client: Client) -> None:
        async with self._room:
            sequence = client.begin()
            await self._ask(connection, client, sequence, http1.post(f"{client.name}-{sequence}", 64, 512))

    async def _ask(self, connection: Connection, client: Client, sequence: int, request: Request) -> None:
        try:
            answer = await connection.ask(request)
        except Ended as error:
            client.fail(sequence, f"no answer: {error}")
        except TimeoutError:
            client.fail(sequence, "no answer in time")
        else:
            if answer.status == 200 and answer.body == request.expected:
                client.answer()
                self._releases[answer.release.decode()] += 1
            else:
                client.fail(sequence, f"status {answer.status}" if answer.status != 200 else "wrong answer")

    def closed(self) -> int:
        """How many have ended, and not by their client; books it."""
        for connection, client in self._connections:
            if connection.ended:
                client.end(connection.ended)
        return sum(bool(client.ended) for client in self.record.clients)

    def end(self) -> None:
        """Books what has ended, and ends all others."""
        self.closed()
        for connection, _ in self._connections:
            connection.vanish()

    def say(self, event: str, **details: object) -> None:
        """Sums and details; a connection that was never answered to is not open, whatever the kernel says."""
        failed = sum(len(client.failures) for client in self.record.clients)
        answered = sum(bool(client.answered) for client in self.record.clients)
        say(event, open=answered, closed=self.closed(), failed=failed, **details)


async def main() -> None:
    """Opens, then does what it is told."""
    given = settings()
    idle = Idle(given["port"])
    await idle.open(given["connections"])
    idle.say("ready")
    async for word in commands():
        if word == "post":
            idle.say("posted", releases=await idle.post())
        elif word == "count":
            idle.say("counted")
        else:
            break
    idle.end()
    idle.record.save(given["path"])
    say("done")


if __name__ == "__main__":
    uvloop.run(main())
