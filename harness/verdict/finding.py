"""What a gate found. Knows nothing of evidence."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from harness.record.report import Gate, Outcome

SHOWN = 3  # examples in a gate's text; a gate is a line, not a list


@dataclass(frozen=True)
class Finding:
    """What a gate found. `classes` maps those concerned to what each lacks; empty: it concerns them all."""

    outcome: Outcome
    required: str
    observed: str
    classes: Mapping[str, str] = field(default_factory=dict)

    def gate(self, name: str) -> Gate:
        """The row of the report."""
        return Gate(name=name, outcome=self.outcome, required=self.required, observed=self.observed)


def met(condition: bool) -> Outcome:
    """The outcome of a condition without which a run means nothing: whether it is met."""
    return "passed" if condition else "inconclusive"


def some(items: Iterable[str]) -> str:
    """The first few of them, and how many more there are."""
    listed = list(items)
    more = f" and {len(listed) - SHOWN} more" if len(listed) > SHOWN else ""
    return ", ".join(listed[:SHOWN]) + more
