"""Gates on those who tell what happened: load generators, applications, Locust. Knows nothing of what they tell."""

from __future__ import annotations

from harness.record.ledger import SERVICE
from harness.verdict.evidence import MAX_CPU_FRACTION, MAX_LATE_FRACTION, Evidence
from harness.verdict.finding import Finding, met, some

LOCUST_LAG_S = 1.0  # Locust's workers report once a second or so: the last reports may not have arrived


def generator_kept_up(evidence: Evidence) -> Finding:
    """The load was the load that was asked for."""
    required = f"late at most {MAX_LATE_FRACTION:.1%}, processor at most {MAX_CPU_FRACTION:.0%} of a core"
    if not evidence.loads:
        return Finding("inconclusive", required, "no load generator reported")
    saturations = [load.saturation for load in evidence.loads]
    late = max(saturation.late_fraction for saturation in saturations)
    cpu = max(saturation.cpu_fraction for saturation in saturations)
    lag = max(saturation.max_lag_ms for saturation in saturations)
    observed = f"late {late:.1%} (by {lag:,.0f} ms at most), processor {cpu:.0%}"
    scheduled = [saturation for saturation in saturations if saturation.asked]
    if scheduled:
        worst = min(scheduled, key=lambda saturation: saturation.reached / saturation.asked)
        observed += f"; a worker reached {worst.reached:,.0f} of {worst.asked:,.0f} arrivals a second"
    if evidence.requirements.to_the_limit:
        return Finding("skipped", required, f"{observed}; the scenario goes to its limit")
    return Finding(met(not evidence.saturated), required, observed)


def ledgers_complete(evidence: Evidence) -> Finding:
    """Both sides handed in what they saw."""
    missing = [pod for pod in evidence.reconciled.missing if pod not in evidence.requirements.gone]
    if not evidence.requirements.app_ledger:
        missing = []
    required = "one of each load generator, closed in order"
    if evidence.requirements.app_ledger:
        required += ", and one of each application"
    unstopped = [load.worker for load in evidence.loads if load.stopped is None]
    lacking = [f"load generator {worker} never stopped" for worker in unstopped]
    lacking += [f"ledger missing: application {pod}" for pod in missing]
    if not evidence.loads:
        lacking.append("ledger missing: load generator")
    whose = {
        client.traffic_class: f"ledger missing: application {client.pod}"
        for load in evidence.loads
        for client in load.clients
        if client.pod in missing
    }
    whose |= {
        client.traffic_class: some(f"ledger missing: application {pod}" for pod in missing)
        for load in evidence.loads
        for client in load.clients
        if missing and client.pod == SERVICE  # any of them may have executed it
    }
    return Finding(met(not lacking), required, some(lacking) or "all", {} if unstopped else whose)


def ledgers_agree(evidence: Evidence) -> Finding:
    """Neither side knows of a request that the other cannot have."""
    required = "every request known to both sides"
    if not evidence.requirements.app_ledger:
        return Finding("skipped", required, "the workload is the user's own and keeps no ledger")
    found = evidence.reconciled
    doubts = {
        "executed but never sent": found.unexpected,
        "answered but never executed": found.unrecorded,
        "contradictory": found.contradictions,
    }
    observed = ", ".join(f"{count:,} {what}" for what, count in doubts.items() if count)
    return Finding(met(not observed), required, observed or "all")


def locust_agrees(evidence: Evidence) -> Finding | None:
    """Locust counted what the ledgers hold, but for what ended in its last reports."""
    if evidence.locust_requests is None:
        return None
    last = max((one.last for one in evidence.series), default=0.0)
    ended = sum(sum(one.ended[: one.since(last - LOCUST_LAG_S)]) for one in evidence.series)
    agrees = ended <= evidence.locust_requests <= evidence.sent
    return Finding(met(agrees), f"{ended:,} to {evidence.sent:,}", f"{evidence.locust_requests:,}")
