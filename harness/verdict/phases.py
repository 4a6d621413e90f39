"""Puts moments into the phases of a pod's upgrades. Knows nothing of requests.

A pod is in the phase that started last. Before its first phase of an upgrade, and between two upgrades, it is
steady. A gap between two phases belongs to the one before it: what the pod did last, it is still doing.

What lasts (a request from its intended send time to its failure) is put where it tells the most:
1. into the phase in which it ended, if that is a phase of an upgrade (upgrade, back-off, migration, reset);
2. else into the phase in which it began, if that is one;
3. else into the first such phase that it touched, to the precision with which that phase was seen;
4. else into the phase in which it began.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import inf

from harness.record.upgrade import Phase, PhaseName, PodUpgrade, Upgrade

DISTURBED: tuple[PhaseName, ...] = ("upgrade", "back-off", "migration", "reset")
"""The phases in which something is done to the pod; a failure outside of them is not the upgrade's doing."""
ENDPOINTS_S = 3.0
"""Until a pod that is Ready again is reached through its Service: kube-proxy gathers changes for a second at least."""


@dataclass(frozen=True)
class Place:
    """Where a moment lies: the pod's phase, and the upgrade that is under way."""

    phase: PhaseName
    upgrade: int | None


@dataclass(frozen=True)
class Flip:
    """One pod's change of sidecars in one upgrade. `end` is None where it was not seen to end."""

    upgrade: int
    pod: str
    start: float
    end: float | None
    precision_s: float


class Phases:
    """All phases of all pods."""

    def __init__(self, upgrades: Sequence[Upgrade]) -> None:
        self._upgrades = sorted(upgrades, key=lambda upgrade: upgrade.patched)
        self._phases: dict[str, list[tuple[int, Phase]]] = {}
        for upgrade in self._upgrades:
            for pod in upgrade.pods:
                ordered = sorted(pod.phases, key=lambda phase: phase.start)
                self._phases.setdefault(pod.name, []).extend((upgrade.index, phase) for phase in ordered)
        self._starts = {pod: [phase.start for _, phase in phases] for pod, phases in self._phases.items()}

    def at(self, pod: str, time: float) -> Place:
        """The phase of a pod at a moment."""
        under_way = self._under_way(time)
        before = bisect_right(self._starts.get(pod, []), time)
        if not before:
            return Place("steady", under_way)
        index, phase = self._phases[pod][before - 1]
        ended = phase.end is not None and phase.end <= time
        last_of_upgrade = before == len(self._phases[pod]) or self._phases[pod][before][0] != index
        waits_for_next = under_way not in (None, index) and (ended or phase.name == "settled")
        if waits_for_next or (ended and last_of_upgrade):
            return Place("steady", under_way)
        return Place(phase.name, under_way)

    def during_any(self, start: float, end: float) -> Place:
        """The same for what went to any of the pods: into a back-off if one was in it, else the first disturbance."""
        places = [self.during(pod, start, end) for pod in self._phases] or [Place("steady", None)]
        rank = {"back-off": 0, **dict.fromkeys(DISTURBED[:1] + DISTURBED[2:], 1)}
        return min(places, key=lambda place: rank.get(place.phase, 2))

    def without_endpoints(self, start: float, end: float) -> bool:
        """Whether, between two moments, back-off kept every pod of an upgrade out of a Service's endpoints.

        As long as one is in, the Service leads there, and what fails is not a kubelet's doing.
        """
        return any(
            bool(upgrade.pods)
            and all(
                any(first <= end and start <= last for first, last in _absences(pod)) for pod in upgrade.pods
            )
            for upgrade in self._upgrades
        )

    def during(self, pod: str, start: float, end: float) -> Place:
        """The phase that something lasting from `start` to `end` is put into."""
        began, ended = self.at(pod, start), self.at(pod, end)
        if ended.phase in DISTURBED:
            return ended
        if began.phase in DISTURBED:
            return began
        touched = (phase for _, phase in self._phases.get(pod, []) if _touches(phase, start, end))
        first = next((phase for phase in touched if phase.name in DISTURBED), None)
        return self.at(pod, first.start) if first else began

    def _under_way(self, time: float) -> int | None:
        for upgrade in reversed(self._upgrades):
            if upgrade.patched <= time and (upgrade.settled is None or time <= upgrade.settled):
                return upgrade.index
        return None


def _touches(phase: Phase, start: float, end: float) -> bool:
    precision_s = phase.precision_ms / 1000
    return phase.start - precision_s <= end and (phase.end is None or start <= phase.end + precision_s)


def _absences(pod: PodUpgrade) -> Iterator[tuple[float, float]]:
    """When the pod was not among a Service's endpoints for a back-off, each from first to last.

    The kubelet calls the pod Ready only when what it delayed works, which is later than its start. A container that
    ends again in between has itself to blame for what follows.
    """
    for phase, after in zip(pod.phases, [*pod.phases[1:], None], strict=True):
        if phase.name != "back-off":
            continue
        over = inf if phase.end is None else phase.end
        if after is not None and after.name == "migration" and after.end is not None:
            ended = [
                event.at
                for event in pod.events
                if event.source == "watch"
                and event.container == pod.working
                and event.reason in ("Terminated", "Waiting")
                and over < event.at < after.end
            ]
            over = min([after.end, *ended])
        yield phase.start - phase.precision_ms / 1000, over + ENDPOINTS_S


def window(upgrade: Upgrade) -> tuple[float, float | None]:
    """From the patch to the end of the last disturbance of its pods (hot: a reset); None: not seen to end."""
    phases = [phase for pod in upgrade.pods for phase in pod.phases if phase.name in DISTURBED]
    ends = [phase.end for phase in phases]
    known = [end for end in ends if end is not None]
    return upgrade.patched, max(known) if known and len(known) == len(ends) else upgrade.settled


def flips(upgrade: Upgrade) -> Iterator[Flip]:
    """The migrations of an upgrade's pods; a pod whose migration was not seen has none."""
    for pod in upgrade.pods:
        for phase in pod.phases:
            if phase.name == "migration":
                yield Flip(upgrade.index, pod.name, phase.start, phase.end, phase.precision_ms / 1000)
