"""What was seen of one scenario so far, and the verdict that is made of it. Knows nothing of how it was seen."""

from __future__ import annotations

import time
from dataclasses import dataclass, field, replace

from harness.errors import HotupgradeError
from harness.record.ledger import AppLedger, LoadLedger
from harness.record.report import ClockOffset, Fault, Gate, LogLine, Outcome, Scenario
from harness.scenarios.catalogue import Turn
from harness.upgrade.driver import UpgradeTimeout
from harness.upgrade.history import History
from harness.verdict import judge
from harness.verdict.requirements import UNANSWERED, Allowance, Requirements


@dataclass
class Act:
    """A scenario being played. Complete or not, the verdict is made of it.

    `image` is what works now, in the reference that the cluster was given; `locust_requests` has one number for
    each lap; `unspoken` maps classes that the sidecar does not speak to how that was seen; `problems` says in
    words which parts of the load generator were lost; `gone` are the pods that the scenario took away.
    """

    turn: Turn
    requirements: Requirements
    image: str
    upgrades: History = field(default_factory=History)
    loads: list[LoadLedger] = field(default_factory=list)
    apps: dict[str, AppLedger | None] = field(default_factory=dict)
    locust_requests: list[int | None] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)
    checks: list[Gate] = field(default_factory=list)
    logs: list[LogLine] = field(default_factory=list)
    clocks: list[ClockOffset] = field(default_factory=list)
    unspoken: dict[str, str] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)
    gone: set[str] = field(default_factory=set)
    skipped: str = ""
    error: BaseException | None = None

    def fault(self, name: str, pod: str | None = None, detail: str = "") -> None:
        """Something is done to the pods or the cluster now."""
        self.faults.append(Fault(at=time.time(), name=name, pod=pod, detail=detail))

    def check(self, name: str, required: str, observed: str, outcome: Outcome) -> None:
        """A condition that a step of the scenario saw met, or not."""
        self.checks.append(Gate(name=name, outcome=outcome, required=required, observed=observed))

    def verdict(self) -> Scenario:
        """The scenario's part of the report."""
        scenario = self.turn.scenario
        if self.skipped:
            return Scenario(
                name=scenario.name,
                description=scenario.description,
                profile=scenario.profile,
                repetition=self.turn.repetition,
                outcome="skipped",
                reason=self.skipped,
            )
        judged = judge.judge(
            scenario.name,
            self.upgrades,
            self.loads,
            self.apps,
            replace(
                self.requirements,
                allowances=self._allowances(),
                skipped_classes=self.unspoken,
                checks=self.checks,
                faults=self.faults,
                gone=frozenset(self.gone),
            ),
            self._locust(),
            logs=self.logs,
            clocks=self.clocks,
        )
        outcome, reason = self._outcome(judged)
        return judged.model_copy(
            update={
                "outcome": outcome,
                "reason": reason,
                "repetition": self.turn.repetition,
                "allowance": scenario.allowed.why if scenario.allowed else None,
            }
        )

    def _locust(self) -> int | None:
        counted = [count for count in self.locust_requests if count is not None]
        return sum(counted) if counted and len(counted) == len(self.locust_requests) else None

    def _allowances(self) -> list[Allowance]:
        allowed = self.turn.scenario.allowed
        if allowed is None:
            return []
        return [
            Allowance(
                why=allowed.why,
                kinds=allowed.kinds,
                fates=UNANSWERED | ({"errors"} if "status" in allowed.kinds else set()),
                pods=None if allowed.everywhere or fault.pod is None else frozenset({fault.pod}),
                start=fault.at,
                end=fault.at + allowed.within_s,
            )
            for fault in self.faults
        ]

    def _outcome(self, judged: Scenario) -> tuple[Outcome, str | None]:
        """What it comes to when something ended it early; failures that were seen by then stay in the record."""
        lost = "; ".join(self.problems)
        if self.error is None and not lost:
            return judged.outcome, judged.reason
        if judged.outcome == "failed":
            return "failed", judged.reason
        if isinstance(self.error, UpgradeTimeout) and self.error.of_sidecar:
            return "failed", str(self.error)
        if isinstance(self.error, HotupgradeError):
            return "inconclusive", str(self.error)  # all lines: events and logs
        if isinstance(self.error, Exception):
            return "inconclusive", f"{type(self.error).__name__}: {self.error}"
        if self.error is not None:
            return "interrupted", "ended by a signal"
        return "inconclusive", lost
