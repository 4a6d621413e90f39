"""What a soak came to: throughput and latency by phase, for each pair of versions. Pure; knows no ledger's origin."""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from harness.record.classes import LASTING
from harness.record.columns import counted
from harness.record.ledger import LoadLedger
from harness.record.loadtest import PhaseFigures, Soak, VersionPair
from harness.record.report import ClockOffset, Latency, Scenario
from harness.record.series import SLOT_S, Series
from harness.record.upgrade import PhaseName, Upgrade
from harness.verdict.clocks import Clocks
from harness.verdict.latency import summary
from harness.verdict.phases import Phases

ORDER: tuple[PhaseName, ...] = ("steady", "upgrade", "back-off", "migration", "reset", "settled")

Pair = tuple[str, str]


@dataclass
class Sum:
    """What some slots come to. `moments` counts each slot's time once, if anything was sent then at all."""

    moments: int = 0
    sent: int = 0
    answered: int = 0
    failed: int = 0
    latencies: Counter[int] = field(default_factory=Counter)
    """By their codes."""

    def add(self, of_pod: Sequence[Series], number: int) -> None:
        """Those of one pod in one slot of time."""
        before = self.sent
        for one in of_pod:
            index = number - _number(one)
            if 0 <= index < one.length:
                self.sent += one.sent[index]
                self.answered += one.answered[index]
                self.failed += one.failed[index]
                if one.traffic_class not in LASTING:
                    self.latencies.update(one.latencies_of(range(index, index + 1)))
        self.moments += self.sent > before

    @property
    def latency(self) -> Latency | None:
        """None without an answer."""
        return summary(counted(self.latencies)) if self.latencies else None


def soak(
    judged: Scenario,
    upgrades: Sequence[Upgrade],
    loads: Sequence[LoadLedger],
    clocks: Sequence[ClockOffset],
    factor: float,
    workers: int,
) -> Soak:
    """All of it, as far as it was seen. `judged` is the verdict on it."""
    corrected = [Clocks(clocks).corrected(load) for load in loads]
    sums = _sums(upgrades, corrected)
    whole = Sum()
    for one in sums.values():
        whole.latencies.update(one.latencies)
    efforts = [effort for load in loads for effort in load.efforts]
    seconds = sum(effort.seconds for effort in efforts) / workers
    return Soak(
        factor=factor,
        asked=sum(effort.asked for effort in efforts) / seconds if seconds else 0.0,
        reached=sum(effort.reached for effort in efforts) / seconds if seconds else 0.0,
        seconds=seconds,
        upgrades=sum(upgrade.settled is not None for upgrade in upgrades),
        sent=judged.traffic.sent,
        failed=judged.traffic.failed,
        outcome=judged.outcome,
        reason=judged.reason,
        latency=whole.latency,
        pairs=list(_pairs(upgrades, sums)),
    )


def _sums(upgrades: Sequence[Upgrade], loads: Sequence[LoadLedger]) -> dict[tuple[Pair, PhaseName], Sum]:
    """By the pair of versions that a pod's slot belongs to, and its phase; before its first upgrade, to that one."""
    phases, turns = Phases(upgrades), _turns(upgrades)
    sums: dict[tuple[Pair, PhaseName], Sum] = {}
    for pod, (patched, pairs) in turns.items():
        of_pod = [one for load in loads for one in load.series if one.pod == pod]
        first = min(map(_number, of_pod), default=0)
        last = max((_number(one) + one.length for one in of_pod), default=0)
        for number in range(first, last):
            middle = (number + 0.5) * SLOT_S
            pair = pairs[max(bisect_right(patched, middle) - 1, 0)]
            sums.setdefault((pair, phases.at(pod, middle).phase), Sum()).add(of_pod, number)
    return sums


def _number(series: Series) -> int:
    """That of its first slot, by the harness's clock."""
    return round(series.time(0) / SLOT_S)


def _turns(upgrades: Sequence[Upgrade]) -> dict[str, tuple[list[float], list[Pair]]]:
    """For each pod: when its upgrades were patched, and what they led from and to."""
    turns: dict[str, tuple[list[float], list[Pair]]] = {}
    for upgrade in sorted(upgrades, key=lambda one: one.patched):
        for pod in upgrade.pods:
            patched, pairs = turns.setdefault(pod.name, ([], []))
            patched.append(upgrade.patched)
            pairs.append((upgrade.from_, upgrade.to))
    return turns


def _pairs(upgrades: Sequence[Upgrade], sums: dict[tuple[Pair, PhaseName], Sum]) -> Iterator[VersionPair]:
    """In the order in which they came."""
    counts = Counter((upgrade.from_, upgrade.to) for upgrade in upgrades)
    for pair, count in counts.items():
        figures = [_figures(phase, sums[pair, phase]) for phase in ORDER if (pair, phase) in sums]
        whole = {"from": pair[0], "to": pair[1], "upgrades": count, "phases": figures}
        yield VersionPair.model_validate(whole)


def _figures(phase: PhaseName, of_phase: Sum) -> PhaseFigures:
    seconds = of_phase.moments * SLOT_S
    return PhaseFigures(
        phase=phase,
        seconds=round(seconds, 1),
        sent=of_phase.sent,
        failed=of_phase.failed,
        rate=of_phase.answered / seconds if seconds else 0.0,
        latency=of_phase.latency,
    )
