"""The verdict: ledgers and upgrades in, a scenario out. Pure; knows nothing of where they came from.

A class fails if one of its requests failed and the machine is not to blame (`gates.Loss.excused`), is
inconclusive if a gate that concerns it is not met, else it passes. A scenario fails if one of its classes
does; a real loss outranks a want of traffic.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from harness.record.ledger import SERVICE, SLOT_S, AppLedger, LoadLedger, Slot
from harness.record.report import (
    Claim,
    ClassResult,
    Failure,
    Outcome,
    Point,
    Profile,
    ProfileResult,
    Scenario,
    Traffic,
)
from harness.record.upgrade import Upgrade
from harness.verdict import latency
from harness.verdict.claim import upper_bound
from harness.verdict.gates import GATES, Evidence, Finding, Loss, Requirements
from harness.verdict.phases import Phases
from harness.verdict.reconcile import Failed, reconcile

OUTRANKS: tuple[Outcome, ...] = ("interrupted", "failed", "inconclusive", "passed", "skipped")
"""The first of these that any part has is the outcome of the whole."""
LASTING = ("stream",)
"""Classes whose requests last by design: their latencies would hide all others' in a percentile over all classes."""
CONNECT_S = 5.0  # as long as a client tries to connect
NEARLY = 1e-3  # of a slot: slots start at multiples of SLOT_S, which a float of Unix seconds holds to 1e-5


def judge(
    name: str,
    upgrades: Sequence[Upgrade],
    loads: Sequence[LoadLedger],
    apps: Mapping[str, AppLedger | None],
    requirements: Requirements,
    locust_requests: int | None = None,
) -> Scenario:
    """One scenario's verdict, with everything that it rests on."""
    reconciled = reconcile(loads, apps)
    phases = Phases(upgrades)
    losses = [_loss(phases, one) for one in reconciled.failed]
    evidence = Evidence(upgrades, loads, reconciled, losses, requirements, locust_requests)
    findings = {gate: finding for gate, check in GATES if (finding := check(evidence)) is not None}
    names = dict.fromkeys([*requirements.classes, *reconciled.classes])
    classes = {name: _class_result(name, evidence, findings) for name in names}
    outcome = _worst([*(result.outcome for result in classes.values()), *_outcomes(findings)])
    return Scenario(
        name=name,
        outcome=outcome,
        reason=_reason(outcome, losses, findings),
        upgrades=list(upgrades),
        traffic=_sum(list(reconciled.classes.values())),
        classes=classes,
        gates=[finding.gate(gate) for gate, finding in findings.items()],
        failures=[_failure(loss) for loss in losses],
        timeline=_timeline(evidence.slots, losses),
    )


def _loss(phases: Phases, failed: Failed) -> Loss:
    if failed.client.pod != SERVICE:
        return Loss(failed, phases.during(failed.client.pod, failed.at, failed.ended))
    # A client that is late sends long after the intended time.
    sent = max(failed.at, failed.ended - CONNECT_S)
    return Loss(failed, phases.during_any(sent, failed.ended), phases.without_endpoints(sent, failed.ended))


def overall(scenarios: Sequence[Scenario]) -> Outcome:
    """The outcome of a run; of nothing at all: inconclusive."""
    return _worst([scenario.outcome for scenario in scenarios])


def claim(scenarios: Sequence[Scenario]) -> Claim:
    """What all scenarios' requests together say about the failure rate."""
    requests = sum(scenario.traffic.sent for scenario in scenarios)
    failed = sum(scenario.traffic.failed for scenario in scenarios)
    return Claim(requests=requests, failed=failed, upper_bound_95=upper_bound(failed, requests))


def profile(scenarios: Sequence[Scenario]) -> Profile:
    """The conformance part: one case per scenario and class, all of them core.

    What was skipped or not decided counts as skipped, and a skipped core case cannot be conformant.
    """
    cases: dict[str, Outcome] = {}
    for scenario in scenarios:
        if not scenario.classes:
            cases[scenario.name] = scenario.outcome
        for name, of_class in scenario.classes.items():
            cases[f"{scenario.name}/{name}"] = of_class.outcome
    failed = [case for case, outcome in cases.items() if outcome == "failed"]
    skipped = [case for case, outcome in cases.items() if outcome not in ("failed", "passed")]
    result: Outcome = overall(scenarios)
    core = ProfileResult(
        result="inconclusive" if result == "passed" and skipped else result,
        statistics={
            "passed": len(cases) - len(failed) - len(skipped),
            "failed": len(failed),
            "skipped": len(skipped),
        },
        skipped=skipped,
        failed=failed,
    )
    return Profile(name="core", core=core)


def _worst(outcomes: Sequence[Outcome]) -> Outcome:
    return next((outcome for outcome in OUTRANKS if outcome in outcomes), "inconclusive")


def _outcomes(findings: Mapping[str, Finding]) -> list[Outcome]:
    return [finding.outcome for finding in findings.values() if finding.outcome != "skipped"]


def _class_result(name: str, evidence: Evidence, findings: Mapping[str, Finding]) -> ClassResult:
    traffic = evidence.reconciled.classes.get(name, Traffic())
    slots = (slot for slot in evidence.slots if slot.traffic_class == name)
    outcome, reason = _class_outcome(name, traffic, evidence.losses, findings)
    return ClassResult(
        **traffic.model_dump(),
        outcome=outcome,
        reason=reason,
        latency=latency.by_phase(slots, evidence.phases),
    )


def _class_outcome(
    name: str, traffic: Traffic, losses: Sequence[Loss], findings: Mapping[str, Finding]
) -> tuple[Outcome, str | None]:
    own = [loss for loss in losses if loss.request.client.traffic_class == name]
    if any(not loss.excused for loss in own):
        return "failed", _losses(own) + _apart(own)
    if own:
        if all(loss.of_kubelet for loss in own):
            why = "all refused while no pod was an endpoint for back-off: the kubelet's doing, not the sidecar's"
            return "inconclusive", f"{_losses(own)}, {why}"
        return "inconclusive", f"{_losses(own)}, but the load generator could not keep up"
    if not traffic.sent:
        return "inconclusive", "no request was sent"
    for gate, finding in findings.items():
        if finding.outcome == "inconclusive" and (not finding.classes or name in finding.classes):
            return "inconclusive", f"{gate}: {finding.classes.get(name, finding.observed)}"
    return "passed", None


def _losses(losses: Sequence[Loss]) -> str:
    kinds = Counter(loss.request.fate.replace("_", " ") for loss in losses)
    return f"{len(losses):,} failed: " + ", ".join(f"{count:,} {kind}" for kind, count in kinds.most_common())


def _apart(losses: Sequence[Loss]) -> str:
    """Says how many of them are not the sidecar's."""
    kubelets = sum(loss.of_kubelet for loss in losses)
    return f"; {kubelets:,} of them for back-off, the kubelet's doing" if kubelets else ""


def _reason(outcome: Outcome, losses: Sequence[Loss], findings: Mapping[str, Finding]) -> str | None:
    if outcome == "failed":
        return _losses(losses) + _apart(losses)
    short = [
        f"{gate}: {finding.observed}"
        for gate, finding in findings.items()
        if finding.outcome == "inconclusive"
    ]
    return "; ".join(short) or None


def _sum(parts: Sequence[Traffic]) -> Traffic:
    return Traffic(**{field: sum(getattr(part, field) for part in parts) for field in Traffic.model_fields})


def _failure(loss: Loss) -> Failure:
    request = loss.request
    fields = {
        "class": request.client.traffic_class,
        "client": request.client.name,
        "sequence": request.sequence,
        "pod": request.client.pod,
        "at": request.at,
        "ended": request.ended,
        "phase": loss.place.phase,
        "upgrade": loss.place.upgrade,
        "kind": request.fate,
        "detail": request.detail,
        "served_by": request.served_by,
    }
    return Failure.model_validate(fields)


def _timeline(slots: Sequence[Slot], losses: Sequence[Loss]) -> list[Point]:
    """One point per slot over all pods and classes; a pause in the traffic is a row of zeros, not a gap."""
    sent: Counter[int] = Counter()
    failed = Counter(_slot_of(loss.request.at) for loss in losses)
    versions: dict[int, Counter[str]] = {}
    latencies: dict[int, Counter[int]] = {}
    for slot in slots:
        at = _slot_of(slot.at)
        sent[at] += slot.sent
        versions.setdefault(at, Counter()).update(slot.versions)
        if slot.traffic_class not in LASTING:
            latencies.setdefault(at, Counter()).update(slot.latency_us)
    known = {*sent, *failed}
    return [
        Point(
            at=round(at * SLOT_S, 3),
            sent=sent[at],
            failed=failed[at],
            versions=dict(sorted(versions.get(at, Counter()).items())),
            p50=latency.percentile_ms(latencies.get(at, {}), 50),
            p99=latency.percentile_ms(latencies.get(at, {}), 99),
        )
        for at in (range(min(known), max(known) + 1) if known else ())
    ]


def _slot_of(time: float) -> int:
    return int(time / SLOT_S + NEARLY)
