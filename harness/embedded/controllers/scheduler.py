"""Assigns every pod to the one node. What a pod says about where it wants to be has no effect, and an event
says so."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

from harness.embedded.events import Recorder
from harness.embedded.seams import PODS, Api, ApiError, Object

NAME = "default-scheduler"
WITHOUT_EFFECT = ("nodeSelector", "affinity", "topologySpreadConstraints")


async def _assign(api: Api, recorder: Recorder, pod: Object, node: str) -> None:
    metadata, spec = pod["metadata"], pod["spec"]
    if "deletionTimestamp" in metadata:
        await api.delete(PODS, metadata["name"], metadata["namespace"], grace_s=0, uid=metadata["uid"])
        return
    await api.patch(PODS, metadata["name"], {"spec": {"nodeName": node}}, metadata["namespace"])
    if passed := [f"spec.{key}" for key in WITHOUT_EFFECT if spec.get(key)]:
        text = f"without effect on the embedded cluster, which has one node: {', '.join(passed)}"
        recorder.event(pod, "Warning", "Ignored", text)
    where = f"{metadata['namespace']}/{metadata['name']}"
    recorder.event(pod, "Normal", "Scheduled", f"Successfully assigned {where} to {node}")


def _is_due(pod: Object) -> bool:
    spec = pod["spec"]
    ours = spec.get("schedulerName", NAME) == NAME
    return ours and not spec.get("nodeName") and not spec.get("schedulingGates")


async def _watch(api: Api, recorder: Recorder, node: str) -> None:
    async for event in api.watch(PODS):
        if event.type in ("ADDED", "MODIFIED") and _is_due(event.object):
            try:
                await _assign(api, recorder, event.object, node)
            except ApiError as error:
                if error.code not in (404, 409):  # it is gone; or it changed, and that event comes next
                    raise


async def run(api: Api, node: str, clock: Callable[[], float] = time.time) -> None:
    """Runs the scheduler until cancelled."""
    recorder = Recorder(api, NAME, clock=clock)
    async with asyncio.TaskGroup() as group:
        group.create_task(recorder.run())
        group.create_task(_watch(api, recorder, node))
