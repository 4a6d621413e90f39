"""What this process executed, per client: ranges of sequences, and those that came more than once.

A request id is `<client>-<sequence>`; the sequence follows the last hyphen. Clients count upwards, so the
usual request extends its client's last range: ten million requests cost kilobytes. Knows nothing of HTTP.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping
from typing import Any


def parse(request_id: str) -> tuple[str, int] | None:
    """Client and sequence of a request id; None when it is not of that form."""
    client, hyphen, digits = request_id.rpartition("-")
    if not hyphen or not client or not (digits.isascii() and digits.isdigit()):
        return None
    return client, int(digits)


class Executed:
    """The sequences that one client's requests had, each counted."""

    __slots__ = ("ranges", "times")

    def __init__(self) -> None:
        self.ranges: list[list[int]] = []
        """Inclusive pairs, sorted, disjoint and not adjacent."""
        self.times: dict[int, int] = {}
        """How often a sequence was executed, of those that were executed more than once."""

    def add(self, sequence: int) -> None:
        """Counts one execution."""
        if self.ranges and self.ranges[-1][1] == sequence - 1:
            self.ranges[-1][1] = sequence
            return
        at = bisect_right(self.ranges, sequence, key=lambda pair: pair[0])
        before = self.ranges[at - 1] if at else None
        after = self.ranges[at] if at < len(self.ranges) else None
        if before and sequence <= before[1]:
            self.times[sequence] = self.times.get(sequence, 1) + 1
            return
        joins_before = before is not None and before[1] == sequence - 1
        joins_after = after is not None and after[0] == sequence + 1
        if before and after and joins_before and joins_after:
            before[1] = after[1]
            del self.ranges[at]
        elif before and joins_before:
            before[1] = sequence
        elif after and joins_after:
            after[0] = sequence
        else:
            self.ranges.insert(at, [sequence, sequence])


class Ledger:
    """All executions in this process."""

    def __init__(self, pod: str) -> None:
        self.pod = pod
        self._clients: dict[str, Executed] = {}

    def record(self, request_id: str) -> None:
        """Counts one execution; a request without an id of the known form is nobody's and is left out."""
        parsed = parse(request_id)
        if parsed is None:
            return
        client, sequence = parsed
        executed = self._clients.get(client)
        if executed is None:
            executed = self._clients[client] = Executed()
        executed.add(sequence)

    def restore(self, document: Mapping[str, Any]) -> None:
        """Takes over what a former process of this container executed; only into an empty ledger."""
        for client, ranges in document["executed"].items():
            executed = self._clients[client] = Executed()
            executed.ranges = [list(pair) for pair in ranges]
            executed.times = dict(document["duplicated"].get(client, []))

    def document(self) -> dict[str, object]:
        """The ledger as plain JSON."""
        return {
            "pod": self.pod,
            "executed": {client: executed.ranges for client, executed in self._clients.items()},
            "duplicated": {
                client: sorted(executed.times.items())
                for client, executed in self._clients.items()
                if executed.times
            },
        }
