"""What the page's tables say beyond the record's own numbers. Knows nothing of HTML."""

from __future__ import annotations

import statistics
from collections.abc import Iterator
from dataclasses import dataclass

from harness.record.classes import LASTING
from harness.record.report import ClassResult, Latency, Scenario
from harness.record.upgrade import Phase, PhaseName

PHASES: tuple[PhaseName, ...] = ("steady", "upgrade", "back-off", "migration", "reset", "settled")
BOUNDED: tuple[PhaseName, ...] = ("upgrade", "back-off", "migration", "reset")
"""Those that end by themselves; settled lasts until the next upgrade."""
PERCENTILES = {"p50": "p50", "p90": "p90", "p99": "p99", "p999": "p99.9", "max": "longest"}
"""Field of a latency -> its heading."""
WARMTH = (1.5, 2.0, 4.0, 10.0)  # times steady: each one passed is a shade more
LEAST_MS = 1.0  # above steady, below which nothing is shaded: noise of a fast sidecar


@dataclass(frozen=True)
class Duration:
    """How long one phase lasted, over all pods and upgrades; seconds. `open`: those that were not seen to end."""

    phase: PhaseName
    count: int
    shortest: float
    median: float
    longest: float
    slowest: str
    open: int
    witnesses: str


def durations(scenario: Scenario) -> list[Duration]:
    """Of the phases that occurred."""
    return [made for name in BOUNDED if (made := _duration(scenario, name))]


def phases(scenario: Scenario) -> list[PhaseName]:
    """Those in which a class had answers, in the order in which an upgrade meets them."""
    seen = {phase for of_class in scenario.classes.values() for phase in of_class.latency}
    return [phase for phase in PHASES if phase in seen]


def warmth(latency: Latency, steady: Latency | None, field: str) -> int:
    """How much slower than steady a percentile is, in shades from 0 to len(WARMTH)."""
    if steady is None:
        return 0
    value, usual = getattr(latency, field), getattr(steady, field)
    if value - usual < LEAST_MS:
        return 0
    return sum(value >= times * usual for times in WARMTH)


def typical(scenario: Scenario) -> dict[str, ClassResult]:
    """The classes whose latency says something about the sidecar, and not about how long they last."""
    return {name: of_class for name, of_class in scenario.classes.items() if name not in LASTING}


def worst_p99(scenario: Scenario, phase: PhaseName = "migration") -> float | None:
    """Of the typical classes that had answers in that phase, the slowest one's p99; milliseconds."""
    found = [one.latency[phase].p99 for one in typical(scenario).values() if phase in one.latency]
    return max(found, default=None)


def allowed(scenario: Scenario) -> int:
    """How many of the failed requests the scenario allows to be lost."""
    return sum(of_class.allowed for of_class in scenario.classes.values())


def _duration(scenario: Scenario, name: PhaseName) -> Duration | None:
    seen = list(_of_pods(scenario, name))
    if not seen:
        return None
    ended = [(phase.end - phase.start, where) for where, phase in seen if phase.end is not None]
    lengths = [length for length, _ in ended]
    witnesses = dict.fromkeys(f"{phase.witness} ± {phase.precision_ms:g} ms" for _, phase in seen)
    return Duration(
        phase=name,
        count=len(seen),
        shortest=min(lengths, default=0.0),
        median=statistics.median(lengths) if lengths else 0.0,
        longest=max(lengths, default=0.0),
        slowest=max(ended, default=(0.0, ""))[1],
        open=len(seen) - len(ended),
        witnesses=", ".join(list(witnesses)[:4]) + (" …" if len(witnesses) > 4 else ""),
    )


def _of_pods(scenario: Scenario, name: PhaseName) -> Iterator[tuple[str, Phase]]:
    for upgrade in scenario.upgrades:
        for pod in upgrade.pods:
            for phase in pod.phases:
                if phase.name == name:
                    yield f"{pod.name}, upgrade {upgrade.index}", phase
