"""The verdict: ledgers and upgrades in, a scenario out. Pure; knows nothing of where they came from.

A class fails if one of its requests failed that nothing allows or excuses (`evidence.Loss.counts`), or if it broke a
promise; it is inconclusive if a gate that concerns it is not met, else it passes. A scenario fails if one of its
classes or gates does; a real loss outranks a want of traffic.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from harness.record.ledger import SERVICE, AppLedger, LoadLedger
from harness.record.report import ClockOffset, Gate, LogLine, Outcome, Scenario, Traffic
from harness.record.upgrade import Upgrade
from harness.verdict import allowances, failures, results
from harness.verdict.claim import claim
from harness.verdict.clocks import Clocks
from harness.verdict.conformance import profile
from harness.verdict.evidence import Evidence, Loss, pods_of
from harness.verdict.gates import GATES, ZERO_LOSS, Requirements
from harness.verdict.phases import Phases
from harness.verdict.ranking import worst
from harness.verdict.reconcile import Failed, reconcile
from harness.verdict.thinning import thin, thinned
from harness.verdict.timeline import timeline

__all__ = ["claim", "judge", "overall", "profile"]

CONNECT_S = 5.0  # as long as a client tries to connect


def judge(
    name: str,
    upgrades: Sequence[Upgrade],
    loads: Sequence[LoadLedger],
    apps: Mapping[str, AppLedger | None],
    requirements: Requirements,
    locust_requests: int | None = None,
    *,
    logs: Sequence[LogLine] = (),
    clocks: Sequence[ClockOffset] = (),
) -> Scenario:
    """One scenario's verdict, with everything that it rests on.

    `logs` is what containers wrote, `clocks` the offsets of the clocks by which the ledgers were kept.
    """
    evidence = _evidence(upgrades, loads, apps, requirements, locust_requests, Clocks(clocks))
    findings = {gate: finding for gate, check in GATES if (finding := check(evidence)) is not None}
    classes = results.results(evidence, findings)
    gates = [finding.gate(gate) for gate, finding in findings.items()] + list(requirements.checks)
    outcomes = [result.outcome for result in classes.values()]
    outcomes += [gate.outcome for gate in gates if gate.outcome != "skipped"]
    kept, notes = thinned(upgrades, {loss.place.upgrade for loss in evidence.losses})
    return Scenario(
        name=name,
        description=requirements.description,
        profile=requirements.profile,
        outcome=worst(outcomes),
        reason=_reason(worst(outcomes), evidence.losses, gates),
        allowance=allowances.words(requirements.allowances),
        upgrades=kept,
        faults=list(requirements.faults),
        traffic=_sum(list(evidence.reconciled.classes.values())),
        classes=classes,
        gates=gates,
        failures=failures.rows(evidence.losses, logs),
        timeline=timeline(evidence.series, evidence.losses),
        notes=notes,
    )


def overall(scenarios: Sequence[Scenario]) -> Outcome:
    """The outcome of a run; of nothing at all: inconclusive."""
    return worst([scenario.outcome for scenario in scenarios])


def _evidence(
    upgrades: Sequence[Upgrade],
    ledgers: Sequence[LoadLedger],
    apps: Mapping[str, AppLedger | None],
    requirements: Requirements,
    locust_requests: int | None,
    clocks: Clocks,
) -> Evidence:
    loads = [clocks.corrected(ledger) for ledger in ledgers]
    placed = [thin(upgrade) for upgrade in upgrades]
    phases = Phases(placed)
    reconciled = reconcile(loads, apps)
    losses = [_loss(phases, one, clocks.uncertainty_s(one.worker)) for one in reconciled.failed]
    return Evidence(
        upgrades=placed,
        loads=loads,
        reconciled=reconciled,
        losses=allowances.allow(losses, requirements.allowances),
        requirements=requirements,
        phases=phases,
        allowed_closes=allowances.closes(loads, requirements.allowances),
        locust_requests=locust_requests,
    )


def _loss(phases: Phases, failed: Failed, uncertainty_s: float) -> Loss:
    """Of what went to the Service any pod may be to blame; a client that is late sends long after the intended time."""
    service = failed.client.pod == SERVICE
    sent = max(failed.at, failed.ended - CONNECT_S) if service else failed.at
    pods = None if service else pods_of(failed.client)
    return Loss(
        request=failed,
        place=phases.during_any(sent, failed.ended, pods),
        without_endpoints=service and phases.without_endpoints(sent, failed.ended),
        in_doubt=phases.in_doubt(sent, failed.ended, pods, uncertainty_s),
    )


def _reason(outcome: Outcome, losses: Sequence[Loss], gates: Sequence[Gate]) -> str | None:
    """What failed, losses first; else what is not known."""
    lost = any(loss.counts for loss in losses)
    said = [results.words(losses)] if lost else []
    blamed = "failed" if outcome == "failed" else "inconclusive"
    said += [
        f"{gate.name}: {gate.observed}"
        for gate in gates
        if gate.outcome == blamed and not (gate.name == ZERO_LOSS and lost)
    ]
    return "; ".join(said) or None


def _sum(parts: Sequence[Traffic]) -> Traffic:
    return Traffic(**{field: sum(getattr(part, field) for part in parts) for field in Traffic.model_fields})
