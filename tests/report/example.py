"""Reports of runs that never took place: hot ones and cold ones, many scenarios, a very long run, a crashed one.

Made of records alone, without the judge: what is drawn depends on nothing but them. The golden files are made here:
`python -m tests.report.example` writes those anew; look at the difference.
"""

from __future__ import annotations

import random
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from harness.record.ledger import Neighbour, Saturation
from harness.record.report import (
    Claim,
    ClassResult,
    ClockOffset,
    ClusterInfo,
    Connections,
    Controller,
    Environment,
    Failure,
    Fault,
    Gate,
    ImageInfo,
    Implementation,
    Latency,
    LogLine,
    Outcome,
    Point,
    Profile,
    ProfileName,
    ProfileResult,
    Report,
    Scenario,
    Traffic,
)
from harness.record.upgrade import PhaseName, PodEvent, Upgrade
from harness.report import badge, files, junit, schema, summary

GOLDEN = Path(__file__).parent / "golden"
START = 1_767_323_045.0
PODS = ("app-7d9c5b6f4-flv69", "app-7d9c5b6f4-ngsnd")
IMAGES = ("hotupgrade/sidecar:v1", "hotupgrade/sidecar:v2")
CORE = ("new-connection", "keep-alive", "post", "stream")
EXTENDED = ("idle-keep-alive", "pipelined", "slow-upload", "websocket", "h2")
FIRST_S, EVERY_S, LAST_S, SLOT_S = 2.0, 5.0, 2.0, 0.1
USUAL_MS = {"new-connection": 1.5, "stream": 2.6, "slow-upload": 3400.0, "websocket": 0.6}
MANIFEST = """\
apiVersion: apps.kruise.io/v1alpha1
kind: SidecarSet
metadata:
  name: hotupgrade-sidecarset
spec:
  selector:
    matchLabels:
      app: hotupgrade
  containers:
  - name: sidecar
    image: hotupgrade/sidecar:v1
    upgradeStrategy:
      upgradeType: HotUpgrade
      hotUpgradeEmptyImage: hotupgrade/sidecar:empty
"""
HANDOVER = (
    (0.02, "kubelet", "Pulled", "image is present"),
    (0.31, "watch", "started", ""),
    (0.42, "sidecar", "asked", "generation 41 asks for listeners"),
    (0.47, "sidecar", "listener_sent", "0.0.0.0:9091"),
    (0.55, "sidecar", "ack", ""),
    (0.58, "sidecar", "commit", "3 listeners, 64 connections"),
    (0.74, "sidecar", "connection_moved", "64 idle"),
    (1.12, "sidecar", "drained", "in 0.54 s"),
    (1.21, "controller", "reset", "hotUpgradeEmptyImage"),
)
WORSE: dict[PhaseName, float] = {"steady": 1, "upgrade": 1.2, "migration": 3, "reset": 1.1, "settled": 1}


def upgrade(index: int, patched: float, mode: str = "hot", pods: Sequence[str] = PODS) -> Upgrade:
    """One upgrade of pods one after the other, 1.6 s each (cold: 0.9 s), with what they told meanwhile."""
    source, target = IMAGES[(index - 1) % 2], IMAGES[index % 2]
    marks: list[tuple[PhaseName, float, float | None]] = [
        ("upgrade", 0.0, 0.312),
        ("migration", 0.312, 1.148),
        ("reset", 1.2, 1.51),
        ("settled", 1.51, None),
    ]
    if mode == "cold":
        marks = [("upgrade", 0.0, 0.9), ("settled", 0.9, None)]
    at, records = patched + 0.1, []
    for name in pods:
        phases = [
            {
                "name": phase,
                "start": round(at + start, 3),
                "end": None if end is None else round(at + end, 3),
                "witness": "log line" if phase == "migration" else "watch",
                "precision_ms": 1.0 if phase == "migration" else 50.0,
            }
            for phase, start, end in marks
        ]
        working = "sidecar" if mode == "cold" else f"sidecar-{1 + index % 2}"
        events = [
            PodEvent(at=round(at + after, 3), source=who, reason=reason, message=text, container=working)
            for after, who, reason, text in HANDOVER[: 1 if mode == "cold" else None]
        ]
        made = {"name": name, "from": source, "to": target, "working": working}
        records.append({**made, "phases": phases, "events": events})
        at += (marks[-1][1] or 0.0) + 0.1
    whole = {"index": index, "from": source, "to": target, "patched": patched, "settled": round(at, 3)}
    return Upgrade.model_validate({**whole, "pods": records})


def scenario(
    name: str,
    upgrades: int = 5,
    mode: str = "hot",
    pods: Sequence[str] = PODS,
    classes: Sequence[str] = CORE,
    per_slot: int = 90,
    every_s: float = EVERY_S,
    slot_s: float = SLOT_S,
    **fields: Any,
) -> Scenario:
    """A scenario without a failure; `fields` are given to the record."""
    rng = random.Random(name)
    made = [upgrade(1 + n, START + FIRST_S + n * every_s, mode, pods) for n in range(upgrades)]
    end = START + FIRST_S + upgrades * every_s + LAST_S
    points = list(_points(rng, made, end, per_slot, slot_s))
    sent = sum(point.sent for point in points)
    results = {one: _class(rng, one, sent // len(classes)) for one in classes}
    whole = sum(result.sent for result in results.values())
    points[-1].sent -= sent - whole
    filled: dict[str, Any] = {
        "description": "Upgrades one after the other, under load.",
        "outcome": "passed",
        "upgrades": made,
        "traffic": Traffic(sent=whole, answered=whole),
        "classes": results,
        "gates": _gates(whole, upgrades),
        "timeline": points,
    }
    return Scenario(name=name, **{**filled, **fields})


def hot(upgrades: int = 5, pods: Sequence[str] = PODS) -> Scenario:
    """A scenario that passed."""
    return scenario("hot-upgrade", upgrades, pods=pods, classes=(*CORE, *EXTENDED))


def cold(failures: int = 240) -> Scenario:
    """A scenario whose pods refused connections while their only sidecar was replaced."""
    made = scenario("cold-upgrade", upgrades=1, mode="cold")
    fail(made, failures)
    return made


def fail(made: Scenario, count: int, allowed: str | None = None) -> None:
    """Turns so many good requests into failed ones, while pods had their first phase."""
    rng = random.Random(count)
    details = {
        "lost": "refused: connect to 10.0.0.2:9091: connection refused",
        "executed_unanswered": "eof: connection closed after 112 of 512 bytes",
        "errors": "status: 502 Bad Gateway",
    }
    kinds = ("lost", "lost", "executed_unanswered", "lost", "errors")
    names = list(made.classes)
    for number in range(count):
        one = made.upgrades[number % len(made.upgrades)]
        pod = one.pods[number // 3 % len(one.pods)]
        first = pod.phases[0]
        at = round(first.start + 0.85 * ((first.end or first.start) - first.start) * number / count, 4)
        traffic_class, kind = names[number % len(names)], kinds[number % len(kinds)]
        client = f"{traffic_class}-{pod.name}-{number % 4}"
        failure = {
            "class": traffic_class,
            "client": client,
            "sequence": 200 + number,
            "pod": pod.name,
            "at": at,
            "ended": round(at + rng.uniform(0.004, 0.05), 4),
            "phase": first.name,
            "upgrade": one.index,
            "kind": kind,
            "detail": details[kind],
            "served_by": "v1" if kind == "errors" else None,
            "allowed": allowed,
            "in_doubt": number % 40 == 7,
            "previous": _neighbour(199 + number, at - 0.02, "answered"),
            "following": _neighbour(201 + number, at + 0.06, "answered" if number % 2 else "refused"),
            "log": list(_log(pod.name, at)) if number < 50 else [],
        }
        made.failures.append(Failure.model_validate(failure))
        for counts in (made.traffic, made.classes[traffic_class]):
            setattr(counts, kind, getattr(counts, kind) + 1)
            counts.failed += 1
            counts.answered -= 1
        slot = min(range(len(made.timeline)), key=lambda place: abs(made.timeline[place].at + 0.05 - at))
        made.timeline[slot].failed += 1
    made.failures.sort(key=lambda failure: failure.at)
    for name in {failure.traffic_class for failure in made.failures}:
        of_class = made.classes[name]
        of_class.connections.broken = of_class.failed
        if allowed:
            of_class.allowed = of_class.failed
        else:
            of_class.outcome, of_class.reason = "failed", f"{of_class.failed:,} failed"
    if not allowed and count:
        made.outcome, made.reason = "failed", f"{count:,} failed: most of them lost while no sidecar listened"
        made.gates[0] = Gate(
            name="no request failed",
            outcome="failed",
            required="0 failed",
            observed=f"{count:,} of {made.traffic.sent:,} requests failed",
        )


def report(
    scenarios: Sequence[Scenario], outcome: Outcome | None = None, reason: str | None = None
) -> Report:
    """A report around scenarios."""
    counted = [one for one in scenarios if not one.allowance]
    requests = sum(one.traffic.sent for one in counted)
    failed = sum(one.traffic.failed for one in counted)
    worst = _worst([one.outcome for one in scenarios])
    return Report(
        outcome=outcome or worst,
        reason=reason or next((one.reason for one in scenarios if one.outcome == worst), None),
        started=START - 4.25,
        finished=START + 31.5,
        command=["hotupgrade", "run", "-f", "e2e/manifests/hotupgrade sidecarset.yaml", "--profile", "all"],
        seed=1234567,
        version="0.1.0",
        cluster=ClusterInfo(
            kind="embedded",
            kubernetes="1.33",
            controller=Controller(name="reference controller", version="0.1.0"),
            nodes=["node-0"],
            notes=[
                "Pods are processes in namespaces of their own, on one machine; their network is a bridge.",
                "The kubelet's delay of the fourth quick image change of one container is off.",
            ],
        ),
        implementation=Implementation(
            name="reference sidecar",
            version="0.1.0",
            organization="Example Mesh",
            url="https://mesh.example.com/sidecar",
            images={
                tag: ImageInfo(ref=f"hotupgrade/sidecar:{tag}", id=f"sha256:{digit * 64}")
                for tag, digit in {"v1": "1", "v2": "2", "empty": "e"}.items()
            },
        ),
        manifest=MANIFEST,
        scenarios=list(scenarios),
        claim=Claim(
            requests=requests,
            failed=failed,
            upper_bound_95=min(1.0, (failed + 3) / requests) if requests else 1.0,
        ),
        profile=_profile(scenarios),
        environment=Environment(
            host="Linux 6.12 x86_64",
            cores=2,
            python="3.13.1",
            load_generator="Locust 2.47.0, 2 workers",
            saturation=[
                Saturation(late_fraction=0.001, max_lag_ms=12.5, cpu_fraction=0.41),
                Saturation(late_fraction=0.0004, max_lag_ms=9.1, cpu_fraction=0.38),
            ],
            clocks=[
                ClockOffset(pod="loadgen-worker-0", offset_ms=0.04, uncertainty_ms=0.31),
                ClockOffset(pod="app-7d9c5b6f4-flv69", offset_ms=-0.11, uncertainty_ms=0.28),
            ],
        ),
    )


def small() -> Report:
    """What the golden files show: each kind of thing once; short enough to be read."""
    passed = scenario("single-upgrade", 1, pods=("app-0",), classes=("post", "keep-alive"))
    faulty = scenario(
        "successor-crashes",
        1,
        pods=("app-0",),
        classes=("post", "h2"),
        profile="resilience",
        repetition=2,
        description="The successor is killed after its ack.",
        allowance="what was in flight in the process that was killed",
        faults=[Fault(at=START + 2.62, name="kill successor", pod="app-0", detail="SIGKILL after ack")],
    )
    fail(faulty, 1, allowed="in flight in the process that was killed")
    faulty.classes["h2"] = ClassResult(outcome="skipped", reason="the sidecar does not speak it")
    failed = scenario("cold-upgrade", 1, "cold", pods=("app-0",), classes=("post",))
    fail(failed, 2)
    for one in (passed, faulty, failed):
        one.timeline = one.timeline[:3]
    return report([passed, faulty, failed])


def interrupted() -> Report:
    """A run that ended before there was any traffic."""
    partial = Scenario(name="hot-upgrade", outcome="interrupted", reason="interrupted before traffic flowed")
    return report([partial], "interrupted", "SIGINT while the pods were started")


def crashed() -> Report:
    """A run that never got as far as a cluster: nothing is known."""
    made = report([], "inconclusive", "the cluster's API failed:\nconnection refused")
    made.cluster = ClusterInfo(
        kind="kind",
        kubernetes="unknown",
        controller=Controller(name="unknown", version="unknown"),
        nodes=[],
    )
    made.implementation = Implementation(name="registry.example.com/mesh/proxy", version="1.9", images={})
    made.profile = Profile(name="core", core=made.profile.core)
    made.environment = Environment(
        host="Linux 6.12 x86_64", cores=1, python="3.11.0", load_generator="locust 2.47.0"
    )
    return made


def several() -> Report:
    """A run with most of what can happen: passed, failed and skipped scenarios, faults, allowances."""
    crash = scenario(
        "successor-crashes-after-commit",
        3,
        classes=(*CORE, *EXTENDED),
        profile="resilience",
        description="The successor is killed right after the commit; the kubelet starts it again.",
        allowance="requests in flight in the process that was killed",
        faults=[
            Fault(
                at=START + 2.7 + 5 * n, name="kill successor", pod=PODS[n % 2], detail="SIGKILL after commit"
            )
            for n in range(3)
        ],
    )
    fail(crash, 21, allowed="in flight in the killed process")
    skipped = Scenario(
        name="egress",
        profile="extended",
        outcome="skipped",
        reason="the sidecar has no outbound listener: CONNECT was refused",
        description="The application calls another pod through its own sidecar.",
    )
    slow = scenario("long-streams", 2, profile="extended", outcome="inconclusive", classes=("stream",))
    slow.reason = slow.classes["stream"].reason = "requests in each upgrade: stream 3 in upgrade 2"
    slow.classes["stream"].outcome = "inconclusive"
    return report([hot(), scenario("back-to-back", 8), slow, skipped, crash, cold()])


def many(count: int = 50) -> Report:
    """As many scenarios as a thorough vendor runs."""
    made = [scenario(f"scenario-{n:02}", 4, classes=(*CORE, *EXTENDED)) for n in range(count)]
    for one in made[7::9]:
        fail(one, 400)
    return report(made)


def long(upgrades: int = 1_000) -> Report:
    """A soak: 1,000 upgrades of two pods, more than two million requests, 4,000 points."""
    made = scenario("soak", upgrades, classes=(*CORE, *EXTENDED), per_slot=650, slot_s=1.25)
    return report([made])


def golden() -> dict[str, str]:
    """The golden files: name -> text."""
    made = small()
    return {
        files.RECORD: made.model_dump_json(indent=1) + "\n",
        "junit.xml": junit.xml(made),
        "summary.md": summary.markdown(made),
        "badge.svg": badge.svg(made),
        "interrupted.md": summary.markdown(interrupted()),
        "interrupted.xml": junit.xml(interrupted()),
        "crashed.md": summary.markdown(crashed()),
        "crashed.xml": junit.xml(crashed()),
        "crashed.svg": badge.svg(crashed()),
    }


def _points(
    rng: random.Random, upgrades: Sequence[Upgrade], end: float, per_slot: int, slot_s: float
) -> Iterator[Point]:
    flips = [
        (phase.start, phase.end or phase.start, one.to.rpartition(":")[2])
        for one in upgrades
        for pod in one.pods
        for phase in pod.phases
        if phase.name == "migration"
    ]
    pods = len(upgrades[0].pods) if upgrades else 1
    done = 0
    for number in range(round((end - START) / slot_s)):
        at = START + number * slot_s
        while done < len(flips) and flips[done][1] <= at:
            done += 1
        busy = done < len(flips) and flips[done][0] < at + slot_s
        sent = per_slot + rng.randrange(-per_slot // 9, per_slot // 9 + 1)
        turned = done % pods if pods > 1 else 0
        last = flips[done - 1][2] if done else "v1"
        other = "v2" if last == "v1" else "v1"
        share = sent * turned // pods
        counts = {last: sent - share, other: share} if not turned else {last: share, other: sent - share}
        p50 = round(rng.uniform(0.8, 1.1) * (1.6 if busy else 1), 3)
        yield Point(
            at=round(at, 3),
            sent=sent,
            failed=0,
            versions={version: count for version, count in sorted(counts.items()) if count},
            p50=p50,
            p99=round(p50 * rng.uniform(2.5, 3.4) * (2.6 if busy else 1), 3),
            opened=rng.randrange(18, 24) + (14 if busy else 0),
            cut=rng.randrange(9, 13) if busy else 0,
        )


def _class(rng: random.Random, name: str, sent: int) -> ClassResult:
    usual = USUAL_MS.get(name, 0.9)
    return ClassResult(
        outcome="passed",
        sent=sent,
        answered=sent,
        connections=Connections(
            opened=sent if name == "new-connection" else 64,
            reused=0 if name == "new-connection" else sent - 64,
            told=0 if name == "new-connection" else 12,
            goaway=12 if name == "h2" else 0,
        ),
        latency={phase: _latency(rng, sent // len(WORSE), usual * worse) for phase, worse in WORSE.items()},
    )


def _latency(rng: random.Random, count: int, usual: float) -> Latency:
    p50 = usual * rng.uniform(0.9, 1.1)
    values = {"p50": 1.0, "p90": 1.7, "p99": 2.9, "p999": 4.4, "max": 7.5}
    return Latency(
        count=count,
        **{name: round(p50 * times * rng.uniform(0.95, 1.05), 3) for name, times in values.items()},
    )


def _gates(sent: int, upgrades: int) -> list[Gate]:
    kept = {
        "no request failed": ("0 failed", f"0 of {sent:,} requests failed"),
        "requests": ("at least 1,000", f"{sent:,}"),
        "upgrades settled": (f"{upgrades} of {upgrades} pods each", f"{upgrades} settled"),
        "load generator kept up": (
            "late at most 2.0%, processor at most 95% of a core",
            "late 0.1% (by 12 ms at most), processor 41%",
        ),
        "ledgers agree": ("every request known to both sides", "all"),
    }
    return [
        Gate(name=name, outcome="passed", required=required, observed=observed)
        for name, (required, observed) in kept.items()
    ]


def _neighbour(sequence: int, at: float, how: str) -> Neighbour:
    served = "v1" if how == "answered" else None
    return Neighbour(
        sequence=sequence, at=round(at, 4), ended=round(at + 0.003, 4), how=how, served_by=served
    )


def _log(pod: str, at: float) -> Iterator[LogLine]:
    said = (
        (-0.31, "sidecar-1", '{"event":"listener_sent","listener":"0.0.0.0:9091","fd":7}'),
        (-0.12, "sidecar-2", '{"event":"ack","listeners":3}'),
        (-0.004, "sidecar-1", '{"event":"drain","open":64,"busy":9}'),
        (0.021, "kubelet", "Killing: stopping container sidecar-1"),
        (0.4, "sidecar-2", '{"event":"serving","address":"0.0.0.0:9091"}'),
    )
    base = round(at, 1)  # failures that are near to each other share their lines
    for after, source, text in said:
        yield LogLine(at=round(base + after, 4), pod=pod, source=source, text=text)


def _worst(outcomes: Sequence[Outcome]) -> Outcome:
    order: tuple[Outcome, ...] = ("interrupted", "failed", "inconclusive", "passed", "skipped")
    return next((outcome for outcome in order if outcome in outcomes), "inconclusive")


def _profile(scenarios: Sequence[Scenario]) -> Profile:
    parts: dict[ProfileName, ProfileResult | None] = {}
    names: tuple[ProfileName, ...] = ("core", "extended", "resilience")
    for part in names:
        cases = {
            f"{one.name}/{name}": result.outcome
            for one in scenarios
            for name, result in one.classes.items()
            if part == ("extended" if one.profile == "core" and name in EXTENDED else one.profile)
        }
        cases |= {one.name: one.outcome for one in scenarios if one.profile == part and not one.classes}
        failed = [case for case, outcome in cases.items() if outcome == "failed"]
        skipped = [case for case, outcome in cases.items() if outcome not in ("passed", "failed")]
        passed = len(cases) - len(failed) - len(skipped)
        result: Outcome = "failed" if failed else "inconclusive" if skipped and part == "core" else "passed"
        counts = {"passed": passed, "failed": len(failed), "skipped": len(skipped)}
        parts[part] = ProfileResult.model_validate(
            {"result": result, "statistics": counts, "skipped": skipped, "failed": failed}
        )
        if not cases:
            parts[part] = None
    empty = ProfileResult(result="inconclusive", statistics={"passed": 0, "failed": 0, "skipped": 0})
    return Profile(
        name="core",
        core=parts["core"] or empty,
        extended=parts["extended"],
        resilience=parts["resilience"],
        supported=["pipelined", "websocket", "h2"],
        unsupported={
            "connect": "refused: 501 Not Implemented",
            "egress": "nobody listens on 127.0.0.1:15001",
        },
    )


if __name__ == "__main__":
    if len(sys.argv) > 1:  # a folder: examples to be looked at
        for place, of_report in {
            "several": several(),
            "many": many(),
            "long": long(),
            "crashed": crashed(),
        }.items():
            files.write(of_report, Path(sys.argv[1]) / place)
    else:
        GOLDEN.mkdir(exist_ok=True)
        for file, text in golden().items():
            (GOLDEN / file).write_text(text, encoding="utf-8")
        Path("docs/report.schema.json").write_text(schema.text(), encoding="utf-8")
