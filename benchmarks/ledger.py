"""What it takes to judge long runs: seconds and memory for ledgers of millions of requests, and the record's size.

`python -m benchmarks.ledger` (make bench-ledger). The runs never took place: their ledgers are written to a file, and
a process of its own reads, reconciles and judges them, as a run does. Seconds are of its processor, which a machine
that others use tells better than its clock does. The memory of a load generator's worker is measured too. Exits with
1 where a budget is exceeded.
"""

from __future__ import annotations

import json
import random
import resource
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from itertools import product
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from harness.record.ledger import AppLedger, LoadLedger
from harness.record.series import SLOT_S
from harness.record.upgrade import PodUpgrade, Upgrade
from harness.verdict.judge import judge
from harness.verdict.requirements import Requirements
from loadtests.series import Series

START = 1_767_323_045.0
PODS = ("app-0", "app-1")
CLASSES = (
    "new-connection",
    "keep-alive",
    "idle-keep-alive",
    "post",
    "pipelined",
    "h2",
    "egress",
    "websocket",
)
EVERY_S = 5.0  # from patch to patch
EVENTS = 30  # of a pod in an upgrade
MB = 1e6


@dataclass(frozen=True)
class Size:
    """How long a run is, and how much it sends. Budgets are None where there is none."""

    name: str
    classes: int
    slots: int
    per_slot: int
    clients: int
    failures: int
    budget_s: float | None = None
    budget_mb: float | None = None
    budget_record_mb: float | None = None

    @property
    def requests(self) -> int:
        """In all."""
        return self.slots * self.per_slot * self.classes * len(PODS)

    @property
    def upgrades(self) -> int:
        """One every EVERY_S."""
        return int(self.slots * SLOT_S / EVERY_S)


SIZES = (
    Size("half an hour", 8, 18_000, 35, 400, 300, budget_s=7, budget_mb=300),
    Size("a thousand upgrades", 5, 50_000, 4, 200, 0, budget_record_mb=8),
)
WORKER = Size("one worker", 8, 17_000, 9, 400, 0)
WORKER_BUDGET_BYTES = 15


@dataclass(frozen=True)
class Cost:
    """What one size took."""

    read_s: float
    judge_s: float
    peak_mb: float
    record_mb: float


def main() -> int:
    """Measures each size and prints a table; 1 where a budget is exceeded."""
    print("| run | requests | upgrades | read | judge | peak memory | report.json |")
    print("|---|---|---|---|---|---|---|")
    exceeded = []
    for size in SIZES:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "ledger.json"
            _apart(_write, size, path)
            cost = _apart(_measure, size, path)
        print(
            f"| {size.name} | {size.requests:,} | {size.upgrades:,} | {cost.read_s:.1f} s | {cost.judge_s:.1f} s "
            f"| {cost.peak_mb:,.0f} MB | {cost.record_mb:.1f} MB |"
        )
        exceeded += _exceeded(size, cost)
    per_request = _apart(_worker, WORKER)
    print(f"\na load generator's worker keeps {WORKER.requests:,} requests in {per_request:.1f} bytes each")
    exceeded += [f"the worker: {per_request:.1f} bytes"] * (per_request > WORKER_BUDGET_BYTES)
    print("\n".join(exceeded) or "within the budgets")
    return 1 if exceeded else 0


def _apart(action: Any, *arguments: Any) -> Any:
    """In a process of its own, so that nobody else's memory counts."""
    with ProcessPoolExecutor(max_workers=1, mp_context=get_context("spawn")) as pool:
        return pool.submit(action, *arguments).result()


def _exceeded(size: Size, cost: Cost) -> list[str]:
    measured = (
        (cost.read_s + cost.judge_s, size.budget_s, "s"),
        (cost.peak_mb, size.budget_mb, "MB of memory"),
        (cost.record_mb, size.budget_record_mb, "MB of report.json"),
    )
    return [
        f"{size.name}: {value:,.1f} {unit}, budget {budget:,.0f}"
        for value, budget, unit in measured
        if budget is not None and value > budget
    ]


def _measure(size: Size, path: Path) -> Cost:
    began = time.process_time()
    ledger = LoadLedger.model_validate_json(path.read_bytes())
    read = time.process_time()
    scenario = judge("bench", list(_upgrades(size)), [ledger], _apps(ledger), _requirements(size))
    judged = time.process_time()
    peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / MB
    assert scenario.traffic.sent == size.requests
    assert scenario.traffic.failed == size.failures
    record_mb = len(scenario.model_dump_json(indent=1)) / MB
    return Cost(read - began, judged - read, peak_mb, record_mb)


def _requirements(size: Size) -> Requirements:
    classes = CLASSES[: size.classes]
    return Requirements(size.requests, size.upgrades, len(PODS), classes, version_header="x-sidecar-version")


def _upgrades(size: Size) -> Iterator[Upgrade]:
    """One after the other; each pod takes two seconds."""
    for number in range(size.upgrades):
        patched = START + number * EVERY_S
        fields = {"from": f"proxy:v{1 + number % 2}", "to": f"proxy:v{2 - number % 2}"}
        pods = [_pod(name, patched + 0.1 + 2 * turn, fields) for turn, name in enumerate(PODS)]
        made = {"index": number + 1, "patched": patched, "settled": patched + 4.2, "pods": pods}
        yield Upgrade.model_validate({**made, **fields})


def _pod(name: str, at: float, fields: dict[str, str]) -> PodUpgrade:
    starts = {"upgrade": at, "migration": at + 0.4, "reset": at + 1.4, "settled": at + 1.9}
    ends = [*list(starts.values())[1:], None]
    phases = [
        {"name": phase, "start": start, "end": end, "witness": "log line", "precision_ms": 1.0}
        for (phase, start), end in zip(starts.items(), ends, strict=True)
    ]
    event = {"source": "sidecar", "reason": "connection_moved", "message": '{"moved": 1}', "container": "s-1"}
    events = [{"at": at + 0.4 + number / 100, **event} for number in range(EVENTS)]
    made = {"name": name, "working": "s-1", "phases": phases, "events": events}
    return PodUpgrade.model_validate({**made, **fields})


def _apps(ledger: LoadLedger) -> dict[str, AppLedger | None]:
    executed: dict[str, Any] = {pod: {} for pod in PODS}
    for client in ledger.clients:
        executed[client.pod][client.name] = client.answered
    return {pod: AppLedger(pod=pod, executed=executed[pod], duplicated={}) for pod in PODS}


def _write(size: Size, path: Path) -> None:
    """The load generator's ledger."""
    rng = random.Random(1)
    skeleton = {
        "worker": "worker-0",
        "started": START,
        "stopped": START + size.slots * SLOT_S,
        "clients": list(_clients(size)),
        "connections": [],
        "saturation": {"late_fraction": 0.001, "max_lag_ms": 12.5, "cpu_fraction": 0.41},
    }
    with path.open("w", encoding="utf-8") as file:
        file.write(json.dumps(skeleton).removesuffix("}") + ', "series": [')
        for number, (name, pod) in enumerate(product(CLASSES[: size.classes], PODS)):
            file.write(
                ", " * bool(number) + json.dumps({"class": name, "pod": pod, **_series(size, rng).document()})
            )
        file.write("]}")


def _series(size: Size, rng: random.Random) -> Series:
    made = Series()
    for slot in range(size.slots):
        at = START + (slot + 0.5) * SLOT_S
        for _ in range(size.per_slot):
            made.count("sent", at)
            made.answered(at, at + rng.lognormvariate(0, 0.35) * 9e-4, "v1")
    return made


def _worker(size: Size) -> float:
    """Bytes that a request takes in the memory of a worker that has counted them all."""
    rng, before = random.Random(1), _resident()
    kept = [_series(size, rng) for _ in range(size.classes * len(PODS))]
    return (_resident() - before) / sum(sum(one.counts["sent"]) for one in kept)


def _resident() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


def _clients(size: Size) -> Iterator[dict[str, Any]]:
    """Each failure is at a client of its own, as long as there are clients."""
    each, failed = size.requests // size.clients, size.failures
    for number in range(size.clients):
        sequence, fails = 1000, number < failed
        failure = {
            "sequence": sequence,
            "at": START + 9,
            "ended": START + 9.1,
            "kind": "reset",
            "detail": "reset",
        }
        yield {
            "name": f"worker-0.{number}",
            "class": CLASSES[number % size.classes],
            "pod": PODS[number // size.classes % len(PODS)],
            "sent": [(1, each)],
            "answered": [(1, sequence - 1), (sequence + 1, each)] if fails else [(1, each)],
            "failures": [failure] if fails else [],
        }


if __name__ == "__main__":
    sys.exit(main())
