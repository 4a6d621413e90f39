"""Drives pods through upgrades: patch, wait until pods are settled, a steady gap, next.

What counts as settled is what the pods show. The SidecarSet's counters are not waited for: they lag behind
the pods by seconds and add nothing. Knows nothing of what a sidecar does, nor by what a phase is told.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

from kubernetes.client import ApiClient

from harness.alias import release
from harness.errors import ClusterError, Timeout
from harness.manifest import Subject
from harness.progress import Progress
from harness.record.upgrade import Expectation, Upgrade
from harness.upgrade import sidecarset
from harness.upgrade.evidence import Evidence, told
from harness.upgrade.history import History
from harness.upgrade.observe import Sighting, Source, Watcher
from harness.upgrade.phases import PodPhases
from harness.upgrade.step import Step
from harness.upgrade.view import PodView
from harness.upgrade.waits import CLOCK, TIMEOUTS, Clock, Timeouts

PAUSE_S = 0.5  # steady traffic between two upgrades, so that each has a before and an after
TICK_S = 0.2  # how late the end of a wait is noticed


class UpgradeTimeout(Timeout):
    """An upgrade came to a halt; `of_sidecar`: the new one runs and does not come to work, which is its own doing."""

    def __init__(self, message: str, *, of_sidecar: bool) -> None:
        super().__init__(message)
        self.of_sidecar = of_sidecar


@dataclass
class Rollout:
    """One upgrade under way: `stepped` is when one of its pods last moved on."""

    step: Step
    patched: float
    pods: dict[str, PodPhases]
    stepped: float
    expect: Expectation
    settled: float | None = None
    dismissed: set[str] = field(default_factory=set)

    def record(self) -> Upgrade:
        """What is known so far."""
        pods = [
            phases.record().model_copy(update={"dismissed": name in self.dismissed})
            for name, phases in self.pods.items()
        ]
        return Upgrade.model_validate(
            {
                "index": self.step.index,
                "from": release(self.step.source),
                "to": release(self.step.target),
                "patched": self.patched,
                "settled": self.settled,
                "expect": self.expect,
                "pods": pods,
            }
        )


class Driver:
    """Upgrades of some pods, which are Ready. Use: `with driver:` `begin`, `settle` or `until`, `idle`, `begin` ….

    `records` is filled. It holds the upgrade under way from its patch on, so what was seen outlives whatever
    ends the run. ClusterError when a pod or the API goes away. For one thread.
    """

    def __init__(
        self,
        client_factory: Callable[[], ApiClient],
        namespace: str,
        subject: Subject,
        pods: Sequence[str],
        *,
        progress: Progress,
        records: History,
        timeouts: Timeouts = TIMEOUTS,
        clock: Clock = CLOCK,
        source: Source | None = None,
    ) -> None:
        self._api = client_factory()
        self._subject, self._names = subject, list(pods)
        self._progress, self._records = progress, records
        self._timeouts, self._clock = timeouts, clock
        self._source = source or Watcher(
            client_factory, namespace, subject.labels, timeouts=timeouts, clock=clock
        )
        self._news: Source
        self._evidence = Evidence(self._api, namespace)
        self._views: dict[str, PodView] = {}
        self._rollout: Rollout | None = None

    def __enter__(self) -> Self:
        self._news = self._source.__enter__()
        try:
            self._all_seen()
        except BaseException:
            self._source.__exit__()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self._end(complete=error is None)
        finally:
            self._source.__exit__(kind, error, trace)

    # -- what a scenario does ----------------------------------------------------------------------------------

    @property
    def names(self) -> Sequence[str]:
        """The pods that upgrades are waited for at."""
        return self._names

    @property
    def views(self) -> Mapping[str, PodView]:
        """The last that was seen of each pod."""
        return self._views

    @property
    def pods(self) -> Mapping[str, PodPhases]:
        """How far each pod is in the upgrade under way."""
        return self._rollout.pods if self._rollout else {}

    def begin(self, step: Step, expect: Expectation = "settled") -> None:
        """Patches the SidecarSet's image; nothing is waited for."""
        self._end(complete=True)
        while self._take(0.0):
            pass
        now = self._clock.now()
        phases = {
            name: PodPhases(self._subject, step.source, step.target, self._views[name])
            for name in self._names
        }
        self._rollout = Rollout(step, now, phases, stepped=now, expect=expect)
        self._records.append(self._rollout.record())
        for name in self._names:
            self._progress.phase(step.index, name, "steady", now)
        sidecarset.set_image(self._api, self._subject, step.target)

    def settle(self, count: int | None = None) -> None:
        """Waits until `count` pods, or all, are settled; UpgradeTimeout when none of them moves on for too long."""
        rollout = self._under_way()
        rollout.stepped = max(rollout.stepped, self._clock.now() if count is not None else 0.0)
        while not self._is_settled(rollout, count):
            backs_off = any(phases.backs_off for phases in rollout.pods.values())
            patience_s = self._timeouts.back_off_s if backs_off else self._timeouts.step_s
            if self._clock.now() - rollout.stepped >= patience_s:
                raise self._timeout(rollout)
            self._take(TICK_S)

    def until(self, what: str, check: Callable[[], bool], within_s: float) -> None:
        """Waits for something that the pods show; UpgradeTimeout."""
        end = self._clock.now() + within_s
        while not check():
            if self._clock.now() >= end:
                rollout = self._under_way()
                error = self._timeout(rollout)
                raise UpgradeTimeout(
                    f"waited {within_s:g} s for {what}; {error}", of_sidecar=error.of_sidecar
                )
            self._take(TICK_S)

    def idle(self, pause_s: float) -> None:
        """Lets time pass, and sees what happens meanwhile."""
        end = self._clock.now() + pause_s
        while (left := end - self._clock.now()) > 0:
            self._take(min(TICK_S, left))

    def dismiss(self, name: str) -> None:
        """The pod may go away: nothing is waited for there any more."""
        self._names.remove(name)
        if self._rollout:
            self._rollout.dismissed.add(name)

    # ----------------------------------------------------------------------------------------------------------

    def _under_way(self) -> Rollout:
        assert self._rollout is not None, "begin comes first"
        return self._rollout

    def _is_settled(self, rollout: Rollout, count: int | None) -> bool:
        settled = sum(rollout.pods[name].settled for name in self._names)
        return rollout.settled is not None if count is None else settled >= count

    def _all_seen(self) -> None:
        """Every pod has been seen once: what an upgrade changes is told from the state before it."""
        end = self._clock.now() + self._timeouts.observed_s
        while not set(self._names) <= set(self._views):
            if self._clock.now() >= end:
                missing = ", ".join(sorted(set(self._names) - set(self._views)))
                raise Timeout(
                    f"pods {missing} were not seen within {self._timeouts.observed_s:g} s; are they there?"
                )
            self._take(TICK_S)

    def _take(self, timeout_s: float) -> bool:
        """Takes one sighting into account; False if there was none."""
        sighting = self._news.next(timeout_s)
        if sighting is None:
            return False
        if sighting.view.name in self._names:
            self._heed(sighting)
        return True

    def _heed(self, sighting: Sighting) -> None:
        view, rollout = sighting.view, self._rollout
        if sighting.gone or view.leaving:
            during = f" during upgrade {rollout.step.index} to {rollout.step.target}" if rollout else ""
            raise ClusterError(
                f"pod {view.name} went away{during}; something else deletes pods of this namespace"
            )
        self._views[view.name] = view
        if rollout is None:
            return
        for phase, at in rollout.pods[view.name].see(view, sighting.at, sighting.slack_s):
            rollout.stepped = sighting.at
            self._progress.phase(rollout.step.index, view.name, phase, at)
            if phase == "back-off":
                self._progress.note(
                    f"{view.name}: its kubelet delays the next start (back-off); nothing is lost by it"
                )
        if rollout.settled is None and all(rollout.pods[name].settled for name in self._names):
            rollout.settled = sighting.at

    def _end(self, *, complete: bool) -> None:
        """Closes the record; adds what the pods themselves said: it places a migration's start to the millisecond."""
        rollout, self._rollout = self._rollout, None
        if rollout is None:
            return
        if complete:
            for name, phases in rollout.pods.items():
                containers = self._subject.containers
                phases.hear(self._evidence.new(name, containers, rollout.patched, self._clock.now()))
        self._records.amend(rollout.record())

    def _timeout(self, rollout: Rollout) -> UpgradeTimeout:
        step, now = rollout.step, self._clock.now()
        seen = [rollout.pods[name].awaited() for name in self._names]
        what = f"upgrade {step.index} from {step.source} to {step.target}"
        lines = [f"{what} took no step for {now - rollout.stepped:.0f} s: {'; '.join(seen)}"]
        containers = self._subject.containers
        for name, phases in rollout.pods.items():
            phases.hear(self._evidence.new(name, containers, rollout.patched, now))
            if not phases.settled:
                lines += told(self._evidence.all(name, containers, now), name, containers)
        hangs = any(rollout.pods[name].hangs for name in self._names)
        return UpgradeTimeout("\n".join(lines), of_sidecar=hangs)
