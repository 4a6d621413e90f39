"""Makes the records of runs that never took place: upgrades, load ledgers, application ledgers."""

from __future__ import annotations

import random
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from harness.record.ledger import AppLedger, ClientFailure, LoadLedger
from harness.record.series import SLOT_S
from harness.record.upgrade import Upgrade
from harness.verdict.gates import Requirements
from tests.record.slots import Slot, packed

START = 1_767_323_045.0
CLASSES = ("new-connection", "keep-alive", "idle-keep-alive", "post", "stream")
PODS = ("app-0", "app-1")
IMAGES = ("hotupgrade/sidecar:v1", "hotupgrade/sidecar:v2")
FIRST_S, EVERY_S, LAST_S = 2.0, 5.0, 2.0
"""From the start of the traffic to the first patch, from patch to patch, steady at the end."""


@dataclass
class Run:
    """What `judge` is given."""

    upgrades: list[Upgrade]
    load: LoadLedger
    apps: dict[str, AppLedger | None]
    requirements: Requirements


def upgrade(index: int, patched: float, mode: str = "hot", pods: Sequence[str] = PODS) -> Upgrade:
    """One upgrade of pods one after the other, 1.6 s each (cold: 0.9 s)."""
    source, target = IMAGES[(index - 1) % 2], IMAGES[index % 2]
    records: list[dict[str, Any]] = []
    at = patched + 0.1
    for name in pods:
        marks = [
            ("upgrade", 0.0, 0.312),
            ("migration", 0.312, 1.148),
            ("reset", 1.2, 1.51),
            ("settled", 1.51, None),
        ]
        if mode == "cold":
            marks = [("upgrade", 0.0, 0.9), ("settled", 0.9, None)]
        phases = [
            {
                "name": name_,
                "start": round(at + start, 3),
                "end": None if end is None else round(at + end, 3),
                "witness": "log line" if name_ == "migration" else "watch",
                "precision_ms": 1.0 if name_ == "migration" else 50.0,
            }
            for name_, start, end in marks
        ]
        working = "sidecar" if mode == "cold" else f"sidecar-{1 + index % 2}"
        records.append({"name": name, "from": source, "to": target, "working": working, "phases": phases})
        at += marks[-1][1] + 0.1
    settled = round(at, 3)
    return Upgrade.model_validate(
        {
            "index": index,
            "from": source,
            "to": target,
            "patched": patched,
            "settled": settled,
            "pods": records,
        }
    )


def run(
    upgrades: int = 5, per_slot: int = 4, mode: str = "hot", pods: Sequence[str] = PODS, seed: int = 7
) -> Run:
    """A run without a failure: a client per class and pod, which sends `per_slot` requests in each slot."""
    rng = random.Random(seed)
    records = [upgrade(1 + n, START + FIRST_S + n * EVERY_S, mode, pods) for n in range(upgrades)]
    end = START + FIRST_S + upgrades * EVERY_S + LAST_S
    slots = round((end - START) / SLOT_S)
    sent = slots * per_slot
    clients = [
        {
            "name": f"{traffic_class}-{pod}",
            "class": traffic_class,
            "pod": pod,
            "sent": [(1, sent)],
            "answered": [(1, sent)],
            "failures": [],
        }
        for traffic_class in CLASSES
        for pod in pods
    ]
    turns = _turns(records)
    load = {
        "worker": "worker-0",
        "started": START,
        "stopped": end,
        "clients": clients,
        "connections": [_connection(c, p, START, None, "open") for c in CLASSES[1:] for p in pods],
        "series": packed(
            _slot(rng, turns, START + n * SLOT_S, traffic_class, pod, per_slot)
            for n in range(slots)
            for traffic_class in CLASSES
            for pod in pods
        ),
        "saturation": {"late_fraction": 0.001, "max_lag_ms": 12.5, "cpu_fraction": 0.41},
    }
    apps: dict[str, AppLedger | None] = {
        pod: AppLedger(pod=pod, executed={f"{name}-{pod}": [(1, sent)] for name in CLASSES}, duplicated={})
        for pod in pods
    }
    requirements = Requirements(
        min_requests=20_000,
        upgrades=upgrades,
        pods=len(pods),
        classes=CLASSES,
        version_header="x-sidecar-version",
        alternates=IMAGES,
        mode="cold" if mode == "cold" else "hot",
    )
    return Run(records, LoadLedger.model_validate(load), apps, requirements)


def fail(
    made: Run,
    client: str,
    sequence: int,
    kind: str,
    at: float,
    ended: float | None = None,
    executed: bool = False,
) -> None:
    """Turns a good request into one that its client saw fail; `executed`: the application saw it."""
    record = next(record for record in made.load.clients if record.name == client)
    record.answered = without(record.answered, sequence)
    failure = {"sequence": sequence, "at": at, "ended": at + 0.02 if ended is None else ended}
    record.failures.append(ClientFailure.model_validate({**failure, "kind": kind, "detail": DETAILS[kind]}))
    app = made.apps["app-0" if record.pod == "service" else record.pod]
    assert app is not None
    if not executed:
        app.executed[client] = without(app.executed[client], sequence)


DETAILS = {
    "refused": "connect to 10.0.0.2:9091: connection refused",
    "reset": "connection reset by peer after 0 bytes",
    "eof": "connection closed after 112 of 512 bytes",
    "timeout": "no answer within 5 s",
    "status": "502 Bad Gateway",
    "protocol": "invalid status line",
    "corrupted": "body hash differs",
}


def without(ranges: Sequence[tuple[int, int]], number: int) -> list[tuple[int, int]]:
    """The ranges without one number."""
    rest: list[tuple[int, int]] = []
    for first, last in ranges:
        parts = [(first, min(last, number - 1)), (max(first, number + 1), last)]
        rest += [(a, b) for a, b in dict.fromkeys(parts) if a <= b]
    return rest


def _connection(traffic_class: str, pod: str, opened: float, ended: float | None, how: str) -> dict[str, Any]:
    return {
        "client": f"{traffic_class}-{pod}",
        "class": traffic_class,
        "pod": pod,
        "opened": opened,
        "ended": ended,
        "how": how,
        "requests": 100,
    }


Turns = dict[str, list[tuple[float, float, str]]]


def _turns(upgrades: Sequence[Upgrade]) -> Turns:
    """For each pod: from when to when it flips, and the version that answers from then on."""
    turns: Turns = {}
    for one in upgrades:
        for pod in one.pods:
            phases = {phase.name: phase for phase in pod.phases}
            turn = phases.get("migration", phases["upgrade"])
            assert turn.end is not None
            turns.setdefault(pod.name, []).append((turn.start, turn.end, one.to.rpartition(":")[2]))
    return turns


def _slot(rng: random.Random, turns: Turns, at: float, traffic_class: str, pod: str, count: int) -> Slot:
    version, busy = "v1", False
    begun = bisect_right(turns.get(pod, []), at, key=lambda turn: turn[0])
    if begun:
        _, end, version = turns[pod][begun - 1]
        busy = at < end
    base = {"stream": 2600.0, "new-connection": 1500.0}.get(traffic_class, 900.0) * (3.0 if busy else 1.0)
    latencies: dict[int, int] = {}
    for _ in range(count):
        value = int(rng.lognormvariate(0, 0.35) * base)
        digits = 10 ** max(0, len(str(value)) - 3)
        value = value // digits * digits
        latencies[value] = latencies.get(value, 0) + 1
    return Slot(
        at=round(at, 1),
        traffic_class=traffic_class,
        pod=pod,
        sent=count,
        ended=count,
        versions={version: count},
        latency_us=latencies,
    )
