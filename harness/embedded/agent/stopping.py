"""Ends one container: preStop hook, SIGTERM, the rest of the grace period, SIGKILL. Knows nothing of why."""

from __future__ import annotations

import asyncio
import signal

from harness.embedded.agent.actions import ActionUnknown, Target
from harness.embedded.agent.instances import Instance
from harness.embedded.agent.settings import Tools
from harness.embedded.seams import Object

AFTER_HOOK_S = 2.0  # what a kubelet leaves for SIGTERM at least, however long the preStop hook took


async def stop(
    tools: Tools, pod: Object, container: Object, instance: Instance, address: str, grace: float
) -> None:
    """Returns when the container has ended. With a grace of 0 s it is killed at once."""
    if not instance.running:
        return
    if grace > 0:
        left = await _before(tools, pod, container, instance, address, grace)
        if instance.running:
            await tools.runtime.signal(instance.id, signal.SIGTERM)
        if await _ended(instance, left):
            return
    await tools.runtime.signal(instance.id, signal.SIGKILL)
    await instance.ended.wait()


async def _before(
    tools: Tools, pod: Object, container: Object, instance: Instance, address: str, grace: float
) -> float:
    """Runs the preStop hook within the grace period; what is left of it."""
    action = (container.get("lifecycle") or {}).get("preStop")
    if not action:
        return grace
    begun = tools.clock()
    failure = ""
    try:
        async with asyncio.timeout(grace):
            outcome = await tools.actions.run(action, Target.of(container, instance.id, address))
        failure = "" if outcome.ok else outcome.detail
    except TimeoutError:
        failure = f"it did not end within the grace period of {grace:g} s"
    except ActionUnknown as error:
        failure = str(error)
    if failure and instance.running:
        tools.event(pod, "Warning", "FailedPreStopHook", f"PreStopHook failed: {failure}", container["name"])
    return max(AFTER_HOOK_S, grace - (tools.clock() - begun))


async def _ended(instance: Instance, within: float) -> bool:
    try:
        async with asyncio.timeout(within):
            await instance.ended.wait()
    except TimeoutError:
        return False
    return True
