"""What controllers run on: a queue of names to look at, and watches that feed it.

A name that is told twice before its turn is looked at once. A look that the API refuses is repeated, later
and later. Knows nothing of what a look does.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable

from harness.embedded.seams import Api, ApiError, Object, Resource, WatchEvent

Key = tuple[str, str]  # namespace (or "") and name
FIRST_RETRY_S = 0.05  # a conflict is over at once
LAST_RETRY_S = 10.0  # a webhook that is down takes its time


class WorkQueue:
    """Names to look at, one after the other."""

    def __init__(self) -> None:
        self._due: dict[Key, None] = {}
        self._filled = asyncio.Event()
        self._failures: dict[Key, int] = {}
        self._timers: dict[Key, asyncio.TimerHandle] = {}

    def add(self, key: Key) -> None:
        """Puts a name in line."""
        self._due[key] = None
        self._filled.set()

    def add_in(self, key: Key, seconds: float) -> None:
        """Puts a name in line later. There is one time per name, the earliest."""
        loop = asyncio.get_running_loop()
        timer = self._timers.get(key)
        if timer is None or loop.time() + seconds < timer.when():
            if timer is not None:
                timer.cancel()
            self._timers[key] = loop.call_later(seconds, self._ring, key)

    def _ring(self, key: Key) -> None:
        del self._timers[key]
        self.add(key)

    async def run(self, look: Callable[[Key], Awaitable[float | None]]) -> None:
        """Looks at the names for ever; a look may say in how many seconds the next one is due."""
        while True:
            await self._filled.wait()
            key = next(iter(self._due))
            del self._due[key]
            if not self._due:
                self._filled.clear()
            try:
                again = await look(key)
            except ApiError:
                failures = self._failures[key] = self._failures.get(key, 0) + 1
                again = min(FIRST_RETRY_S * 2.0 ** (failures - 1), LAST_RETRY_S)
            else:
                self._failures.pop(key, None)
            if again is not None:
                self.add_in(key, again)


def key_of(body: Object) -> Key:
    """An object's name for a queue."""
    return body["metadata"].get("namespace", ""), body["metadata"]["name"]


def itself(event: WatchEvent) -> Iterable[Key]:
    """The keys of an event: the object's own."""
    return (key_of(event.object),)


async def feed(
    api: Api, resource: Resource, queue: WorkQueue, keys: Callable[[WatchEvent], Iterable[Key]] = itself
) -> None:
    """Puts in line what each event about a resource concerns."""
    async for event in api.watch(resource):
        if event.type != "SYNCED":
            for key in keys(event):
                queue.add(key)
