"""Drives pods through upgrades: patch, wait until every pod is settled, a steady gap, next.

What counts as settled is what the pods show. The SidecarSet's counters are not waited for: they lag behind
the pods by seconds and add nothing. Knows nothing of what a sidecar does, nor by what a phase is told.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from kubernetes.client import ApiClient

from harness.alias import release
from harness.errors import ClusterError, Timeout
from harness.manifest import Subject
from harness.progress import Progress
from harness.record.upgrade import Upgrade
from harness.upgrade import sidecarset
from harness.upgrade.evidence import Evidence, told
from harness.upgrade.observe import Sighting, Source, Watcher
from harness.upgrade.phases import PodPhases
from harness.upgrade.plan import Step
from harness.upgrade.view import PodView
from harness.upgrade.waits import CLOCK, TIMEOUTS, Clock, Timeouts

PAUSE_S = 0.5  # steady traffic between two upgrades, so that each has a before and an after
TICK_S = 0.2  # how late a stop is noticed


class UpgradeTimeout(Timeout):
    """An upgrade came to a halt; `upgrade` is what was seen of it."""

    def __init__(self, message: str, upgrade: Upgrade) -> None:
        super().__init__(message)
        self.upgrade = upgrade


class _Stopped(Exception):
    """The stop event was set."""


@dataclass
class _Rollout:
    """One upgrade under way."""

    index: int
    source: str
    target: str
    patched: float
    pods: dict[str, PodPhases]
    stepped: float
    settled: float | None = None

    def record(self) -> Upgrade:
        return Upgrade.model_validate(
            {
                "index": self.index,
                "from": release(self.source),
                "to": release(self.target),
                "patched": self.patched,
                "settled": self.settled,
                "pods": [phases.record() for phases in self.pods.values()],
            }
        )


@dataclass
class _Driver:
    api: ApiClient
    evidence: Evidence
    subject: Subject
    names: Sequence[str]
    news: Source
    progress: Progress
    stop: threading.Event
    records: list[Upgrade]
    timeouts: Timeouts
    clock: Clock
    views: dict[str, PodView] = field(default_factory=dict)
    rollout: _Rollout | None = None

    def drive(self, steps: Sequence[Step], pause_s: float) -> None:
        self._all_seen()
        for step in steps:
            rollout = self._patch(step)
            try:
                self._until_settled(rollout)
                self._idle(pause_s)
            finally:
                self.records[-1] = rollout.record()
            self._gather(rollout)

    def _all_seen(self) -> None:
        """Every pod has been seen once: what an upgrade changes is told from the state before it."""
        end = self.clock.now() + self.timeouts.observed_s
        while not set(self.names) <= set(self.views):
            if self.clock.now() >= end:
                missing = ", ".join(sorted(set(self.names) - set(self.views)))
                raise Timeout(
                    f"pods {missing} were not seen within {self.timeouts.observed_s:g} s; are they there?"
                )
            self._take(TICK_S)

    def _patch(self, step: Step) -> _Rollout:
        index, source, target = step.index, step.source, step.target
        while self._take(0.0):
            pass
        now = self.clock.now()
        phases = {name: PodPhases(self.subject, source, target, self.views[name]) for name in self.names}
        rollout = self.rollout = _Rollout(index, source, target, now, phases, stepped=now)
        self.records.append(rollout.record())
        for name in self.names:
            self.progress.phase(index, name, "steady", now)
        sidecarset.set_image(self.api, self.subject, target)
        return rollout

    def _until_settled(self, rollout: _Rollout) -> None:
        while rollout.settled is None:
            backs_off = any(phases.backs_off for phases in rollout.pods.values())
            patience_s = self.timeouts.back_off_s if backs_off else self.timeouts.step_s
            if self.clock.now() - rollout.stepped >= patience_s:
                raise self._timeout(rollout)
            self._take(TICK_S)

    def _idle(self, pause_s: float) -> None:
        end = self.clock.now() + pause_s
        while (left := end - self.clock.now()) > 0:
            self._take(min(TICK_S, left))

    def _take(self, timeout_s: float) -> bool:
        """Takes one sighting into account; False if there was none."""
        if self.stop.is_set():
            raise _Stopped
        sighting = self.news.next(timeout_s)
        if sighting is None:
            return False
        if sighting.view.name in self.names:
            self._heed(sighting)
        return True

    def _heed(self, sighting: Sighting) -> None:
        view, rollout = sighting.view, self.rollout
        if sighting.gone or view.leaving:
            during = f" during upgrade {rollout.index} to {rollout.target}" if rollout else ""
            raise ClusterError(
                f"pod {view.name} went away{during}; something else deletes pods of this namespace"
            )
        self.views[view.name] = view
        if rollout is None:
            return
        for phase, at in rollout.pods[view.name].see(view, sighting.at, sighting.slack_s):
            rollout.stepped = sighting.at
            self.progress.phase(rollout.index, view.name, phase, at)
            if phase == "back-off":
                self.progress.note(
                    f"{view.name}: its kubelet delays the next start (back-off); nothing is lost by it"
                )
        if rollout.settled is None and all(phases.settled for phases in rollout.pods.values()):
            rollout.settled = sighting.at

    def _gather(self, rollout: _Rollout) -> None:
        """Adds what the pods themselves said: it places the start of a migration to the millisecond."""
        for name, phases in rollout.pods.items():
            phases.hear(self.evidence.new(name, self.subject.containers, rollout.patched, self.clock.now()))
        self.records[-1] = rollout.record()

    def _timeout(self, rollout: _Rollout) -> UpgradeTimeout:
        seen = [phases.awaited() for phases in rollout.pods.values()]
        what = f"upgrade {rollout.index} from {rollout.source} to {rollout.target}"
        lines = [f"{what} took no step for {self.clock.now() - rollout.stepped:.0f} s: {'; '.join(seen)}"]
        now = self.clock.now()
        containers = self.subject.containers
        for name, phases in rollout.pods.items():
            phases.hear(self.evidence.new(name, containers, rollout.patched, now))
            if not phases.settled:
                lines += told(self.evidence.all(name, containers, now), name, containers)
        return UpgradeTimeout("\n".join(lines), rollout.record())


def run_upgrades(
    client_factory: Callable[[], ApiClient],
    namespace: str,
    subject: Subject,
    pods: Sequence[str],
    steps: Sequence[Step],
    *,
    progress: Progress,
    stop: threading.Event,
    records: list[Upgrade] | None = None,
    pause_s: float = PAUSE_S,
    timeouts: Timeouts = TIMEOUTS,
    clock: Clock = CLOCK,
    source: Source | None = None,
) -> list[Upgrade]:
    """Makes the upgrades and returns what was seen. The pods are Ready and run the first one's source.

    `records` is the list that is filled and returned. It holds the upgrade under way from its patch on, so
    what was seen outlives whatever ends the run. Setting `stop` ends the wait without an error. Raises
    UpgradeTimeout when no pod moved on for `timeouts.step_s`, ClusterError when a pod or the API goes away.
    """
    found: list[Upgrade] = records if records is not None else []
    api = client_factory()
    watcher = source or Watcher(client_factory, namespace, subject.labels, timeouts=timeouts, clock=clock)
    with watcher as news:
        evidence = Evidence(api, namespace)
        driver = _Driver(api, evidence, subject, pods, news, progress, stop, found, timeouts, clock)
        try:
            driver.drive(steps, pause_s)
        except _Stopped:
            return found
    return found
