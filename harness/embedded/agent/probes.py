"""Probes of one pod's containers: when they run, and what their results add up to.

Knows nothing of what follows: it says that readiness changed or that a container is unhealthy. Results hold
for one instance; its successor starts with none.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Coroutine
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Literal

from harness.embedded.agent.actions import Actions, ActionUnknown, Target
from harness.embedded.agent.instances import Instance
from harness.embedded.seams import Object

ProbeKind = Literal["startup", "liveness", "readiness"]
KEYS: dict[ProbeKind, str] = {
    "startup": "startupProbe",
    "liveness": "livenessProbe",
    "readiness": "readinessProbe",
}
DEFAULT_PERIOD_S, DEFAULT_TIMEOUT_S, DEFAULT_FAILURES = 10, 1, 3  # the API's defaults


@dataclass(frozen=True)
class Probed:
    """Whom to tell: of a change that a status shows, of an ill container, of what an event should say; and
    who runs tasks."""

    changed: Callable[[], None]
    unhealthy: Callable[[], None]
    event: Callable[[Object, str], None]  # container, message
    spawn: Callable[[Coroutine[None, None, None]], asyncio.Task[None]]  # a task whose exception is not lost


@dataclass
class _Health:
    instance: Instance
    spec: Object
    started: bool
    ready: bool
    failed: ProbeKind | None = None
    tasks: dict[ProbeKind, asyncio.Task[None]] = field(default_factory=dict)


class Prober:
    """Runs the probes of the instances that it was told to watch."""

    def __init__(self, actions: Actions, probed: Probed, clock: Callable[[], float]) -> None:
        self._actions, self._probed, self._clock = actions, probed, clock
        self._health: dict[str, _Health] = {}

    def watch(self, spec: Object, instance: Instance, address: str) -> None:
        """Begins to probe an instance, once; what its predecessor's probes said is forgotten."""
        if instance.id in self._health:
            return
        for former in [h.instance for h in self._health.values() if h.instance.name == instance.name]:
            self.rest(former)
            del self._health[former.id]
        health = _Health(instance, spec, "startupProbe" not in spec, "readinessProbe" not in spec)
        self._health[instance.id] = health
        target = Target.of(spec, instance.id, address)
        if health.started:
            self._begin(health, target)
        else:
            self._spawn(health, "startup", self._startup(health, target))

    def rest(self, instance: Instance) -> None:
        """Ends the probes of an instance that has ended; their results hold while it is the one that is
        shown."""
        health = self._health.get(instance.id)
        while health and health.tasks:
            health.tasks.popitem()[1].cancel()

    def stop_killing(self) -> None:
        """Ends startup and liveness probes, as when the pod is going; readiness is still told."""
        for health in self._health.values():
            for kind in ("startup", "liveness"):
                if task := health.tasks.pop(kind, None):
                    task.cancel()

    def close(self) -> None:
        """Ends everything."""
        for health in self._health.values():
            self.rest(health.instance)

    def started(self, instance: str) -> bool:
        """Whether the instance is past its startup probe; one without is at once."""
        health = self._health.get(instance)
        return health is not None and health.started

    def ready(self, instance: str) -> bool:
        """Whether it is ready; without a readiness probe it is once started."""
        health = self._health.get(instance)
        return health is not None and health.started and health.ready

    def failed(self, instance: str) -> ProbeKind | None:
        """The probe that says it has to be restarted, if one does."""
        health = self._health.get(instance)
        return health.failed if health else None

    def _spawn(self, health: _Health, kind: ProbeKind, work: Coroutine[None, None, None]) -> None:
        health.tasks[kind] = self._probed.spawn(work)

    def _begin(self, health: _Health, target: Target) -> None:
        if "livenessProbe" in health.spec:
            self._spawn(health, "liveness", self._liveness(health, target))
        if "readinessProbe" in health.spec:
            self._spawn(health, "readiness", self._readiness(health, target))

    async def _startup(self, health: _Health, target: Target) -> None:
        async with aclosing(self._verdicts(health, "startup", target)) as verdicts:
            healthy = await anext(verdicts)
        if not healthy:
            self._ill(health, "startup")
            return
        health.started = True
        self._probed.changed()
        self._begin(health, target)

    async def _liveness(self, health: _Health, target: Target) -> None:
        async with aclosing(self._verdicts(health, "liveness", target)) as verdicts:
            async for healthy in verdicts:
                if not healthy:
                    break
        self._ill(health, "liveness")

    async def _readiness(self, health: _Health, target: Target) -> None:
        async with aclosing(self._verdicts(health, "readiness", target)) as verdicts:
            async for ready in verdicts:
                if ready != health.ready:
                    health.ready = ready
                    self._probed.changed()

    def _ill(self, health: _Health, kind: ProbeKind) -> None:
        health.failed = kind
        self._probed.unhealthy()

    async def _verdicts(self, health: _Health, kind: ProbeKind, target: Target) -> AsyncGenerator[bool, None]:
        """Runs a probe for ever, and says what holds whenever enough results in a row agree."""
        probe, loop = health.spec[KEYS[kind]], asyncio.get_running_loop()
        period = probe.get("periodSeconds") or DEFAULT_PERIOD_S
        needed = {
            True: probe.get("successThreshold") or 1,
            False: probe.get("failureThreshold") or DEFAULT_FAILURES,
        }
        begin = health.instance.started + (probe.get("initialDelaySeconds") or 0)
        await asyncio.sleep(max(0.0, begin - self._clock()))
        tick, last, run = loop.time(), None, 0
        while True:
            result = await self._attempt(health, kind, probe, target)
            if result is not None:
                last, run = result, run + 1 if result == last else 1
                if run >= needed[result]:
                    yield result
            tick = max(tick + period, loop.time())
            await asyncio.sleep(tick - loop.time())

    async def _attempt(self, health: _Health, kind: ProbeKind, probe: Object, target: Target) -> bool | None:
        """One result; None for one that says nothing, as when the container has ended."""
        called = kind.capitalize()
        try:
            outcome = await self._actions.run(
                probe, target, float(probe.get("timeoutSeconds") or DEFAULT_TIMEOUT_S)
            )
        except ActionUnknown as error:
            if health.instance.running:
                self._probed.event(
                    health.spec, f"{called} probe errored and resulted in unknown state: {error}"
                )
            return None
        if not health.instance.running:
            return None
        if not outcome.ok:
            self._probed.event(health.spec, f"{called} probe failed: {outcome.detail}")
        return outcome.ok
