"""The conditions that a run must meet to mean anything, each a function of the evidence; `GATES` lists them.

A gate that is not met makes the classes that it concerns inconclusive: nothing passes for want of traffic. It
excuses no failure, with two exceptions (`Loss.excused`): a busy machine lets requests time out, whatever the
sidecar does. So a request that merely timed out, or was in flight at the end, while its load generator was
saturated or never stopped in order, is counted and shown, but makes its class inconclusive, not failed.
And a connection that the Service's address refused while back-off left it without pods is the kubelet's
(`Loss.of_kubelet`).
Refused and reset connections elsewhere, wrong statuses, corrupted and duplicated requests are failures always: no load
makes a sound sidecar do that.

Knows nothing of how a verdict is composed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from math import inf
from typing import Literal

from harness.record.ledger import SERVICE, SLOT_S, Connection, LoadLedger, Saturation, Slot
from harness.record.report import Gate, Outcome
from harness.record.upgrade import Upgrade
from harness.verdict.phases import DISTURBED, Flip, Phases, Place, flips, window
from harness.verdict.reconcile import Failed, Reconciled

MAX_LATE_FRACTION = 0.02  # above this the load was not the load that was asked for
MAX_CPU_FRACTION = 0.95  # of one core; a worker has one, and above this its latencies are its own
LOCUST_LAG_S = 1.0  # Locust's workers report once a second or so: the last reports may not have arrived
KEPT_ALIVE = ("keep-alive", "idle-keep-alive", "post")
"""The classes whose connections live long enough to be there when a pod flips."""
SHOWN = 3  # examples in a gate's text; a gate is a line, not a list


@dataclass(frozen=True)
class Requirements:
    """What a run has to have seen. `alternates` are the images that it goes through, in their order.

    A workload of the user's own keeps no ledger: without `app_ledger` nobody knows what was executed.
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


@dataclass(frozen=True)
class Loss:
    """A failed request, the phase that it is put into, and whether back-off left a Service without pods meanwhile."""

    request: Failed
    place: Place
    without_endpoints: bool = False

    @property
    def of_kubelet(self) -> bool:
        """The Service refused it for want of pods, which were in back-off.

        Such a pod is not Ready and leaves the endpoints, and no sidecar can help it. A connection that was accepted
        has come to a sidecar: what goes wrong on it is never the kubelet's.
        """
        request = self.request
        refused = request.fate == "lost" and request.seen == "refused"
        return self.without_endpoints and refused and request.client.pod == SERVICE

    @property
    def excused(self) -> bool:
        """The machine may be to blame, or the kubelet is: see the module."""
        request = self.request
        if self.of_kubelet:
            return True
        undecided = request.fate in ("lost", "executed_unanswered") and (
            request.in_flight or request.seen == "timeout"
        )
        return undecided and (saturated(request.worker.saturation) or request.worker.stopped is None)


@dataclass(frozen=True)
class Evidence:
    """Everything that gates look at. `locust_requests` is Locust's own total, where there is one."""

    upgrades: Sequence[Upgrade]
    loads: Sequence[LoadLedger]
    reconciled: Reconciled
    losses: Sequence[Loss]
    requirements: Requirements
    locust_requests: int | None = None

    @cached_property
    def phases(self) -> Phases:
        """The pods' phases."""
        return Phases(self.upgrades)

    @cached_property
    def slots(self) -> list[Slot]:
        """All slots of all workers."""
        return [slot for load in self.loads for slot in load.slots]

    @cached_property
    def pace(self) -> dict[str, list[tuple[float, int, int]]]:
        """For each class: (start of a slot, requests sent in it, requests ended in it), over all pods."""
        counts: dict[str, dict[float, tuple[int, int]]] = {}
        for slot in self.slots:
            of_class = counts.setdefault(slot.traffic_class, {})
            sent, ended = of_class.get(slot.at, (0, 0))
            of_class[slot.at] = (sent + slot.sent, ended + slot.ended)
        return {name: [(at, *both) for at, both in of_class.items()] for name, of_class in counts.items()}

    @cached_property
    def versions(self) -> dict[str, list[Slot]]:
        """For each pod: the slots in which an answer named a version."""
        slots: dict[str, list[Slot]] = {}
        for slot in self.slots:
            if slot.versions:
                slots.setdefault(slot.pod, []).append(slot)
        return slots

    @cached_property
    def connections(self) -> dict[tuple[str, str], list[Connection]]:
        """For each class and pod: the long-lived connections."""
        connections: dict[tuple[str, str], list[Connection]] = {}
        for connection in (connection for load in self.loads for connection in load.connections):
            connections.setdefault((connection.traffic_class, connection.pod), []).append(connection)
        return connections

    @cached_property
    def sent(self) -> int:
        """Requests in all."""
        return sum(traffic.sent for traffic in self.reconciled.classes.values())


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


def saturated(saturation: Saturation) -> bool:
    """The load generator could not keep its schedule, or was about not to."""
    return saturation.late_fraction > MAX_LATE_FRACTION or saturation.cpu_fraction > MAX_CPU_FRACTION


def _met(met: bool) -> Outcome:
    return "passed" if met else "inconclusive"


def _some(items: Iterable[str]) -> str:
    listed = list(items)
    more = f" and {len(listed) - SHOWN} more" if len(listed) > SHOWN else ""
    return ", ".join(listed[:SHOWN]) + more


def zero_loss(evidence: Evidence) -> Finding:
    """No request failed."""
    losses = evidence.losses
    excused = sum(loss.excused for loss in losses)
    observed = f"{len(losses):,} of {evidence.sent:,} requests failed"
    kubelets = sum(loss.of_kubelet for loss in losses)
    if kubelets:
        observed += f"; {kubelets:,} of them by a Service whose pods were in back-off"
    if excused > kubelets:
        observed += f"; {excused - kubelets:,} of them timed out while the load generator could not keep up"
    outcome: Outcome = "passed" if not losses else "failed" if excused < len(losses) else "inconclusive"
    short = {loss.request.client.traffic_class: "requests failed" for loss in losses}
    return Finding(outcome, "0 failed", observed, short)


def requests(evidence: Evidence) -> Finding:
    """Enough requests for the claim to be worth something."""
    required = evidence.requirements.min_requests
    lacking = required - evidence.sent
    observed = f"{evidence.sent:,}" + (f", {lacking:,} too few" if lacking > 0 else "")
    return Finding(_met(lacking <= 0), f"at least {required:,}", observed)


def requests_in_upgrades(evidence: Evidence) -> Finding:
    """Every class was busy while each upgrade lasted."""
    required = evidence.requirements.min_per_class_per_upgrade
    counts = {
        (name, upgrade.index): in_window(evidence.pace.get(name, []), *window(upgrade))
        for name in evidence.requirements.classes
        for upgrade in evidence.upgrades
    }
    few = {key: count for key, count in counts.items() if count < required}
    least = min(counts.values(), default=0)
    observed = f"{least:,} or more"
    if few:
        observed = _some(f"{name} {count:,} in upgrade {index}" for (name, index), count in few.items())
    short = {name: f"too few requests in upgrade {index}" for name, index in few}
    return Finding(
        _met(bool(counts) and not few),
        f"at least {required:,} of each class sent or in flight between a patch and the end of its reset",
        observed if counts else "no upgrade under traffic",
        short,
    )


def in_window(pace: Iterable[tuple[float, int, int]], start: float, end: float | None) -> int:
    """Requests surely sent or in flight between two moments: slots that straddle one count for nothing.

    In flight are those sent up to the end of the slot that holds `start` and not ended by then.
    """
    count = 0
    for at, sent, ended in pace:
        if at <= start:
            count += sent - ended
        elif end is None or at + SLOT_S <= end:
            count += sent
    return count


def connections_across_flips(evidence: Evidence) -> Finding:
    """Long-lived connections were there when each pod flipped."""
    required = "one that lived across, or was told to close, per flip and class of " + ", ".join(KEPT_ALIVE)
    if evidence.requirements.mode == "cold":
        return Finding("skipped", required, "a cold upgrade flips nothing")
    classes = [name for name in KEPT_ALIVE if name in evidence.requirements.classes]
    if not classes:
        return Finding("skipped", required, "no such class was asked for")
    seen = [flip for upgrade in evidence.upgrades for flip in flips(upgrade)]
    expected = sum(len(upgrade.pods) for upgrade in evidence.upgrades)
    lacking = [(name, flip) for name in classes for flip in seen if not _crossed(evidence, name, flip)]
    observed = f"{len(seen) * len(classes) - len(lacking)} of {expected * len(classes)}"
    if lacking:
        observed += "; none for " + _some(
            f"{name} at {flip.pod} in upgrade {flip.upgrade}" for name, flip in lacking
        )
    if len(seen) < expected:
        observed += f"; {expected - len(seen)} flips were not seen"
        return Finding("inconclusive", required, observed)
    short = {
        name: f"no connection across the flip of {flip.pod} in upgrade {flip.upgrade}"
        for name, flip in lacking
    }
    return Finding(_met(bool(seen) and not lacking), required, observed, short)


def _crossed(evidence: Evidence, traffic_class: str, flip: Flip) -> bool:
    """Whether a connection that was open when the flip began outlived it, or was told to close since."""
    for connection in evidence.connections.get((traffic_class, flip.pod), []):
        if connection.opened > flip.start:
            continue
        outlived = flip.end is not None and (connection.ended is None or connection.ended >= flip.end)
        told = connection.told_at is not None and connection.told_at >= flip.start - flip.precision_s
        if outlived or told:
            return True
    return False


def versions_answered(evidence: Evidence) -> Finding:
    """Both versions answered at each pod in each upgrade: there really was something to upgrade.

    Where the header's values are tags of the images, they have to be the right ones; else any two will do.
    """
    header = evidence.requirements.version_header
    required = "the version before and the version after, at each pod in each upgrade"
    if header is None:
        return Finding(
            "inconclusive", required, "no header names the version: give one with --version-header"
        )
    if not evidence.versions:
        return Finding("inconclusive", required, f"no answer has the header {header}")
    pods = [(upgrade, pod) for upgrade in evidence.upgrades for pod in upgrade.pods]
    images = {*evidence.requirements.alternates, *(image for _, pod in pods for image in (pod.from_, pod.to))}
    values = {value for slots in evidence.versions.values() for slot in slots for value in slot.versions}
    by_tag = not values.isdisjoint(map(tag, images))
    lacking = []
    for upgrade, pod in pods:
        seen = _versions_during(upgrade, evidence.versions.get(pod.name, []))
        wanted = {tag(pod.from_), tag(pod.to)}
        if not (wanted <= seen if by_tag and len(wanted) > 1 else len(seen) > 1):
            lacking.append(
                f"{pod.name} in upgrade {upgrade.index} saw {' and '.join(sorted(seen)) or 'none'}"
            )
    observed = f"{len(pods) - len(lacking)} of {len(pods)}"
    if lacking:
        observed += "; " + _some(lacking)
    return Finding(_met(bool(pods) and not lacking), required, observed)


def _versions_during(upgrade: Upgrade, slots: Iterable[Slot]) -> set[str]:
    """The versions that answered between the patch and the end of the upgrade, to a slot."""
    end = inf if upgrade.settled is None else upgrade.settled
    return {
        version for slot in slots if upgrade.patched - SLOT_S < slot.at <= end for version in slot.versions
    }


def tag(image: str) -> str:
    """The tag of an image, `latest` where there is none: `registry:5000/team/proxy:v2@sha256:…` -> `v2`."""
    _, _, last = image.partition("@")[0].rpartition("/")
    return last.partition(":")[2] or "latest"


def upgrades_settled(evidence: Evidence) -> Finding:
    """As many upgrades as were asked for came to their end, at every pod."""
    upgrades, pods = evidence.requirements.upgrades, evidence.requirements.pods
    settled = [upgrade for upgrade in evidence.upgrades if upgrade.settled is not None]
    partial = [upgrade for upgrade in settled if len(upgrade.pods) < pods]
    observed = f"{len(settled)} settled"
    if partial:
        observed += "; " + _some(
            f"upgrade {upgrade.index} of {len(upgrade.pods)} pods" for upgrade in partial
        )
    return Finding(
        _met(len(settled) >= upgrades and not partial), f"{upgrades} of {pods} pods each", observed
    )


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
    return Finding(_met(not any(map(saturated, saturations))), required, observed)


def ledgers_complete(evidence: Evidence) -> Finding:
    """Both sides handed in what they saw."""
    missing = evidence.reconciled.missing if evidence.requirements.app_ledger else []
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
        client.traffic_class: _some(f"ledger missing: application {pod}" for pod in missing)
        for load in evidence.loads
        for client in load.clients
        if missing and client.pod == SERVICE  # any of them may have executed it
    }
    return Finding(_met(not lacking), required, _some(lacking) or "all", {} if unstopped else whose)


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
    return Finding(_met(not observed), required, observed or "all")


def failures_in_upgrades(evidence: Evidence) -> Finding | None:
    """The negative control: what a cold upgrade loses, it loses while it upgrades."""
    if evidence.requirements.mode == "hot":
        return None
    outside = [loss for loss in evidence.losses if loss.place.phase not in DISTURBED]
    observed = f"{len(evidence.losses) - len(outside):,} of {len(evidence.losses):,}"
    return Finding(_met(bool(evidence.losses) and not outside), "every failure, and at least one", observed)


def locust_agrees(evidence: Evidence) -> Finding | None:
    """Locust counted what the ledgers hold, but for what ended in its last reports."""
    if evidence.locust_requests is None:
        return None
    last = max((slot.at for slot in evidence.slots), default=0.0)
    ended = sum(slot.ended for slot in evidence.slots if slot.at < last - LOCUST_LAG_S)
    met = ended <= evidence.locust_requests <= evidence.sent
    return Finding(_met(met), f"{ended:,} to {evidence.sent:,}", f"{evidence.locust_requests:,}")


GATES: tuple[tuple[str, Callable[[Evidence], Finding | None]], ...] = (
    ("no request failed", zero_loss),
    ("failures lie in the upgrades", failures_in_upgrades),
    ("requests", requests),
    ("requests in each upgrade", requests_in_upgrades),
    ("connections across each flip", connections_across_flips),
    ("both versions answered", versions_answered),
    ("upgrades settled", upgrades_settled),
    ("load generator kept up", generator_kept_up),
    ("ledgers complete", ledgers_complete),
    ("ledgers agree", ledgers_agree),
    ("Locust agrees", locust_agrees),
)
"""In the order in which the report shows them. A function that returns None does not apply."""
