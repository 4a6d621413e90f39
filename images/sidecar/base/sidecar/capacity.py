"""How many connections there may be at a time. Knows nothing of sockets.

Who accepts waits here while there is no room: what is not accepted stays in the kernel's queue, where nothing
is refused or reset.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable


class Capacity:
    """`present` counts the connections that there are; whoever ends one calls `freed`."""

    def __init__(self, most: int, present: Callable[[], int]) -> None:
        self.most, self._present = most, present
        self.pauses: Counter[str] = Counter()  # how often accepting stopped, by what had run out
        self._waiting: set[Callable[[], None]] = set()

    def full(self) -> bool:
        """Whether one more would be too many."""
        return self._present() >= self.most

    def wait(self, go_on: Callable[[], None]) -> None:
        """Has `go_on` called once, when there is room."""
        self._waiting.add(go_on)

    def forget(self, go_on: Callable[[], None]) -> None:
        """Does not call it any more."""
        self._waiting.discard(go_on)

    def freed(self) -> None:
        """A connection has ended."""
        if self._waiting and not self.full():
            waiting, self._waiting = self._waiting, set()
            for go_on in waiting:
                go_on()
