"""What the processes that are measured with share: lines to the one that measures, commands from it, records.

Lines out are JSON objects with an `event`; lines in are single words; the end of the input means `stop`.
"""

from __future__ import annotations

import asyncio
import json
import sys
from array import array
from collections.abc import AsyncIterator
from typing import Any

from benchmarks.handover.ledger import Client


def say(event: str, **details: object) -> None:
    """One line."""
    sys.stdout.write(json.dumps({"event": event, **details}) + "\n")
    sys.stdout.flush()


async def commands() -> AsyncIterator[str]:
    """The words that come in, until the input ends."""
    reader = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), sys.stdin
    )
    while line := await reader.readline():
        yield line.decode().strip()


async def told_to_stop() -> None:
    """Until `stop`, or the end of the input."""
    async for word in commands():
        if word == "stop":
            return


def settings() -> dict[str, Any]:
    """The first argument, an object."""
    found: dict[str, Any] = json.loads(sys.argv[1])
    return found


class Record:
    """The ledger of one process of clients, and when each of its requests began and ended."""

    def __init__(self) -> None:
        self.clients: list[Client] = []
        self.samples: dict[str, array[float]] = {}
        self.counts: dict[str, int] = {}  # of things that have no client

    def client(self, name: str, traffic: str) -> Client:
        """A new one."""
        client = Client(name, traffic)
        self.clients.append(client)
        return client

    def sample(self, traffic: str, began: float, ended: float) -> None:
        """Of a request that was answered; monotonic seconds."""
        self.samples.setdefault(traffic, array("d")).extend((began, ended))

    def count(self, what: str, number: int = 1) -> None:
        """Something that is no request."""
        self.counts[what] = self.counts.get(what, 0) + number

    def save(self, path: str) -> None:
        """Writes all of it: JSON, and the samples as doubles."""
        files = {}
        for traffic, samples in self.samples.items():
            files[traffic] = f"{path}.{traffic}"
            with open(files[traffic], "wb") as file:
                samples.tofile(file)
        document = {
            "clients": [client.document() for client in self.clients],
            "samples": files,
            "counts": self.counts,
        }
        with open(path, "w") as file:
            json.dump(document, file)


def load(path: str) -> tuple[dict[str, Any], dict[str, array[float]]]:
    """What `Record.save` wrote."""
    with open(path) as file:
        document: dict[str, Any] = json.load(file)
    samples = {}
    for traffic, name in document["samples"].items():
        samples[traffic] = array("d")
        with open(name, "rb") as raw:
            samples[traffic].frombytes(raw.read())
    return document, samples
