"""wrk and h2load as loads: started, stopped, and what they print read. Knows nothing of hand-overs."""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import signal
from typing import NamedTuple

from benchmarks.handover.children import Child, Children

# Program, and the Debian package that has it.
PROGRAMS = {"wrk": "wrk", "h2load": "nghttp2-client"}
WRK_CONNECTIONS = 16
H2LOAD_CONNECTIONS = 4
H2LOAD_STREAMS = 4
H2LOAD_REQUESTS = 10_000  # of one run of h2load, which are done again and again
H2LOAD_PAUSE_S = 0.1


def missing() -> list[str]:
    """Programs that are not there, each with its package."""
    return [
        f"{program} (Debian package {package})"
        for program, package in PROGRAMS.items()
        if shutil.which(program) is None
    ]


class Load(NamedTuple):
    """What a load generator saw."""

    requests: int
    failed: dict[str, int]
    per_second: float


async def start_wrk(children: Children, port: int) -> Child:
    """Keep-alive connections that ask as fast as they are answered, until it is interrupted."""
    command = ["wrk", "-t1", f"-c{WRK_CONNECTIONS}", "-d86400", "--latency", f"http://127.0.0.1:{port}/echo"]
    return await children.start("wrk", command, os.environ)


async def stop_wrk(child: Child) -> Load:
    """Its sums."""
    await child.end(signal.SIGINT)
    return read_wrk("".join(child.text))


def read_wrk(text: str) -> Load:
    """wrk says nothing of what did not happen. It reconnects in silence when an answer says `close`."""
    total = re.search(r"(\d+) requests in", text)
    rate = re.search(r"Requests/sec:\s+([\d.]+)", text)
    failed = {}
    if errors := re.search(r"Socket errors: (.+)", text):
        for part in errors[1].split(", "):
            kind, number = part.split()
            failed[kind] = int(number)
    if others := re.search(r"Non-2xx or 3xx responses: (\d+)", text):
        failed["status"] = int(others[1])
    return Load(int(total[1]) if total else 0, failed, float(rate[1]) if rate else 0.0)


class H2load:
    """h2load, one run after another until it is stopped: it cannot be interrupted and still give its sums."""

    def __init__(self, children: Children, port: int) -> None:
        self._children, self._port = children, port
        self._stopping = False
        self._loads: list[Load] = []
        self._running = asyncio.create_task(self._run())

    async def _run(self) -> None:
        command = [
            "h2load",
            f"-n{H2LOAD_REQUESTS}",
            f"-c{H2LOAD_CONNECTIONS}",
            f"-m{H2LOAD_STREAMS}",
            f"http://127.0.0.1:{self._port}/echo",
        ]
        while not self._stopping:
            child = await self._children.start("h2load", command, os.environ)
            await child.process.wait()
            await child.end()
            self._loads.append(read_h2load("".join(child.text)))
            await asyncio.sleep(H2LOAD_PAUSE_S)

    async def stop(self) -> Load:
        """Lets the present run end; the sums of all."""
        self._stopping = True
        await self._running
        failed: dict[str, int] = {}
        for load in self._loads:
            for kind, number in load.failed.items():
                failed[kind] = failed.get(kind, 0) + number
        rates = [load.per_second for load in self._loads]
        return Load(sum(load.requests for load in self._loads), failed, sum(rates) / max(1, len(rates)))


def read_h2load(text: str) -> Load:
    """The sums of one run; `failed` holds also what was never asked because a connection had ended."""
    sums = re.search(
        r"requests: (\d+) total, \d+ started, \d+ done, (\d+) succeeded, (\d+) failed",
        text,
    )
    rate = re.search(r"([\d.]+) req/s", text)
    if sums is None:
        return Load(0, {"h2load gave no sums": 1}, 0.0)
    total, succeeded, failed = (int(number) for number in sums.groups())
    found = {"failed": failed}  # those errored and those timed out are among them
    if others := re.search(r"(\d+) 2xx, (\d+) 3xx, (\d+) 4xx, (\d+) 5xx", text):
        found["status"] = sum(int(number) for number in others.groups()[1:])
    found["unasked"] = max(0, total - succeeded - failed)
    return Load(succeeded, found, float(rate[1]) if rate else 0.0)
