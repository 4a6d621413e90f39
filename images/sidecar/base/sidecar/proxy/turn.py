"""What the connections have read in one turn of the loop, handled together after the last read.

Reading, handling and writing one after the other for each connection would have the kernel and the interpreter drive
each other out of the processor's caches: the same work takes a fifth more of its time. Only short pieces wait, and
never beyond the turn; what waits stays with its connection, which can be packed, paused or ended at any time.
"""

from __future__ import annotations

import asyncio
from typing import Protocol

SHORT = 16384  # bytes; more is handled as it comes, so that a connection that has to wait reads no further


class Reader(Protocol):
    """A connection that has read something."""

    transport: asyncio.Transport

    def catch_up(self) -> None:
        """Handles what was read and is not handled; there may be nothing."""


class Turn:
    """The connections that have to catch up. To add one: append it, then `begin` if that was not done."""

    __slots__ = ("_loop", "answers", "begun", "requests")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self.begun = False
        # Answers come first: they free connections to the application, which requests can take then.
        self.answers: list[Reader] = []
        self.requests: list[Reader] = []

    def begin(self) -> None:
        """All catch up when everything that is there has been read."""
        self.begun = True
        self._loop.call_soon(self.catch_up)

    def catch_up(self) -> None:
        """All catch up now. One that fails ends, as it would if the loop had called it."""
        self.begun = False
        answers, self.answers = self.answers, []
        requests, self.requests = self.requests, []
        for readers in (answers, requests):
            for reader in readers:
                try:
                    reader.catch_up()
                except Exception as error:
                    self._loop.call_exception_handler({"message": "a connection failed", "exception": error})
                    reader.transport.abort()
