"""What became of this process's hand-overs, on either side: what the lines of its log say, kept.

Knows nothing of connections, frames or who asks.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Callable
from typing import Any, NamedTuple

SIDES = PREDECESSOR, SUCCESSOR = "predecessor", "successor"
# Resumed: the successor was lost or gave back after the commit, so that the predecessor serves again.
OUTCOMES = COMMITTED, ABORTED, RESUMED = "committed", "aborted", "resumed"
BOUNDS_S = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)  # of the histogram's buckets
# What lines hold beside what happened.
_HEADER = frozenset({"time", "monotonic", "event", "release", "version", "role"})


class Handover(NamedTuple):
    """One hand-over. Seconds are None as long as what they measure has not come to its end."""

    began: float  # monotonic
    time: float  # of the last change, since the epoch
    outcome: str = ""
    seconds: float | None = None  # from request (predecessor) or offer (successor) to commit
    drain_seconds: float | None = None  # from the commit until the predecessor had drained, or was gone
    reason: str = ""  # why it was aborted
    counts: dict[str, Any] | None = None  # of the drain


class Record:
    """The last hand-over on each side, and how all of them went."""

    def __init__(self) -> None:
        self.last: dict[str, Handover] = {}
        self.outcomes: Counter[tuple[str, str]] = Counter()  # side, outcome
        self.buckets = {side: [0] * (len(BOUNDS_S) + 1) for side in SIDES}
        self.seconds = dict.fromkeys(SIDES, 0.0)  # of all that were committed
        self._side = ""  # of the hand-over under way; there is one at most

    def heard(self, line: dict[str, Any]) -> None:
        """A line of the log."""
        note = _NOTES.get(line["event"])
        if note is not None:
            note(self, line)

    def document(self) -> dict[str, Any]:
        """For people and programs: `as_predecessor` and `as_successor`, None if it never was; `outcomes`."""
        found: dict[str, Any] = {}
        for side in SIDES:
            last = self.last.get(side)
            found[f"as_{side}"] = last and {key: of for key, of in last._asdict().items() if key != "began"}
        found["outcomes"] = {side: {what: self.outcomes[side, what] for what in OUTCOMES} for side in SIDES}
        return found

    def _begin(self, side: str, line: dict[str, Any]) -> None:
        self._side = side
        self.last[side] = Handover(line["monotonic"], line["time"])

    def _commit(self, line: dict[str, Any]) -> None:
        side = self._under_way(line)
        seconds = line["monotonic"] - self.last[side].began
        self.buckets[side][bisect_left(BOUNDS_S, seconds)] += 1
        self.seconds[side] += seconds
        self._end(side, COMMITTED, line, seconds=seconds)

    def _abort(self, line: dict[str, Any]) -> None:
        self._end(self._under_way(line), ABORTED, line, reason=str(line.get("reason", "")))

    def _resume(self, line: dict[str, Any]) -> None:
        if PREDECESSOR in self.last:
            self._end(PREDECESSOR, RESUMED, line)

    def _under_way(self, line: dict[str, Any]) -> str:
        """The side of this hand-over, which may be news: what is refused at once was never begun."""
        if not self._side:
            self._begin(SUCCESSOR if line["role"] == SUCCESSOR else PREDECESSOR, line)
        return self._side

    def _end(self, side: str, outcome: str, line: dict[str, Any], **what: Any) -> None:
        self._side = ""
        self.outcomes[side, outcome] += 1
        self.last[side] = self.last[side]._replace(outcome=outcome, time=line["time"], **what)

    def _drained(self, side: str, line: dict[str, Any]) -> None:
        last = self.last.get(side)
        if last is None or last.seconds is None:
            return
        self.last[side] = last._replace(
            time=line["time"],
            drain_seconds=line["monotonic"] - last.began - last.seconds,
            counts={name: value for name, value in line.items() if name not in _HEADER},
        )


_NOTES: dict[str, Callable[[Record, dict[str, Any]], None]] = {
    "handover_requested": lambda record, line: record._begin(PREDECESSOR, line),
    "listener_received": lambda record, line: record._begin(SUCCESSOR, line),
    "commit": Record._commit,
    "handover_aborted": Record._abort,
    "resumed": Record._resume,
    "drained": lambda record, line: record._drained(PREDECESSOR, line),
    "predecessor_drained": lambda record, line: record._drained(SUCCESSOR, line),
    "predecessor_gone": lambda record, line: record._drained(SUCCESSOR, line),
}
