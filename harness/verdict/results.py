"""The verdict on each traffic class, and losses in words. Knows nothing of scenarios."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from harness.record.report import ClassResult, Connections, Latency, Outcome
from harness.record.upgrade import PhaseName
from harness.verdict import latency
from harness.verdict.evidence import Evidence, Loss
from harness.verdict.finding import Finding
from harness.verdict.gates import ZERO_LOSS


def results(evidence: Evidence, findings: Mapping[str, Finding]) -> dict[str, ClassResult]:
    """For each class that was asked for, left out, or seen."""
    asked = evidence.requirements
    names = dict.fromkeys([*asked.classes, *asked.skipped_classes, *evidence.reconciled.classes])
    losses: dict[str, list[Loss]] = {name: [] for name in names}
    for loss in evidence.losses:
        losses[loss.request.client.traffic_class].append(loss)
    connections, latencies = _connections(evidence), _latencies(evidence)
    found = {}
    for name, own in losses.items():
        outcome, reason = _outcome(name, own, evidence, findings)
        found[name] = ClassResult(
            **evidence.traffic(name).model_dump(),
            outcome=outcome,
            reason=reason,
            allowed=sum(loss.allowed is not None for loss in own),
            connections=connections.get(name, Connections()),
            latency=latencies.get(name, {}),
        )
    return found


def words(losses: Sequence[Loss]) -> str:
    """How many failed in which way, and how many of them are not the sidecar's."""
    said = _kinds(losses)
    kubelets = sum(loss.of_kubelet for loss in losses)
    if kubelets:
        said += f"; {kubelets:,} of them for back-off, the kubelet's doing"
    allowed = Counter(loss.allowed for loss in losses if loss.allowed is not None)
    return said + "".join(f"; {count:,} of them allowed: {why}" for why, count in allowed.items())


def _kinds(losses: Sequence[Loss]) -> str:
    kinds = Counter(loss.request.fate.replace("_", " ") for loss in losses)
    return f"{len(losses):,} failed: " + ", ".join(f"{count:,} {kind}" for kind, count in kinds.most_common())


def _outcome(
    name: str, own: Sequence[Loss], evidence: Evidence, findings: Mapping[str, Finding]
) -> tuple[Outcome, str | None]:
    sent = evidence.traffic(name).sent
    if name in evidence.requirements.skipped_classes and not sent:
        return "skipped", evidence.requirements.skipped_classes[name]
    if any(loss.counts for loss in own):
        return "failed", words(own)
    broken = [
        f"{gate}: {finding.classes[name]}"
        for gate, finding in findings.items()
        if finding.outcome == "failed" and gate != ZERO_LOSS and name in finding.classes
    ]
    if broken:
        return "failed", "; ".join(broken)
    open_ = [loss for loss in own if loss.allowed is None]
    if open_:
        if all(loss.of_kubelet for loss in open_):
            why = "all refused while no pod was an endpoint for back-off: the kubelet's doing, not the sidecar's"
            return "inconclusive", f"{_kinds(own)}, {why}"
        return "inconclusive", f"{words(own)}, but the load generator could not keep up"
    if not sent:
        return "inconclusive", "no request was sent"
    for gate, finding in findings.items():
        if finding.outcome == "inconclusive" and (not finding.classes or name in finding.classes):
            return "inconclusive", f"{gate}: {finding.classes.get(name, finding.observed)}"
    return "passed", words(own) if own else None


def _connections(evidence: Evidence) -> dict[str, Connections]:
    """By class, what became of the connections at all pods together."""
    sums: dict[str, Counter[str]] = {}
    for sockets in (sockets for load in evidence.loads for sockets in load.sockets):
        counts = sums.setdefault(sockets.traffic_class, Counter())
        counts.update({name: getattr(sockets, name) for name in Connections.model_fields})
    return {name: Connections(**counts) for name, counts in sums.items()}


def _latencies(evidence: Evidence) -> dict[str, dict[PhaseName, Latency]]:
    """By class and phase, over all pods."""
    counts: dict[str, dict[PhaseName, Counter[int]]] = {}
    for (traffic_class, _, phase), counted in evidence.latencies.items():
        counts.setdefault(traffic_class, {}).setdefault(phase, Counter()).update(counted)
    return {
        name: {phase: latency.summary(counted) for phase, counted in by_phase.items()}
        for name, by_phase in counts.items()
    }
