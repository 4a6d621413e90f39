"""The conditions that a run must meet to pass, or to mean anything, functions of the evidence; `GATES` lists them.

A gate that is not met makes the classes that it concerns inconclusive: nothing passes for want of traffic. It
excuses no failure. A few are of the pods' own making, and fail. Knows nothing of how a verdict is composed.
"""

from __future__ import annotations

from collections.abc import Callable

from harness.record.report import Outcome
from harness.verdict import changes, crossings, ledgers, stalls, volume
from harness.verdict.evidence import Evidence
from harness.verdict.finding import Finding, met
from harness.verdict.phases import DISTURBED
from harness.verdict.requirements import Allowance, Requirements

__all__ = ["GATES", "ZERO_LOSS", "Allowance", "Requirements"]

ZERO_LOSS = "no request failed"


def zero_loss(evidence: Evidence) -> Finding:
    """No request failed, but for those that the scenario allows to."""
    losses = evidence.losses
    observed = f"{len(losses):,} of {evidence.sent:,} requests failed"
    allowed = sum(loss.allowed is not None for loss in losses)
    if allowed:
        observed += f"; {allowed:,} of them as the scenario allows"
    open_ = [loss for loss in losses if loss.allowed is None]
    excused = sum(loss.excused for loss in open_)
    kubelets = sum(loss.of_kubelet for loss in open_)
    if kubelets:
        observed += f"; {kubelets:,} of them by a Service whose pods were in back-off"
    if excused > kubelets:
        observed += f"; {excused - kubelets:,} of them timed out while the load generator could not keep up"
    outcome: Outcome = "passed" if not open_ else "failed" if excused < len(open_) else "inconclusive"
    short = {loss.request.client.traffic_class: "requests failed" for loss in open_}
    required = (
        "0 failed, but for what the scenario allows" if evidence.requirements.allowances else "0 failed"
    )
    return Finding(outcome, required, observed, short)


def failures_in_upgrades(evidence: Evidence) -> Finding | None:
    """The negative control: what a cold upgrade loses, it loses while it upgrades."""
    if evidence.requirements.mode == "hot":
        return None
    outside = [loss for loss in evidence.losses if loss.place.phase not in DISTURBED]
    observed = f"{len(evidence.losses) - len(outside):,} of {len(evidence.losses):,}"
    return Finding(met(bool(evidence.losses) and not outside), "every failure, and at least one", observed)


GATES: tuple[tuple[str, Callable[[Evidence], Finding | None]], ...] = (
    (ZERO_LOSS, zero_loss),
    ("failures lie in the upgrades", failures_in_upgrades),
    ("connections kept", crossings.connections_kept),
    ("latency in each flip", stalls.latency_in_flips),
    ("requests", volume.requests),
    ("requests in each upgrade", volume.requests_in_upgrades),
    ("connections across each flip", crossings.connections_across_flips),
    ("both versions answered", changes.versions_answered),
    ("upgrades settled", changes.upgrades_settled),
    ("nothing changed", changes.nothing_changed),
    ("load generator kept up", ledgers.generator_kept_up),
    ("ledgers complete", ledgers.ledgers_complete),
    ("ledgers agree", ledgers.ledgers_agree),
    ("Locust agrees", ledgers.locust_agrees),
)
"""In the order in which the report shows them. A function that returns None does not apply."""
