"""What a soak came to: throughput and latency by phase, for each pair of versions. Pure; knows no ledger's origin."""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import groupby

from harness.record.classes import LASTING
from harness.record.ledger import SLOT_S, LoadLedger, Slot
from harness.record.loadtest import PhaseFigures, Soak, VersionPair
from harness.record.report import ClockOffset, Latency, Scenario
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
    latency_us: Counter[int] = field(default_factory=Counter)

    def add(self, slots: Iterable[Slot]) -> None:
        """Those of one pod in one slot of time."""
        before = self.sent
        for slot in slots:
            self.sent += slot.sent
            self.answered += slot.answered
            self.failed += slot.failed
            if slot.traffic_class not in LASTING:
                self.latency_us.update(slot.latency_us)
        self.moments += self.sent > before

    @property
    def latency(self) -> Latency | None:
        """None without an answer."""
        return summary(self.latency_us) if self.latency_us else None


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
    whole: Counter[int] = Counter()
    for one in sums.values():
        whole.update(one.latency_us)
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
        latency=summary(whole) if whole else None,
        pairs=list(_pairs(upgrades, sums)),
    )


def _sums(upgrades: Sequence[Upgrade], loads: Sequence[LoadLedger]) -> dict[tuple[Pair, PhaseName], Sum]:
    """By the pair of versions that a pod's slot belongs to, and its phase; before its first upgrade, to that one."""
    phases, turns = Phases(upgrades), _turns(upgrades)
    sums: dict[tuple[Pair, PhaseName], Sum] = {}
    slots = sorted((slot for load in loads for slot in load.slots), key=_when)
    for (pod, number), together in groupby(slots, _when):
        if pod in turns:
            middle = (number + 0.5) * SLOT_S
            patched, pairs = turns[pod]
            pair = pairs[max(bisect_right(patched, middle) - 1, 0)]
            sums.setdefault((pair, phases.at(pod, middle).phase), Sum()).add(together)
    return sums


def _when(slot: Slot) -> tuple[str, int]:
    return slot.pod, round(slot.at / SLOT_S)


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
