"""Writes one pod's status whenever it differs from what the API has. Knows nothing of what the status says.

Writing happens beside the pod's passes. Several reports may become one write; the newest always gets out.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from harness.embedded.agent.status import merge_status
from harness.embedded.seams import PODS, Api, ApiError, Object


class StatusPublisher:
    """Keeps the API's status of one pod equal to the newest report."""

    def __init__(self, api: Api, namespace: str, name: str, uid: str, clock: Callable[[], float]) -> None:
        self._api, self._namespace, self._name, self._uid, self._clock = api, namespace, name, uid, clock
        self._wanted: Object = {}
        self._due, self._done = asyncio.Event(), asyncio.Event()
        self._done.set()

    def publish(self, own: Object) -> None:
        """Reports the agent's part of the status."""
        self._wanted = own
        self._due.set()
        self._done.clear()

    async def flushed(self) -> None:
        """Returns when everything reported so far is written."""
        await self._done.wait()

    async def run(self) -> None:
        """Writes reports until the pod is gone or it is cancelled."""
        gone = False
        while True:
            await self._due.wait()
            self._due.clear()
            wanted = self._wanted
            while not gone:
                try:
                    gone = not await self._write(wanted)
                    break
                except ApiError as error:
                    if error.code == 404:
                        gone = True
                    elif error.code != 409:
                        raise
                    wanted = self._wanted
            if not self._due.is_set():
                self._done.set()

    async def _write(self, own: Object) -> bool:
        """Whether the pod is still there."""
        pod = await self._api.get(PODS, self._name, self._namespace)
        if pod["metadata"]["uid"] != self._uid:
            return False
        status = merge_status(pod, own, self._clock())
        if status != pod.get("status"):
            await self._api.update(PODS, {**pod, "status": status}, subresource="status")
        return True
