"""What one class did to one pod, slot of time by slot: a column for each count, and every latency in two bytes.

So millions of requests take a few bytes each. Knows nothing of clients and connections.
"""

from __future__ import annotations

from array import array
from base64 import b64encode
from bisect import insort
from itertools import chain

SLOT_S = 0.1
COUNTS = ("sent", "answered", "failed", "ended", "opened", "cut")


class Series:
    """Slots without a gap, from that of the first event to that of the last.

    `first` is the first slot's number since the epoch. `latencies` are codes of as many latencies for each slot as
    were `answered` of its requests, slot after slot, in rising order within one.
    """

    __slots__ = ("counts", "first", "latencies", "versions")

    def __init__(self) -> None:
        self.first = 0
        self.counts = {name: array("I") for name in COUNTS}
        self.versions: dict[str, array[int]] = {}
        self.latencies = array("H")

    def __len__(self) -> int:
        return len(self.counts["sent"])

    def count(self, what: str, when: float) -> None:
        """One more of it in the slot of a Unix time."""
        index = self._at(when)
        self.counts[what][index] += 1

    def answered(self, intended: float, ended: float, version: str | None) -> None:
        """A right answer: its latency counts in the slot of its intended time, its version in that of its end."""
        index, end_index = self._at(intended), self._at(ended)
        answered = self.counts["answered"]
        later = sum(answered[index + 1 :])  # a few slots, but for a request that takes long
        end_of_slot = len(self.latencies) - later
        latency = code(int((ended - intended) * 1e6))
        insort(self.latencies, latency, end_of_slot - answered[index], end_of_slot)
        answered[index] += 1
        self.counts["ended"][end_index] += 1
        if version is not None:
            if version not in self.versions:
                self.versions[version] = _zeros(len(self))
            self.versions[version][end_index] += 1

    def since(self, when: float) -> Series:
        """The slots from a Unix time on."""
        past = min(max(int(when / SLOT_S) - self.first, 0), len(self))
        rest = Series()
        rest.first = self.first + past
        rest.counts = {name: column[past:] for name, column in self.counts.items()}
        rest.versions = {version: column[past:] for version, column in self.versions.items()}
        rest.latencies = self.latencies[sum(self.counts["answered"][:past]) :]
        return rest

    def document(self) -> dict[str, object]:
        """As plain JSON; a column is the base64 of its numbers."""
        return {
            "first": self.first,
            **{name: _packed(column) for name, column in self.counts.items()},
            "versions": {version: _packed(column) for version, column in self.versions.items()},
            "latencies": _packed(self.latencies),
        }

    def _at(self, when: float) -> int:
        """The index of the slot of a Unix time, which is there from now on, and those up to it."""
        number, size = int(when / SLOT_S), len(self.counts["sent"])
        if not size:
            self.first = number
        index = number - self.first
        if 0 <= index < size:
            return index
        for column in chain(self.counts.values(), self.versions.values()):
            if index < 0:
                column[:0] = _zeros(-index)
            else:
                column.extend(_zeros(index + 1 - size))
        self.first = min(self.first, number)
        return max(index, 0)


def code(microseconds: int) -> int:
    """A latency in two bytes, rounded up to three significant digits: at most 1 % too high, and codes rise with it.

    Its digits, and 900 for each digit that was left out: 999 is 999, 1,000 is 100 + 900, 1,010 is 101 + 900.
    """
    left_out = 0
    while microseconds > 999:
        microseconds = -(-microseconds // 10)
        left_out += 900
    return microseconds + left_out


def _zeros(count: int) -> array[int]:
    return array("I", bytes(4 * count))


def _packed(column: array[int]) -> str:
    """Little-endian on every machine that this runs on."""
    return b64encode(column).decode()
