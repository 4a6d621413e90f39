"""Entry point of the image: serves until SIGTERM. Addresses come from APP_LISTEN, APP_ADMIN and APP_OUTBOUND.

In the folder APP_STATE, where there is one, the ledger outlives the process: a container that is started again goes on.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import sys
from pathlib import Path

import uvloop

from app.ledger import Ledger
from app.outbound import Outbound
from app.server import Pace, admin, start, traffic


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
    ledger, pace = Ledger(socket.gethostname()), Pace()
    kept = Path(os.environ.get("APP_STATE", "/var/lib/app")) / "ledger.json"
    if kept.exists():
        ledger.restore(json.loads(kept.read_text()))
    outbound = Outbound(*address("APP_OUTBOUND", "127.0.0.1:15001"))
    runners = [
        await start(traffic(ledger, outbound, pace), *address("APP_LISTEN", "127.0.0.1:8080")),
        await start(admin(ledger, pace), *address("APP_ADMIN", "0.0.0.0:8081")),
    ]
    await stopped.wait()
    for runner in runners:
        await runner.cleanup()
    outbound.close()
    if kept.parent.is_dir():
        kept.write_text(json.dumps(ledger.document()))


if __name__ == "__main__":
    uvloop.run(main())
