"""What one class did to one pod, slot of time by slot, in columns. Knows nothing of who counts and who judges.

Half an hour has hundreds of thousands of slots and millions of latencies; as objects they would take gigabytes.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left, bisect_right
from functools import cached_property
from itertools import accumulate
from typing import Self

from pydantic import Field, model_validator

from harness.record.base import Record
from harness.record.columns import Codes, Column

SLOTS_A_SECOND = 10
SLOT_S = 1 / SLOTS_A_SECOND
COUNTS = ("sent", "answered", "failed", "ended", "opened", "cut")


class Series(Record):
    """Counts in slots of SLOT_S seconds without a gap, by intended send time (`ended`, `versions`: by end)."""

    traffic_class: str = Field(alias="class")
    pod: str
    first: int = Field(description="number of the first slot since the epoch, by the clock of who counted")
    sent: Column
    answered: Column = Field(description="right answers to requests that were sent in the slot")
    failed: Column
    ended: Column = Field(description="requests that ended in the slot, well or not, whenever they were sent")
    opened: Column = Field(description="connections")
    cut: Column = Field(description="connections that the server ended, told or not")
    versions: dict[str, Column] = Field(description="version header -> answers")
    latencies: Codes = Field(
        description="from the intended send time; as many for each slot as it has `answered`"
    )
    ahead_s: float = Field(default=0.0, description="how far that clock is ahead of the harness's")

    @model_validator(mode="after")
    def _fit(self) -> Self:
        columns = [*(getattr(self, name) for name in COUNTS), *self.versions.values()]
        if not self.sent:
            raise ValueError("a series without a slot")
        if any(len(column) != len(self.sent) for column in columns):
            raise ValueError("columns differ in length")
        if sum(self.answered) != len(self.latencies):
            raise ValueError("there are not as many latencies as answers")
        return self

    @property
    def length(self) -> int:
        """How many slots there are."""
        return len(self.sent)

    def time(self, index: int) -> float:
        """When a slot starts, in Unix seconds by the harness's clock."""
        return (self.first + index) / SLOTS_A_SECOND - self.ahead_s

    @property
    def last(self) -> float:
        """When the last slot starts."""
        return self.time(self.length - 1)

    def since(self, moment: float) -> int:
        """The first slot that starts at a moment or later."""
        return bisect_left(range(self.length), moment, key=self.time)

    def after(self, moment: float) -> int:
        """The first slot that starts later than a moment."""
        return bisect_right(range(self.length), moment, key=self.time)

    def touching(self, start: float, end: float) -> range:
        """The slots that share a moment with a stretch of time."""
        first = self.after(start - SLOT_S)
        return range(first, max(first, self.since(end)))

    def latencies_of(self, slots: range) -> array[int]:
        """The codes of all latencies in some slots that follow each other."""
        return self.latencies[self.before[slots.start] : self.before[slots.stop]]

    @cached_property
    def before(self) -> array[int]:
        """For each slot, and at the end: how many answers there are before it."""
        return array("I", accumulate(self.answered, initial=0))
