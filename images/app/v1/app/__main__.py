"""Entry point of the image: serves until SIGTERM. Addresses come from APP_LISTEN, APP_ADMIN and APP_OUTBOUND."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys

import uvloop

from app.ledger import Ledger
from app.outbound import Outbound
from app.server import admin, start, traffic


def address(name: str, default: str) -> tuple[str, int]:
    """Host and port from the environment variable `name`."""
    text = os.environ.get(name, default)
    host, _, port = text.rpartition(":")
    if not host or not port.isdigit():
        sys.exit(f"{name}: HOST:PORT expected, e.g. {default}, not {text!r}")
    return host.strip("[]"), int(port)


async def main() -> None:
    """Serves both faces and returns at SIGTERM or SIGINT."""
    stopped = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    ledger = Ledger(socket.gethostname())
    outbound = Outbound(*address("APP_OUTBOUND", "127.0.0.1:15001"))
    runners = [
        await start(traffic(ledger, outbound), *address("APP_LISTEN", "127.0.0.1:8080")),
        await start(admin(ledger), *address("APP_ADMIN", "0.0.0.0:8081")),
    ]
    await stopped.wait()
    for runner in runners:
        await runner.cleanup()
    outbound.close()


if __name__ == "__main__":
    uvloop.run(main())
