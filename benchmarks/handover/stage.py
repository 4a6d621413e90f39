"""What paced clients of one process share: when to stop, what was seen, and a line of sums now and then."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from typing import Any

import uvloop

from benchmarks.handover.worker import Record, say, settings, told_to_stop

AGAIN_S = 0.05  # before the next client takes the place of one whose connection ended
PROGRESS_S = 1.0


class Stage:
    """One process's clients."""

    def __init__(self, given: dict[str, Any]) -> None:
        self.settings = given
        self.record = Record()
        self.stopping = asyncio.Event()

    async def pause(self, seconds: float) -> None:
        """Between two requests; ends early when the run does."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self.stopping.wait(), seconds)

    async def report(self) -> None:
        """How it goes, for those who watch."""
        while True:
            await asyncio.sleep(PROGRESS_S)
            say(
                "progress",
                answered=sum(client.answered for client in self.record.clients),
                failed=sum(len(client.failures) for client in self.record.clients),
                closed=sum(bool(client.ended) for client in self.record.clients),
            )


def play(main: Callable[[Stage], Awaitable[None]]) -> None:
    """Runs clients until this process is told to stop; `main` returns soon after `stopping`."""
    uvloop.run(_play(main))


async def _play(main: Callable[[Stage], Awaitable[None]]) -> None:
    stage = Stage(settings())
    clients = asyncio.ensure_future(main(stage))
    reporting = asyncio.create_task(stage.report())
    say("ready")
    await told_to_stop()
    stage.stopping.set()
    await clients
    reporting.cancel()
    stage.record.save(stage.settings["path"])
    say("done")
