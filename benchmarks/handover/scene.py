"""What every part starts with: a directory, an application, the first sidecar; and how it tells what goes on.

Leaving a scene ends every process and removes the directory, however it is left.
"""

from __future__ import annotations

import asyncio
import json
import tempfile
import urllib.request
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from benchmarks.handover.children import Child, Children
from benchmarks.handover.ledger import Sum, reconcile
from benchmarks.handover.relay import Relay
from benchmarks.handover.worker import load

Tell = Callable[[str], None]
DONE_S = 60.0  # what clients may take to come to an end and to write their records


class Scene:
    """One part's processes."""

    def __init__(self, children: Children, directory: Path, app: Child, relay: Relay, tell: Tell) -> None:
        self.children, self.directory, self.app, self.relay, self.tell = children, directory, app, relay, tell
        self.clients: dict[str, Child] = {}

    async def start_clients(self, module: str, **settings: object) -> Child:
        """Starts a process of clients towards the relay's port."""
        path = str(self.directory / module)
        given = {"port": self.relay.port, "path": path, **settings}
        child = await self.children.module(module, given)
        self.clients[module] = child
        return child

    async def stop_clients(self, module: str) -> tuple[dict[str, Any], Mapping[str, Sequence[float]]]:
        """Stops one; its record and its samples."""
        child = self.clients[module]
        child.tell("stop")
        await child.saw("done", within_s=DONE_S)
        return load(str(self.directory / module))

    async def executions(self) -> dict[str, Any]:
        """The application's ledger."""
        url = f"http://127.0.0.1:{self.app.events('ready')[0]['port']}/executions"

        def read() -> dict[str, Any]:
            with urllib.request.urlopen(url, timeout=DONE_S) as answer:
                found: dict[str, Any] = json.load(answer)
            return found

        return await asyncio.to_thread(read)

    async def reconciled(self, documents: Sequence[Mapping[str, Any]]) -> Sum:
        """Clients' records against the application's."""
        clients = [client for document in documents for client in document["clients"]]
        return reconcile(clients, await self.executions())


@asynccontextmanager
async def scene(
    tell: Tell, more: Callable[[Child], Mapping[str, str]] = lambda app: {}
) -> AsyncIterator[Scene]:
    """An application and a working sidecar; `more` is environment for all sidecars."""
    with tempfile.TemporaryDirectory(prefix="handover-") as name:
        directory = Path(name)
        async with Children() as children:
            app = await children.module("application")
            ready = app.events("ready")[0]
            relay = Relay(children, directory, ready["port"], more(app))
            await relay.begin()
            yield Scene(children, directory, app, relay, tell)
