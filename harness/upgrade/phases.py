"""Which phase of a pod's upgrade began when, seen by whom. Pure: fed with views, log lines, times of arrival.

    hot   changed ──upgrade──▶ started ──migration──▶ works      reset ──reset──▶ emptied ──settled──▶
    cold  changed ──upgrade────────────────────────▶ works ──settled──▶

    upgrade and reset end early where the kubelet is seen to wait before it starts the container:
          changed ──upgrade──▶ delayed ──back-off──▶ started     reset ──reset──▶ deferred ──back-off──▶ emptied

    changed  the new image is in the spec of one container, the successor
    started  its process runs: its own log line `started`, else `startedAt`, else only that it works
    works    it is seen running the new image, ready
    reset    the empty image is in the spec of the other container, the predecessor
    emptied  that is seen running the empty image
    delayed  the successor waits in back-off and has not run since its image changed: the kubelet counts every
             restart of a container, also that of a healthy one, and delays the fourth quick one
    deferred the same of the predecessor, after the reset

Between `works` and `reset` no phase lasts: both containers work, and the pod waits for its controller. A
kubelet shows nothing of a container while its hook runs: the watch alone never tells when a migration began.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

from harness.alias import release
from harness.manifest import Subject
from harness.record.upgrade import Phase, PhaseName, PodEvent, PodUpgrade
from harness.upgrade.view import ContainerView, PodView, changes

WATCH_PRECISION_MS = 50.0  # a change of a pod is delivered in a few ms; under load on two cores in some tens
LOG_PRECISION_MS = 1.0  # a sidecar writes its line before it does anything else
SECOND_MS = 1000.0  # the API gives startedAt in whole seconds
SKEW_S = (
    1.0  # so far out of its bounds a log line is taken for another clock's, farther for another process's
)


@dataclass(frozen=True)
class Mark:
    """When something came to pass, who saw it, how precisely."""

    at: float
    witness: str
    precision_ms: float


class PodPhases:
    """One pod in one upgrade."""

    def __init__(self, subject: Subject, source: str, target: str, before: PodView) -> None:
        self._subject, self._source, self._target = subject, source, target
        self._last = before
        self._restarts = {name: container.restarts for name, container in before.containers.items()}
        pair = [name for name in subject.containers if name in before.containers]
        empty = subject.empty_image
        working = [name for name in pair if empty is None or not before.containers[name].wants(empty)]
        self._working = next((name for name in working if before.containers[name].wants(source)), None) or (
            working[0] if working else ""
        )
        self._has_it = self._runs_alone(target, before)
        self._successor: str | None = None
        self._started: float | None = None
        self._marks: dict[str, Mark] = {}
        self._events: list[PodEvent] = []

    def _runs_alone(self, image: str, view: PodView) -> bool:
        """One of the pair runs the image, and the other one is empty: nothing will change."""
        empty = self._subject.empty_image
        wanted = [view.containers[name] for name in self._subject.containers if name in view.containers]
        working = [container for container in wanted if empty is None or not container.wants(empty)]
        return len(working) == 1 and working[0].runs(image) and working[0].wants(image)

    # -- what comes in ---------------------------------------------------------------------------------------

    def see(self, view: PodView, at: float, slack_s: float = 0.0) -> list[tuple[PhaseName, float]]:
        """A view arrived; what it shows happened at most `slack_s` ago. Returns the phases that it opens."""
        known = set(self._marks)
        self._events.extend(changes(self._last, view, at))
        self._find_successor(view)
        mark = Mark(at, "watch", WATCH_PRECISION_MS + slack_s * 1000)
        if self._successor is not None and self._successor in view.containers:
            self._see_successor(view.containers[self._successor], mark)
        predecessor = self._predecessor
        if self._successor is not None and predecessor in view.containers:
            self._see_predecessor(predecessor, view.containers[predecessor], mark)
        self._last = view
        return [opened for name in self._marks if name not in known for opened in self._opens(name)]

    def hear(self, events: Iterable[PodEvent]) -> None:
        """Log lines and API events of this pod, in any order, each once."""
        self._events.extend(events)

    def _find_successor(self, view: PodView) -> None:
        """The container whose spec turns to the target; until then restarts do not count."""
        if self._successor is not None:
            return
        for name in self._subject.containers:
            past, now = self._last.containers.get(name), view.containers.get(name)
            if now and now.wants(self._target) and not (past and past.wants(self._target)):
                self._successor = self._working = name
                return
        self._restarts = {name: container.restarts for name, container in view.containers.items()}

    def _see_successor(self, container: ContainerView, mark: Mark) -> None:
        changed = self._marks.setdefault("changed", mark)
        if container.restarts <= self._restarts.get(self._successor or "", 0):
            if container.backs_off:
                self._marks.setdefault("delayed", mark)
            return
        again = container.restarts > self._restarts.get(self._successor or "", 0) + 1
        times = [container.started, container.last_started if again or container.state == "waiting" else None]
        starts = [time for time in times if time is not None and time >= math.floor(changed.at)]
        if starts:
            self._started = min([*starts, *([self._started] if self._started is not None else [])])
            self._marks.setdefault("started", mark)
        if container.runs(self._target) and container.ready:
            self._marks.setdefault("started", mark)
            self._marks.setdefault("works", mark)

    def _see_predecessor(self, name: str, container: ContainerView, mark: Mark) -> None:
        empty = self._subject.empty_image
        if empty is None:
            return
        if not container.wants(empty):
            self._restarts[name] = container.restarts
            return
        self._marks.setdefault("reset", mark)
        if container.backs_off and container.restarts <= self._restarts.get(name, 0):
            self._marks.setdefault("deferred", mark)
        if container.runs(empty) and container.restarts > self._restarts.get(name, 0):
            self._marks.setdefault("emptied", mark)

    @property
    def _predecessor(self) -> str:
        """The other of the pair; nothing in a cold upgrade."""
        return next((name for name in self._subject.containers if name != self._successor), "")

    # -- what comes out --------------------------------------------------------------------------------------

    @property
    def reached(self) -> set[PhaseName]:
        """The phases that the watch has shown so far, but for the steady one before them."""
        return {phase for mark in self._marks for phase, _ in self._opens(mark)}

    @property
    def settled(self) -> bool:
        """The successor works, the predecessor is empty, the pod is Ready; or it runs the target all along."""
        if self._has_it and self._successor is None:
            return self._last.ready
        last = self._last.containers.get(self._successor or "")
        needed = {"works", "emptied"} if self._subject.mode == "hot" else {"works"}
        return needed <= set(self._marks) and last is not None and last.ready and self._last.ready

    @property
    def backs_off(self) -> bool:
        """The kubelet waits before it starts a container of the pair: nothing comes until it does."""
        marks = self._marks
        delayed = "delayed" in marks and "started" not in marks
        return delayed or ("deferred" in marks and "emptied" not in marks)

    @property
    def hangs(self) -> bool:
        """The successor's process runs and does not come to work: its hook or its probe, and nobody else's doing."""
        return not self.settled and self._start() is not None and "works" not in self._marks

    def awaited(self) -> str:
        """What the pod still lacks, in words, and what was seen of it last."""
        successor, predecessor = self._successor, self._predecessor
        if self.settled:
            lacks = "settled"
        elif successor is None:
            lacks = f"its controller to put {self._target} into its spec"
        elif "works" not in self._marks:
            lacks = f"{successor} to run {self._target} and be ready"
        elif self._subject.mode == "hot" and "reset" not in self._marks:
            lacks = f"its controller to put the empty image {self._subject.empty_image} into {predecessor}"
        elif self._subject.mode == "hot" and "emptied" not in self._marks:
            lacks = f"{predecessor} to run the empty image {self._subject.empty_image}"
        else:
            lacks = "the pod to be Ready again"
        return f"{self._last.name}: {'' if self.settled else 'waits for '}{lacks} ({self._last.words()})"

    def record(self) -> PodUpgrade:
        """What is known so far."""
        return PodUpgrade.model_validate(
            {
                "name": self._last.name,
                "from": release(self._source),
                "to": release(self._target),
                "working": self._working,
                "phases": self._hot() if self._subject.mode == "hot" else self._cold(),
                "events": sorted(self._events, key=lambda event: event.at),
            }
        )

    def _opens(self, mark: str) -> list[tuple[PhaseName, float]]:
        """The phase that a mark opens, live."""
        at = self._marks[mark].at
        if mark == "changed":
            return [("upgrade", at)]
        if mark in ("delayed", "deferred"):
            return [("back-off", at)]
        if mark == "started" and self._subject.mode == "hot":
            start = self._start()
            return [("migration", start.at if start else at)]
        if mark == "reset":
            return [("reset", at)]
        last: str = "emptied" if self._subject.mode == "hot" else "works"
        return [("settled", at)] if mark == last else []

    def _hot(self) -> list[Phase]:
        marks = self._marks
        started, delayed, deferred = self._start(), marks.get("delayed"), marks.get("deferred")
        if started is not None and delayed is not None and delayed.at >= started.at:
            delayed = None  # its own log line is from before the watch's news of a wait that was over
        phases = [
            _phase("upgrade", marks.get("changed"), delayed or started),
            _phase("back-off", delayed, started),
            _phase("migration", started, marks.get("works")),
            _phase("reset", marks.get("reset"), deferred or marks.get("emptied")),
            _phase("back-off", deferred, marks.get("emptied")),
            _phase("settled", marks.get("emptied"), None),
        ]
        return [phase for phase in phases if phase is not None]

    def _cold(self) -> list[Phase]:
        changed, works = self._marks.get("changed"), self._marks.get("works")
        phases = [_phase("upgrade", changed, works), _phase("settled", works, None)]
        return [phase for phase in phases if phase is not None]

    def _start(self) -> Mark | None:
        """When the successor's process began, by the best witness, kept between its neighbours."""
        changed, works = self._marks.get("changed"), self._marks.get("works")
        if changed is None:
            return None
        latest = works.at if works else math.inf
        lines = [
            event.at
            for event in self._events
            if event.source == "sidecar" and event.reason == "started" and event.container == self._successor
        ]
        lines = [at for at in lines if changed.at - SKEW_S <= at <= latest + SKEW_S]
        if lines:
            at = min(max(min(lines), changed.at), latest)
            return Mark(at, "log line", max(LOG_PRECISION_MS, abs(at - min(lines)) * 1000))
        if self._started is not None:
            return Mark(min(max(self._started, changed.at), latest), "startedAt", SECOND_MS)
        if works is not None:
            return Mark(works.at, works.witness, works.precision_ms + (works.at - changed.at) * 1000)
        return None


def _phase(name: PhaseName, start: Mark | None, end: Mark | None) -> Phase | None:
    if start is None:
        return None
    return Phase(
        name=name,
        start=start.at,
        end=end.at if end else None,
        witness=start.witness,
        precision_ms=round(start.precision_ms, 3),
    )
