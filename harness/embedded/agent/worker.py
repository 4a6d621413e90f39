"""One pod on the node: serial passes of look, plan, act, as a kubelet's pod worker makes them.

A pass begins with a look at the containers, which is reported; then it acts. So nothing is seen of a
container until the pass that started it is over, hook included, and a hook holds up whatever else the pod
needs, its deletion too. Only readiness is reported at once. What there is of the pod on the machine it finds
and keeps in the pod's record, so that the worker of a later agent goes on from there. Knows nothing of how
the API or other pods are watched.
"""

from __future__ import annotations

import asyncio
import secrets
from dataclasses import replace
from functools import partial
from typing import Any

from harness.embedded.agent.actions import Target
from harness.embedded.agent.backoff import Backoff
from harness.embedded.agent.fields import Facts
from harness.embedded.agent.instances import History, Instance, Waiting
from harness.embedded.agent.plan import Kill, Outlook, make_plan
from harness.embedded.agent.probes import KEYS, Probed, Prober
from harness.embedded.agent.publisher import StatusPublisher
from harness.embedded.agent.settings import Tools
from harness.embedded.agent.sources import Sources
from harness.embedded.agent.starting import Starter, StartFailed, full_name, hostname
from harness.embedded.agent.status import Health, Seen, is_sidecar, pod_status
from harness.embedded.agent.stopping import AFTER_HOOK_S, stop
from harness.embedded.agent.support import passed_over, refusals
from harness.embedded.agent.volumes import MountFailed, Volumes
from harness.embedded.events import unix
from harness.embedded.seams import PODS, ApiError, Image, Object, RuntimeFailure

RETRY_S = 1.0  # before a start that failed is tried again; a kubelet takes about as long to notice
SANDBOX_RETRY_S = 5.0  # the machine is out of something; it does not get better within milliseconds
DEFAULT_GRACE_S = 30  # the API's default


class PodWorker:
    """Brings one pod to the state that its spec asks for, until it is deleted."""

    def __init__(self, pod: Object, tools: Tools) -> None:
        self.pod, self._tools = pod, tools
        metadata, self._uid = pod["metadata"], str(pod["metadata"]["uid"])
        self._record = tools.records.of(self._uid)
        self.histories = self._record.histories
        for history in self.histories.values():
            history.waiting = None  # the reason was that of an agent before this one
        self._volumes = Volumes(tools.runtime.volumes / self._uid, tools.settings.credentials)
        self._sources = Sources(tools.api, metadata["namespace"])
        self._starter = Starter(tools, self._volumes, self._sources)
        self._publisher = StatusPublisher(
            tools.api, metadata["namespace"], metadata["name"], self._uid, tools.clock
        )
        self._prober = Prober(
            tools.actions,
            Probed(self._readiness_changed, self._wake_up, self._probe_failed, tools.spawn),
            tools.clock,
        )
        self._backoff = Backoff()
        started = (pod.get("status") or {}).get("startTime")
        self._seen = Seen({}, "", tools.settings.host_ip, unix(started) if started else tools.clock())
        self._stale = True  # the volumes' content
        self._judged = self._refused = self._finished = self._unmounted = False
        self._not_before: dict[tuple[str, str], float] = {}
        self._wake, self._gone = asyncio.Event(), asyncio.Event()
        self._timer: asyncio.TimerHandle | None = None
        self._wake.set()

    # -- what others tell it ---------------------------------------------------------------------------------

    def update(self, pod: Object) -> None:
        """A newer version of the pod."""
        keys = ("labels", "annotations")
        if any(pod["metadata"].get(key) != self.pod["metadata"].get(key) for key in keys):
            self._stale = True
        self.pod = pod
        self._wake_up()

    def refresh(self) -> None:
        """A ConfigMap or Secret of its namespace has changed."""
        self._stale = True
        self._wake_up()

    def gone(self) -> None:
        """The pod was removed from the API: everything of it ends at once."""
        self._gone.set()

    def exited(self, instance: Instance) -> None:
        """One of its instances has ended."""
        self._prober.rest(instance)
        self._wake_up()

    def instance(self, container: str, previous: bool = False) -> Instance | None:
        """The newest instance of a container, or the one before it."""
        history = self.histories.get(container)
        return (history.former if previous else history.current) if history else None

    def _wake_up(self) -> None:
        self._wake.set()

    def _wake_in(self, seconds: float) -> None:
        loop = asyncio.get_running_loop()
        if (
            self._timer is None
            or self._timer.when() <= loop.time()
            or loop.time() + seconds < self._timer.when()
        ):
            self._cancel_timer()
            self._timer = loop.call_later(seconds, self._wake_up)

    def _cancel_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()

    def _readiness_changed(self) -> None:
        self._report()
        self._wake_up()

    def _probe_failed(self, container: Object, message: str) -> None:
        self._tell(self.pod, container, "Warning", "Unhealthy", message)

    # -- its life --------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Works until the pod is gone from the API, and leaves nothing of it behind."""
        writer = asyncio.create_task(self._publisher.run())
        passes = asyncio.create_task(self._passes())
        gone = asyncio.create_task(self._gone.wait())
        try:
            await asyncio.wait({writer, passes, gone}, return_when=asyncio.FIRST_COMPLETED)
            for task in (writer, passes):
                if task.done():
                    task.result()
            if self._gone.is_set():
                await _cancelled(passes)
                await self._remove()
            self._tools.records.forget(self._uid)
        finally:
            self._cancel_timer()
            self._prober.close()
            await _cancelled(writer, passes, gone)

    async def _passes(self) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            if "deletionTimestamp" in self.pod["metadata"]:
                await self._terminate(self.pod)
                return
            await self._pass(self.pod)

    async def _pass(self, pod: Object) -> None:
        """One pass: looks, reports, and does what the spec asks for. `pod` stays the same version
        throughout."""
        before = {name: history.last_ended() for name, history in self.histories.items()}
        self._look(pod)
        if self._finished or not self._accepted(pod) or not await self._prepared(pod):
            return
        instances = {name: h.current for name, h in self.histories.items() if h.current is not None}
        plan = make_plan(pod, Outlook(instances, self._prober.started, self._prober.failed))
        for kill in plan.kill:
            await self._kill(pod, kill)
        begun = False
        for container in plan.start:
            if "deletionTimestamp" in self.pod["metadata"]:
                return
            begun |= await self._start(pod, container, before.get(container["name"]))
        if plan.finished:
            await self._finish(pod)
        if plan.kill or begun:
            self._wake_up()
        else:
            self._look(pod)

    def _look(self, pod: Object) -> None:
        """Takes down what is to be seen now and reports it."""
        views = {name: history.view() for name, history in self.histories.items()}
        self._seen = Seen(
            views, self._record.address, self._tools.settings.host_ip, self._seen.start_time, self._seen.over
        )
        for container in _containers(pod):
            instance = self.instance(container["name"])
            if (
                instance is not None
                and instance.running
                and not (_is_init(pod, container) and not is_sidecar(container))
            ):
                self._prober.watch(container, instance, self._record.address)
        self._report()

    def _report(self) -> None:
        self._publisher.publish(
            pod_status(self.pod, self._seen, Health(self._prober.ready, self._prober.started))
        )

    # -- before the containers -------------------------------------------------------------------------------

    def _accepted(self, pod: Object) -> bool:
        """Whether this node can give the pod what it asks for; tells what it cannot, once."""
        if not self._judged:
            self._judged = True
            if wrong := refusals(pod):
                self._refused = True
                text = f"not supported by the embedded cluster, the pod is not started: {', '.join(wrong)}"
                self._tools.event(pod, "Warning", "Unsupported", text)
            if passed := passed_over(pod):
                text = f"without effect on the embedded cluster: {', '.join(passed)}"
                self._tools.event(pod, "Warning", "Ignored", text)
        return not self._refused

    async def _prepared(self, pod: Object) -> bool:
        """Makes volumes and sandbox; False if that failed, and an event says why."""
        if self._stale:
            self._stale = False
            try:
                await self._volumes.make(pod, self._facts(), self._sources)
            except MountFailed as error:
                self._tools.event(pod, "Warning", "FailedMount", str(error))
                self._unmounted = True
                return bool(self._record.address)
            self._unmounted = False
        if self._record.address or self._unmounted:
            return bool(self._record.address)
        try:
            self._record.sandbox = secrets.token_hex(16)
            self._record.address = await self._tools.runtime.run_sandbox(self._record.sandbox, hostname(pod))
        except RuntimeFailure as error:
            self._tools.event(
                pod, "Warning", "FailedCreatePodSandBox", f"Failed to create pod sandbox: {error}"
            )
            self._wake_in(SANDBOX_RETRY_S)
            return False
        return True

    def _facts(self) -> Facts:
        settings = self._tools.settings
        return Facts(settings.name, settings.host_ip, settings.capacity, self._record.address)

    # -- containers ------------------------------------------------------------------------------------------

    async def _start(self, pod: Object, container: Object, last: Instance | None) -> bool:
        """Starts a container with its hook, if it may start now; whether a container was made. `last` is
        the newest instance that had ended when the pass began."""
        history = self.histories.setdefault(container["name"], History())
        wait = self._not_before.get(_key(container), 0.0) - self._tools.clock()
        if wait > 0:
            self._wake_in(wait)
            return False
        if self._backing_off(pod, container, history, last):
            return False
        instance: Instance | None = None
        try:
            image = self._starter.image(container, partial(self._tell, pod, container))
            instance = self._new_instance(container, history, image)
            spec = await self._starter.spec(pod, container, instance, self._record.sandbox, self._facts())
            self._admit(history, instance)
            self._tell(pod, container, "Normal", "Created", f"Created container: {instance.name}")
            await self._starter.run(spec, instance)
            self._tell(pod, container, "Normal", "Started", f"Started container {instance.name}")
            await self._starter.hook(pod, container, Target.of(container, instance.id, self._record.address))
        except StartFailed as failure:
            await self._start_failed(pod, container, instance, failure)
            history.waiting = failure.waiting
        return instance is not None and history.current is instance

    def _new_instance(self, container: Object, history: History, image: Image) -> Instance:
        name, former = container["name"], history.current
        restarts = former.restarts + 1 if former else 0
        log = self._volumes.log(name, restarts)
        return Instance(
            secrets.token_hex(16), name, container["image"], image, restarts, log, self._tools.clock()
        )

    def _admit(self, history: History, instance: Instance) -> None:
        """Makes an instance the one that counts; the log of the one before the last is dropped."""
        forgotten = history.succeed(instance)
        if forgotten is not None:
            for log in (forgotten.log, forgotten.log.with_name(forgotten.log.name + ".1")):
                log.unlink(missing_ok=True)

    async def _start_failed(
        self, pod: Object, container: Object, instance: Instance | None, failure: StartFailed
    ) -> None:
        """What follows from a start that failed: events, the end of the container, and when it is tried
        again."""
        reason, tell = failure.waiting.reason, partial(self._tell, pod, container)
        if reason == "ImagePullBackOff":
            self._wake_in(self._starter.retry_in(container["image"]))
        elif reason == "ErrImagePull":
            self._wake_in(RETRY_S)
        elif reason in ("CreateContainerConfigError", "RunContainerError"):
            tell("Warning", "Failed", f"Error: {failure}")
        elif reason == "PostStartHookError" and instance is not None:
            tell("Warning", "FailedPostStartHook", "PostStartHook failed")
            tell("Normal", "Killing", "FailedPostStartHook")
            await stop(self._tools, pod, container, instance, self._record.address, _grace(pod))
        if reason != "CreateContainerConfigError":  # that one waits for a change of what it refers to
            self._not_before[_key(container)] = self._tools.clock() + RETRY_S

    def _backing_off(self, pod: Object, container: Object, history: History, last: Instance | None) -> bool:
        """Whether the container has to wait before it starts again; counts the start if not.

        A kubelet counts every start after an end of the same container and image. Unless that is asked for,
        a start that the agent itself made necessary by a change of the image is neither delayed nor
        counted.
        """
        current, key, now = history.current, _key(container), self._tools.clock()
        changed = current is not None and (current.replaced or current.ref != container["image"])
        if last is None or last.exit is None:
            return False
        real = self._tools.settings.kubelet_backoff
        wait = 0.0 if changed and not real else self._backoff.remaining(key, last.exit.at, now)
        if wait <= 0:
            if real or current is None or not current.replaced:
                self._backoff.count(key, last.exit.at, now)
            return False
        name, where, period = container["name"], full_name(pod), self._backoff.period(key)
        text = f"back-off {period:g}s restarting failed container={name} pod={where}"
        history.waiting = Waiting("CrashLoopBackOff", text)
        self._tell(
            pod,
            container,
            "Warning",
            "BackOff",
            f"Back-off restarting failed container {name} in pod {where}",
        )
        self._wake_in(wait)
        return True

    def _tell(self, pod: Object, container: Object, kind: str, reason: str, message: str) -> None:
        self._tools.event(pod, kind, reason, message, container["name"], init=_is_init(pod, container))

    # -- ends ------------------------------------------------------------------------------------------------

    async def _kill(self, pod: Object, kill: Kill) -> None:
        kill.instance.replaced = kill.replaced
        self._tell(pod, kill.container, "Normal", "Killing", kill.message)
        own = kill.container[KEYS[kill.failed]].get("terminationGracePeriodSeconds") if kill.failed else None
        await stop(self._tools, pod, kill.container, kill.instance, self._record.address, own or _grace(pod))

    async def _stop_all(self, pod: Object, grace: float) -> None:
        """Ends all containers at once, then the native sidecars, last one first, in what is left of the
        grace period."""
        deadline = self._tools.clock() + grace
        sidecars = [c for c in pod["spec"].get("initContainers") or [] if is_sidecar(c)]
        async with asyncio.TaskGroup() as group:
            for container in _containers(pod):
                if container not in sidecars:
                    group.create_task(self._stop_one(pod, container, grace))
        for container in reversed(sidecars):
            left = max(AFTER_HOOK_S, deadline - self._tools.clock()) if grace else 0.0
            await self._stop_one(pod, container, left)

    async def _stop_one(self, pod: Object, container: Object, grace: float) -> None:
        instance = self.instance(container["name"])
        if instance is not None and instance.running:
            self._tell(pod, container, "Normal", "Killing", f"Stopping container {container['name']}")
            await stop(self._tools, pod, container, instance, self._record.address, grace)

    async def _finish(self, pod: Object) -> None:
        """Nothing of the pod will run again: ends its sidecars and frees its sandbox, and keeps its logs."""
        await self._stop_all(pod, _grace(pod))
        await self._tools.runtime.remove_sandbox(self._record.sandbox)
        self._finished = True

    async def _terminate(self, pod: Object) -> None:
        """Graceful deletion: ends everything, reports that, and takes the pod out of the API."""
        self._look(pod)
        self._prober.stop_killing()
        metadata = pod["metadata"]
        await self._stop_all(pod, float(metadata.get("deletionGracePeriodSeconds", _grace(pod))))
        await self._remove()
        self._seen = replace(self._seen, over=True)
        self._look(pod)
        await self._publisher.flushed()
        try:
            await self._tools.api.delete(
                PODS, metadata["name"], metadata["namespace"], grace_s=0, uid=self._uid
            )
        except ApiError as error:
            if error.code not in (404, 409):
                raise

    async def _remove(self) -> None:
        await self._tools.runtime.remove_sandbox(self._record.sandbox)
        self._volumes.remove()


async def _cancelled(*tasks: asyncio.Task[Any]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


def _containers(pod: Object) -> list[Object]:
    return [*(pod["spec"].get("initContainers") or []), *pod["spec"]["containers"]]


def _is_init(pod: Object, container: Object) -> bool:
    return any(c["name"] == container["name"] for c in pod["spec"].get("initContainers") or [])


def _key(container: Object) -> tuple[str, str]:
    return container["name"], container["image"]


def _grace(pod: Object) -> float:
    value = pod["spec"].get("terminationGracePeriodSeconds")
    return float(DEFAULT_GRACE_S if value is None else value)
