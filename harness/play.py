"""Carries out a scenario's steps on pods under traffic. Knows nothing of how the traffic is made or judged."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import singledispatchmethod
from statistics import median

from kubernetes.client import ApiClient, CoreV1Api

from harness.act import Act
from harness.alias import release
from harness.calls import REQUEST_S, calling
from harness.cluster.protocol import Cluster
from harness.errors import Timeout
from harness.exec import execute
from harness.manifest import Subject, canonical_image
from harness.progress import Progress
from harness.record.report import Outcome
from harness.record.upgrade import Expectation
from harness.scenarios import steps
from harness.traffic.proxy import PodPort
from harness.traffic.workload import APP_ADMIN_PORT, APP_CONTAINER
from harness.upgrade import pods, sidecarset
from harness.upgrade.driver import Driver
from harness.upgrade.step import Step as UpgradeStep
from harness.workload import Workload

NOWHERE = "hotupgrade-no-such-tag"
MORE_DESCRIPTORS, FEW_DESCRIPTORS = 1.2, 20  # what connections that come and go make of the same load
LOOK_S = 0.5
FAR_BEHIND_S = 1.0  # of its schedule; with a rate that grows it does not come back from there
LAP_INDEX = 1000  # a lap makes fewer upgrades than that: no alias comes twice in a run


@dataclass(frozen=True)
class Stage:
    """What a step can reach. `subject` selects the pods of this lap; `behind_s` is how far its load is behind."""

    cluster: Cluster
    workload: Workload
    subject: Subject
    lap: int
    driver: Driver
    progress: Progress
    behind_s: Callable[[], float]

    @property
    def namespace(self) -> str:
        """Where the pods are."""
        return self.workload.namespace


class Player:
    """Plays one scenario's steps on one lap's pods."""

    def __init__(self, act: Act, stage: Stage) -> None:
        self._act, self._stage, self._driver = act, stage, stage.driver
        self._api: ApiClient = stage.cluster.client()
        self._waits = act.turn.scenario.waits
        self._target = act.image  # of the last upgrade that was begun
        self._added = 0
        self._descriptors: dict[str, list[int]] = {}  # by image, at any pod

    def play(self, script: Sequence[steps.Step]) -> None:
        """All steps, in order; ClusterError and what it knows as such."""
        for step in script:
            self._do(step)
        if self._added:
            self._hold_added()
        if self._descriptors:
            self._hold_descriptors()

    @singledispatchmethod
    def _do(self, step: object) -> None:
        raise TypeError(f"not a step: {step!r}")

    # -- images --------------------------------------------------------------------------------------------

    @_do.register
    def _(self, step: steps.Upgrade) -> None:
        for _ in range(step.count):
            began = time.monotonic()
            self._begin(step.to, "settled")
            self._settle()
            self._driver.idle(max(step.pause_s, began + (step.every_s or 0.0) - time.monotonic()))

    @_do.register
    def _(self, step: steps.Begin) -> None:
        if step.fault:
            self._act.fault(step.fault, detail=self._image(step.to))
        self._begin(step.to, step.expect)

    @_do.register
    def _(self, step: steps.Settle) -> None:
        if step.pods is None:
            self._settle()
        else:
            self._driver.settle(step.pods)

    def _begin(self, to: str, expect: Expectation) -> None:
        """A halted upgrade changes nothing of what works, and what it brought is what a roll-back comes from."""
        index = len(self._act.upgrades) + 1
        source = self._target if to == steps.PREVIOUS else self._act.image
        self._target = self._image(to)
        if to != steps.MISSING:
            self._target = self._stage.cluster.alias(self._target, self._stage.lap * LAP_INDEX + index)
        self._driver.begin(UpgradeStep(index, source, self._target), expect)

    def _settle(self) -> None:
        self._driver.settle()
        self._act.image = self._target

    def _image(self, to: str) -> str:
        """The reference that a step's word stands for."""
        subject = self._stage.subject
        if to == steps.NEXT:
            return subject.image_after(release(self._act.image))
        if to == steps.PREVIOUS:
            return release(self._act.image)
        if to == steps.MISSING:
            repository, _, _ = canonical_image(subject.images[0]).rpartition(":")
            return f"{repository}:{NOWHERE}"
        return to

    # -- waiting -------------------------------------------------------------------------------------------

    @_do.register
    def _(self, step: steps.Reach) -> None:
        def reached() -> bool:
            return any(step.phase in of_pod.reached for of_pod in self._driver.pods.values())

        self._driver.until(f"a pod to enter {step.phase}", reached, self._waits.reach_s)

    @_do.register
    def _(self, step: steps.Steady) -> None:
        self._driver.idle(step.seconds)

    @_do.register
    def _(self, step: steps.Climb) -> None:
        self._act.fault("the rate begins to grow")
        far_behind_s = 0.0
        for _ in range(round(step.seconds / LOOK_S)):
            self._driver.idle(LOOK_S)
            far_behind_s = far_behind_s + LOOK_S if self._stage.behind_s() > FAR_BEHIND_S else 0.0
            if far_behind_s >= step.patience_s:
                break

    @_do.register
    def _(self, step: steps.Halted) -> None:
        self._driver.idle(step.seconds)
        settled = sum(of_pod.settled for of_pod in self._driver.pods.values())
        self._act.check(
            f"upgrade {len(self._act.upgrades)} is held",
            f"{step.pods} of {len(self._driver.names)} pods settled",
            f"{settled} settled",
            "passed" if settled == step.pods else "failed",
        )

    @_do.register
    def _(self, step: steps.Unchanged) -> None:
        def seen() -> dict[str, list[tuple[str, int]]]:
            return {
                name: [(container.image, container.restarts) for container in view.containers.values()]
                for name, view in self._driver.views.items()
            }

        before = seen()
        self._driver.idle(step.seconds)
        changed = [name for name, containers in seen().items() if containers != before[name]]
        self._act.check(
            "nothing happens",
            "no container changed or started again",
            f"changed: {', '.join(changed)}" if changed else "none did",
            "failed" if changed else "passed",
        )

    # -- the SidecarSet ------------------------------------------------------------------------------------

    @_do.register
    def _(self, step: steps.Strategy) -> None:
        given = {
            "paused": step.paused,
            "partition": step.partition,
            "maxUnavailable": step.max_unavailable,
        }
        fields = {name: value for name, value in given.items() if value is not None}
        self._act.fault(
            "updateStrategy", detail=", ".join(f"{name} {value}" for name, value in fields.items())
        )
        sidecarset.set_strategy(self._api, self._stage.subject, fields)

    @_do.register
    def _(self, step: steps.Variable) -> None:
        self._act.fault("environment", detail=f"{step.name}={step.value}")
        sidecarset.set_variable(self._api, self._stage.subject, step.name, step.value)

    # -- faults --------------------------------------------------------------------------------------------

    @_do.register
    def _(self, step: steps.DeletePod) -> None:
        under_way = [
            name for name, of_pod in self._driver.pods.items() if of_pod.reached and not of_pod.settled
        ]
        name = (under_way or list(self._driver.names))[0]
        self._driver.dismiss(name)
        self._act.gone.add(name)
        self._act.fault("pod deleted", pod=name)
        with calling(f"delete pod {name}"):
            CoreV1Api(self._api).delete_namespaced_pod(
                name, self._stage.namespace, _request_timeout=REQUEST_S
            )

    @_do.register
    def _(self, step: steps.AddPod) -> None:
        self._added += 1
        self._act.fault("pod added")
        count = self._act.turn.scenario.pods + self._added
        self._stage.workload.scale(self._api, self._stage.lap, count)

    @_do.register
    def _(self, step: steps.Execute) -> None:
        for name in self._driver.names:
            container = APP_CONTAINER if step.container == "application" else self._working(name)
            self._act.fault(step.name, pod=name, detail=f"in {container}")
            done = execute(
                self._stage.cluster.client(),
                self._stage.namespace,
                name,
                container,
                step.command,
                self._waits.exec_s,
            )
            if done.code:
                raise Timeout(
                    f"{step.name}: exit code {done.code} in {name}/{container}: {done.output.strip()[:300]}"
                )

    @_do.register
    def _(self, step: steps.Descriptors) -> None:
        for name in self._driver.names:
            done = execute(
                self._stage.cluster.client(),
                self._stage.namespace,
                name,
                self._working(name),
                ("/bin/sh", "-c", "ls /proc/1/fd | wc -l"),
                self._waits.exec_s,
            )
            if done.code == 0 and done.output.strip().isdigit():
                self._descriptors.setdefault(release(self._act.image), []).append(int(done.output))

    @_do.register
    def _(self, step: steps.Slow) -> None:
        for name in self._driver.names:
            self._act.fault("application slowed down", pod=name, detail=f"{step.milliseconds} ms")
            port = PodPort(self._api, self._stage.namespace, name, APP_ADMIN_PORT)
            port.call("POST", f"/slow?ms={step.milliseconds}", REQUEST_S)

    @_do.register
    def _(self, step: steps.Restart) -> None:
        self._act.fault(f"{step.part} restarted")
        self._stage.cluster.restart(step.part, self._waits.restart_s)

    # ------------------------------------------------------------------------------------------------------

    def _working(self, pod: str) -> str:
        """The container that does not run the empty image."""
        view, subject = self._driver.views[pod], self._stage.subject
        empty = subject.empty_image
        return next(
            name for name in subject.containers if empty is None or not view.containers[name].wants(empty)
        )

    def _hold_descriptors(self) -> None:
        """Images that work alike under the same load need about as many open files."""
        medians = {image: median(counts) for image, counts in self._descriptors.items()}
        least = min(medians.values())
        leaking = max(medians.values()) > max(least * MORE_DESCRIPTORS, least + FEW_DESCRIPTORS)
        self._act.check(
            "descriptors",
            f"no image holds over {MORE_DESCRIPTORS:g} times and {FEW_DESCRIPTORS} more than another",
            ", ".join(f"{image}: {count:,.0f}" for image, count in medians.items()),
            "failed" if leaking else "passed",
        )

    def _hold_added(self) -> None:
        """Pods that were added came with the pair, and with the image that the others have by now."""
        subject = replace(self._stage.subject, image=self._act.image)
        count = self._act.turn.scenario.pods + self._added
        observed = f"{count} pods"
        outcome: Outcome = "passed"
        try:
            pods.wait_for_pairs(self._api, self._stage.namespace, subject, count)
        except Timeout as error:
            outcome, observed = "failed", str(error).splitlines()[0]
        self._act.check("pods that were added have their pair", f"{count} pods", observed, outcome)
