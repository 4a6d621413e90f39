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
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from math import inf, nextafter

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
    to: str
    start: float
    end: float | None
    precision_s: float


class Phases:
    """All phases of all pods."""

    def __init__(self, upgrades: Sequence[Upgrade]) -> None:
        ordered = sorted(upgrades, key=lambda upgrade: upgrade.patched)
        self._turns, self._under_way = _timetable(ordered)
        self._phases: dict[str, list[tuple[int, Phase]]] = {}
        for upgrade in ordered:
            for pod in upgrade.pods:
                phases = sorted(pod.phases, key=lambda phase: phase.start)
                self._phases.setdefault(pod.name, []).extend((upgrade.index, phase) for phase in phases)
        self._starts = {pod: [phase.start for _, phase in phases] for pod, phases in self._phases.items()}
        self._blur_s = {
            pod: max((_precision_s(phase) for _, phase in phases), default=0.0)
            for pod, phases in self._phases.items()
        }
        absences = ([list(_absences(pod)) for pod in upgrade.pods] for upgrade in ordered)
        self._absences = [of_pods for of_pods in absences if of_pods and all(of_pods)]

    def at(self, pod: str, time: float) -> Place:
        """The phase of a pod at a moment."""
        turn = bisect_right(self._turns, time)
        under_way = self._under_way[turn - 1] if turn else None
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

    def of_any(self, time: float, pods: Sequence[str]) -> Place:
        """The phase of whichever of some pods is disturbed at a moment; of the first, where none is."""
        if len(pods) == 1:
            return self.at(pods[0], time)
        return _most_disturbed([self.at(pod, time) for pod in pods])

    def during(self, pod: str, start: float, end: float) -> Place:
        """The phase that something lasting from `start` to `end` is put into."""
        began, ended = self.at(pod, start), self.at(pod, end)
        if ended.phase in DISTURBED:
            return ended
        if began.phase in DISTURBED:
            return began
        first = next((phase for phase in self._touched(pod, start, end) if phase.name in DISTURBED), None)
        return self.at(pod, first.start) if first else began

    def during_any(self, start: float, end: float, pods: Iterable[str] | None = None) -> Place:
        """The same for what went to any of some pods (None: of all), or needs them all.

        Into a back-off if one was in it, else the first disturbance.
        """
        places = [self.during(pod, start, end) for pod in (self._phases if pods is None else pods)]
        return _most_disturbed(places or [Place("steady", None)])

    def in_doubt(self, start: float, end: float, pods: Iterable[str] | None, uncertainty_s: float) -> bool:
        """Whether `during_any` would name another phase, were the clocks or the witnesses a little off."""
        named = list(self._phases if pods is None else pods)
        judged = self.during_any(start, end, named).phase
        return any(
            self.during_any(began, ended, named).phase != judged
            for began in self._readings(start, named, uncertainty_s)
            for ended in self._readings(end, named, uncertainty_s)
            if began <= ended
        )

    def without_endpoints(self, start: float, end: float) -> bool:
        """Whether, between two moments, back-off kept every pod of an upgrade out of a Service's endpoints.

        As long as one is in, the Service leads there, and what fails is not a kubelet's doing.
        """
        return any(
            all(any(first <= end and start <= last for first, last in of_pod) for of_pod in of_pods)
            for of_pods in self._absences
        )

    def _near(self, pod: str, start: float, end: float, blur_s: float) -> Iterator[Phase]:
        """The phase under way at `start - blur_s`, and all that begin up to `end + blur_s`."""
        starts = self._starts.get(pod, [])
        first = max(bisect_right(starts, start - blur_s) - 1, 0)
        for _, phase in self._phases.get(pod, [])[first : bisect_right(starts, end + blur_s)]:
            yield phase

    def _touched(self, pod: str, start: float, end: float) -> Iterator[Phase]:
        """The phases that something touches, to the precision with which each was seen."""
        for phase in self._near(pod, start, end, self._blur_s.get(pod, 0.0)):
            blur_s = _precision_s(phase)
            if phase.start - blur_s <= end and (phase.end is None or start <= phase.end + blur_s):
                yield phase

    def _readings(self, time: float, pods: Iterable[str], uncertainty_s: float) -> list[float]:
        """A moment, and that moment just before and at each start of a phase that it may lie on the other side of."""
        readings = [time]
        for pod in pods:
            for phase in self._near(pod, time, time, self._blur_s.get(pod, 0.0) + uncertainty_s):
                if abs(phase.start - time) <= _precision_s(phase) + uncertainty_s:
                    readings += [nextafter(phase.start, -inf), phase.start]
        return readings


def _timetable(ordered: Sequence[Upgrade]) -> tuple[list[float], list[int | None]]:
    """Moments, and the upgrade under way from each on: of those that have not settled the one patched last."""
    over = {upgrade.index: inf if upgrade.settled is None else upgrade.settled for upgrade in ordered}
    moments = {upgrade.patched for upgrade in ordered} | {nextafter(end, inf) for end in over.values()}
    turns, under_way, open_, ahead = sorted(moments), list[int | None](), list[int](), deque(ordered)
    for moment in turns:
        while ahead and ahead[0].patched <= moment:
            open_.append(ahead.popleft().index)
        while open_ and over[open_[-1]] < moment:
            open_.pop()
        under_way.append(open_[-1] if open_ else None)
    return turns, under_way


def _most_disturbed(places: Sequence[Place]) -> Place:
    """The first that is in a back-off, else the first that is disturbed, else the first."""
    rank = {"back-off": 0, **dict.fromkeys(DISTURBED[:1] + DISTURBED[2:], 1)}
    return min(places, key=lambda place: rank.get(place.phase, 2))


def _precision_s(phase: Phase) -> float:
    return phase.precision_ms / 1000


def _absences(pod: PodUpgrade) -> Iterator[tuple[float, float]]:
    """When the pod was not among a Service's endpoints for a back-off, each from first to last.

    The kubelet calls the pod Ready only when what it delayed works, which is later than its start. A container that
    ends again in between has itself to blame for what follows.
    """
    for phase, after in zip_longest(pod.phases, pod.phases[1:]):
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
                yield Flip(upgrade.index, pod.name, pod.to, phase.start, phase.end, _precision_s(phase))
