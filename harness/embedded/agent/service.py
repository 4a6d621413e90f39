"""The agent as a service of its node: one agent runs, and another takes its place when it is restarted.

What the machine has of the pods is handed on; nothing else is. Knows nothing of what an agent does.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence

from harness.embedded.agent.agent import NodeAgent
from harness.embedded.agent.records import Records
from harness.embedded.seams import ApiError, LogOptions, Session

AWAY_S = 1.0  # from the end of one agent to the start of the next; a kubelet needs about as long to come up


class AgentService:
    """Runs agents made by `make`, one at a time. It is the API server's `seams.Node`."""

    def __init__(self, make: Callable[[Records], NodeAgent]) -> None:
        self._make, self._records = make, Records()
        self._agent = make(self._records)
        self._work: asyncio.Task[None] | None = None

    async def run(self) -> None:
        """Works until cancelled; an agent's error ends it."""
        while True:
            self._work = asyncio.create_task(self._agent.run())
            try:
                await asyncio.wait({self._work})
            finally:
                self._work.cancel()
                await asyncio.gather(self._work, return_exceptions=True)
            if not self._work.cancelled():
                self._work.result()
            await asyncio.sleep(AWAY_S)

    async def restart(self) -> None:
        """Ends the agent where it stands, unless one is coming up already; returns when the next has seen every pod."""
        if self._work is not None and self._agent.synced.is_set():
            self._agent = self._make(self._records)
            self._work.cancel()
        await self._agent.synced.wait()

    def logs(self, namespace: str, pod: str, container: str, options: LogOptions) -> AsyncIterator[bytes]:
        """The log's bytes; ApiError 503 while no agent is there."""
        return self._working().node.logs(namespace, pod, container, options)

    async def exec(
        self, namespace: str, pod: str, container: str, command: Sequence[str], *, stdin: bool, tty: bool
    ) -> Session:
        """Starts a command; ApiError 503 while no agent is there."""
        return await self._working().node.exec(namespace, pod, container, command, stdin=stdin, tty=tty)

    def _working(self) -> NodeAgent:
        if not self._agent.synced.is_set():
            raise ApiError(503, "ServiceUnavailable", "the node's agent is being started; try again")
        return self._agent
