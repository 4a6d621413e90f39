"""Watches sets and pods, and has the sets reconciled that a change concerns. Knows nothing of what
reconciling does."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable, Iterable

from harness.sidecarset import paths
from harness.sidecarset.client import ApiFailure, Client, EventType
from harness.sidecarset.log import Log
from harness.sidecarset.names import Object
from harness.sidecarset.triggers import Triggers, Wake
from harness.sidecarset.workqueue import WorkQueue

RELIST_S = 0.2
"""Pause before a watch that ended is taken up again: the API server may be restarting."""


class Controller:
    """The running controller. Belongs to the event loop that starts it; watches run in daemon threads."""

    def __init__(self, client: Client, reconcile: Callable[[str], None], log: Log) -> None:
        self._client, self._reconcile, self._log = client, reconcile, log
        self._triggers = Triggers()
        self._queue = WorkQueue(self._work)
        self._stopping = threading.Event()
        self._listed: set[str] = set()

    @property
    def ready(self) -> bool:
        """Whether sets and pods have been listed."""
        return len(self._listed) == 2

    def start(self) -> None:
        """Begins to watch."""
        loop = asyncio.get_running_loop()
        triggers = self._triggers
        for path, changed, relisted in (
            (paths.SIDECARSETS, triggers.sidecarset, triggers.relisted_sidecarsets),
            (paths.PODS, triggers.pod, triggers.relisted_pods),
        ):
            arguments = loop, path, changed, relisted
            threading.Thread(target=self._follow, args=arguments, name=f"watch {path}", daemon=True).start()

    async def stop(self) -> None:
        """Ends the work; the watching threads end with the process at the latest."""
        self._stopping.set()
        await self._queue.close()

    def _follow(
        self,
        loop: asyncio.AbstractEventLoop,
        path: str,
        changed: Callable[[EventType, Object], list[Wake]],
        relisted: Callable[[Iterable[Object]], list[Wake]],
    ) -> None:
        while not self._stopping.is_set():
            try:
                listed, version = self._client.listing(path)
                self._post(loop, path, relisted, listed)
                for kind, item in self._client.watch(path, version):
                    self._post(loop, path, changed, kind, item)
            except ApiFailure as failure:
                self._log("watch_interrupted", path=path, error=str(failure))
            self._stopping.wait(RELIST_S)

    def _post(
        self,
        loop: asyncio.AbstractEventLoop,
        path: str,
        judge: Callable[..., list[Wake]],
        *seen: object,
    ) -> None:
        """Hands what a watching thread saw to the loop; dropped when that has ended."""
        if not self._stopping.is_set():
            with contextlib.suppress(RuntimeError):
                loop.call_soon_threadsafe(self._take, path, judge, *seen)

    def _take(self, path: str, judge: Callable[..., list[Wake]], *seen: object) -> None:
        self._listed.add(path)
        for wake in judge(*seen):
            self._queue.add(wake.sidecarset, wake.after_s)

    async def _work(self, name: str) -> None:
        try:
            await asyncio.to_thread(self._reconcile, name)
        except ApiFailure as failure:
            self._log("reconcile_again", sidecarset=name, error=str(failure))
            raise
        except Exception as error:
            self._log("reconcile_failed", sidecarset=name, error=f"{type(error).__name__}: {error}")
            raise
