"""What a scenario has to have seen, and what it allows to be lost. Knows nothing of what was seen."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from harness.record.ledger import FailureKind
from harness.record.report import Fault, Gate, ProfileName
from harness.verdict.budgets import BUDGETS, Budget
from harness.verdict.reconcile import FailedFate

Expected = Literal["settled", "nothing", "any"]
"""settled: as many upgrades as were asked for come to their end; nothing: no pod may change;
any: the scenario judges by its own checks."""

UNANSWERED: frozenset[FailedFate] = frozenset({"lost", "executed_unanswered"})


@dataclass(frozen=True)
class Allowance:
    """Requests that may fail, and connections that may be closed, because of what the scenario itself does.

    `why` is for the report. A request is covered if it was under way between `start` and `end` (Unix seconds) and
    ended by then, or soon after. `kinds` is what its client saw, `pods` whom it went to or through; None: any.
    `most` is how many requests are covered: further ones fail. What no fault excuses (wrong, altered or repeated
    answers) is covered only where `fates` names it.
    """

    why: str
    start: float
    end: float
    kinds: frozenset[FailureKind] | None = None
    fates: frozenset[FailedFate] = UNANSWERED
    pods: frozenset[str] | None = None
    most: int | None = None


@dataclass(frozen=True)
class Requirements:
    """What a scenario has to have seen. `alternates` are the images that it goes through, in their order.

    A workload of the user's own keeps no ledger: without `app_ledger` nobody knows what was executed.
    `skipped_classes` says why a class was left out; it is shown and not required. `keeps_connections` are the classes
    that promise that the server closes no idle connection without a word. `checks` is what the scenario's own steps
    found. Without a `budget` its profile's holds.
    """

    min_requests: int
    upgrades: int
    pods: int
    classes: Sequence[str]
    version_header: str | None
    alternates: Sequence[str] = ()
    min_per_class_per_upgrade: int = 100
    mode: Literal["hot", "cold"] = "hot"
    app_ledger: bool = True
    profile: ProfileName = "core"
    description: str = ""
    allowances: Sequence[Allowance] = ()
    faults: Sequence[Fault] = ()
    skipped_classes: Mapping[str, str] = field(default_factory=dict)
    expects: Expected = "settled"
    checks: Sequence[Gate] = ()
    budget: Budget | None = None
    keeps_connections: Sequence[str] = ()
    gone: frozenset[str] = frozenset()
    """Pods that the scenario took away, and their ledgers with them."""
    to_the_limit: bool = False
    """The load grows until something gives way, be it the load generator."""

    @property
    def required(self) -> list[str]:
        """The classes that have to be there."""
        return [name for name in self.classes if name not in self.skipped_classes]

    @property
    def latency_budget(self) -> Budget | None:
        """What holds; None: nothing."""
        return self.budget or BUDGETS[self.profile]
