"""What happened to connections, in plain numbers. Knows nothing of who reads them.

Counting costs one addition; everything that can be computed from what is there is left to the reader.
"""

from __future__ import annotations

from collections import Counter


class Tally:
    """Since the process started."""

    def __init__(self) -> None:
        self.accepted = 0
        self.moved_in = 0
        self.moved_out = 0
        self.told = 0  # to close, because of a drain; of connections that have ended
        self.drained: Counter[str] = Counter()  # how connections went, in drains that are over
        self.errors: Counter[str] = Counter()  # answers of the sidecar's own, by x-sidecar-error
        self.connects = 0  # to applications
        self.failed_connects = 0
