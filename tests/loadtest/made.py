"""Ledgers of load tests that never took place: a worker whose steps went as they are told."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from harness.loadtest.plan import STEP_S
from harness.record.ledger import LoadLedger
from harness.record.series import SLOT_S
from tests.record.slots import Slot, packed

START = 1_767_323_045.0
POD = "application-1-a"


@dataclass(frozen=True)
class Went:
    """How one step went, by the second: all requests of it took `ms`."""

    asked: int = 100
    reached: int | None = None
    ms: float = 4.0
    failed: int = 0
    late: int = 0
    busy: float = 0.4
    ended: int | None = None
    """Of those that were asked for in this step, how many ever came to an end."""


def load(steps: Sequence[Went], worker: str = "worker-0", started: float = START) -> LoadLedger:
    """One worker's ledger, whose clock may be what it likes."""
    seconds = [step for step in steps for _ in range(round(STEP_S))]
    ledger: dict[str, Any] = {
        "worker": worker,
        "started": started,
        "stopped": started + len(seconds),
        "clients": [],
        "connections": [],
        "series": packed(
            slot for number, step in enumerate(seconds) for slot in _slots(step, started + number)
        ),
        "saturation": {"late_fraction": 0.0, "max_lag_ms": 1.0, "cpu_fraction": 0.4},
        "efforts": [_effort(step, started + number) for number, step in enumerate(seconds)],
    }
    return LoadLedger.model_validate(ledger)


def _effort(step: Went, at: float) -> dict[str, Any]:
    reached = step.asked if step.reached is None else step.reached
    return {
        "seconds": 1.0,
        "at": at,
        "asked": step.asked,
        "reached": reached,
        "late": step.late,
        "busy": step.busy,
    }


def _slots(step: Went, at: float) -> list[Slot]:
    per_slot = round((step.asked if step.ended is None else step.ended) * SLOT_S)
    return [
        slot(at + number * SLOT_S, per_slot, step.ms, step.failed if number == 5 else 0)
        for number in range(round(1 / SLOT_S))
    ]


def slot(at: float, count: int, ms: float, failed: int = 0, name: str = "keep-alive", pod: str = POD) -> Slot:
    """What all requests of a class did in one slot, each in so many milliseconds."""
    latencies = {round(ms * 1000): count - failed}
    return Slot(at, name, pod, sent=count, failed=failed, ended=count, latency_us=latencies)
