"""Runs the work for each key one at a time, once more when the key was added meanwhile, again when it failed.

Knows nothing of what the work is.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

FIRST_RETRY_S = 0.05
"""Most failures are conflicts with a kubelet's write: the next attempt reads anew."""
LAST_RETRY_S = 30.0
"""An API server that is gone is asked no more often than this."""


class WorkQueue:
    """Level-triggered: many additions of a key while it waits are one. Belongs to one event loop."""

    def __init__(self, work: Callable[[str], Awaitable[None]], workers: int = 3) -> None:
        self._work = work
        self._slots = asyncio.Semaphore(workers)
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._wanted: set[str] = set()
        self._timers: dict[tuple[str, float], asyncio.TimerHandle] = {}
        self._retry_s: dict[str, float] = {}

    def add(self, key: str, after_s: float = 0.0) -> None:
        """Work for that key is due, at once or after a while."""
        loop = asyncio.get_running_loop()
        if after_s > 0:
            due = loop.time() + after_s
            self._timers[key, due] = loop.call_at(due, self._due, key, due)
            return
        self._wanted.add(key)
        if key not in self._tasks:
            self._tasks[key] = loop.create_task(self._run(key))

    async def close(self) -> None:
        """Drops what waits and cancels what runs."""
        for timer in self._timers.values():
            timer.cancel()
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _due(self, key: str, due: float) -> None:
        del self._timers[key, due]
        self.add(key)

    async def _run(self, key: str) -> None:
        try:
            while key in self._wanted:
                async with self._slots:
                    self._wanted.discard(key)
                    try:
                        await self._work(key)
                    except Exception:
                        self._retry(key)
                    else:
                        self._retry_s.pop(key, None)
        finally:
            del self._tasks[key]

    def _retry(self, key: str) -> None:
        delay = self._retry_s.get(key, FIRST_RETRY_S)
        self._retry_s[key] = min(delay * 2, LAST_RETRY_S)
        self.add(key, delay)
