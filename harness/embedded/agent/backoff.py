"""How long a key has to wait before its next try: doubles from try to try, forgotten after a long quiet time.

Knows nothing of containers and images, and no clock: the caller says what time it is.
"""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass

FIRST_S = 10.0  # the kubelet's first delay, of crash loops and of pulls
LIMIT_S = 300.0  # and its longest
FORGET_S = 2 * LIMIT_S  # a container that ran this long starts afresh


@dataclass
class _Entry:
    period: float
    counted: float


class Backoff:
    """Delays per key. The first try is free; each counted try lengthens the delay before the next."""

    def __init__(self) -> None:
        self._entries: dict[Hashable, _Entry] = {}

    def remaining(self, key: Hashable, since: float, now: float) -> float:
        """Seconds to wait still, where `since` is the end of the try before; 0 when there is nothing to
        wait for."""
        entry = self._entries.get(key)
        if entry is None or since - entry.counted > FORGET_S:
            return 0.0
        return max(0.0, since + entry.period - now)

    def count(self, key: Hashable, since: float, now: float) -> None:
        """Counts a try that is made now."""
        entry = self._entries.get(key)
        if entry is None or since - entry.counted > FORGET_S:
            self._entries[key] = _Entry(FIRST_S, now)
        else:
            self._entries[key] = _Entry(min(2 * entry.period, LIMIT_S), now)

    def period(self, key: Hashable) -> float:
        """The delay that holds for the key, for messages."""
        entry = self._entries.get(key)
        return entry.period if entry else FIRST_S
