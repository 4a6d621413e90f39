"""The agent around its pods: the node, many pods, its end."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from harness.embedded.events import Recorder
from harness.embedded.seams import EVENTS, NODES, PODS, ApiError, Object, Resource
from tests.embedded.agent.rig import container, running
from tests.embedded.fakes import FakeApi, clock

pytestmark = pytest.mark.looptime


async def test_the_node_is_registered_and_ready(tmp_path: Path) -> None:
    async with running(tmp_path) as rig:
        await asyncio.sleep(0.1)
        node = await rig.api.get(NODES, "embedded")
        assert [(c["type"], c["status"]) for c in node["status"]["conditions"]] == [("Ready", "True")]
        assert node["status"]["capacity"]["pods"] == "110"


async def test_a_pod_of_another_node_is_left_alone(tmp_path: Path) -> None:
    async with running(tmp_path) as rig:
        await rig.create(container("a"), nodeName="elsewhere")
        await asyncio.sleep(1)
        assert rig.runtime.did == []


async def test_a_pod_begins_when_it_is_assigned(tmp_path: Path) -> None:
    async with running(tmp_path) as rig:
        await rig.create(container("a"), nodeName="")
        await asyncio.sleep(1)
        await rig.api.patch(PODS, "pod", {"spec": {"nodeName": "embedded"}}, "default")
        assert await rig.until_ready() < 0.1


async def test_one_pods_hook_does_not_hold_up_another_pod(tmp_path: Path) -> None:
    slow: Object = {"lifecycle": {"postStart": {"sleep": {"seconds": 50}}}}
    async with running(tmp_path) as rig:
        await rig.create(container("a", **slow))
        body = {
            "metadata": {"name": "other"},
            "spec": {"nodeName": "embedded", "containers": [container("b")]},
        }
        await rig.api.create(PODS, body, "default")
        await asyncio.sleep(1)
        other = await rig.api.get(PODS, "other", "default")
        assert other["status"]["phase"] == "Running"
        assert (await rig.pod())["status"]["phase"] == "Pending"


async def test_a_pod_of_the_same_name_begins_anew(tmp_path: Path) -> None:
    async with running(tmp_path) as rig:
        for _ in range(2):
            await rig.create(container("a"))
            await rig.until_ready()
            await rig.api.delete(PODS, "pod", "default", grace_s=0)
        await asyncio.sleep(0.1)
        assert sorted(rig.did("start", "sandbox removed")) == ["sandbox removed"] * 2 + ["start a app:v1"] * 2


async def test_a_status_is_written_in_spite_of_conflicts(tmp_path: Path) -> None:
    async with running(tmp_path) as rig:
        left = 3

        def refuse(verb: str, resource: Resource, body: Object) -> ApiError | None:
            nonlocal left
            if (verb, resource) != ("update", PODS) or not left:
                return None
            left -= 1
            return ApiError(409, "Conflict", "the object has been modified")

        rig.api.refuse = refuse
        await rig.create(container("a"))
        await rig.until_ready()
        assert left == 0


async def test_a_status_that_says_nothing_new_is_not_written(tmp_path: Path) -> None:
    async with running(tmp_path) as rig:
        await rig.create(container("a"))
        await rig.until_ready()
        before = len(rig.api.history)
        await rig.api.patch(PODS, "pod", {"metadata": {"annotations": {"k": "v"}}}, "default")
        await asyncio.sleep(5)
        assert [type for type, resource, _ in rig.api.history[before:] if resource == PODS] == ["MODIFIED"]


async def test_the_end_of_the_agent_leaves_no_task_behind(tmp_path: Path) -> None:
    before = asyncio.all_tasks()
    async with running(tmp_path) as rig:
        await rig.create(container("a", readinessProbe={"tcpSocket": {"port": 1}}))
        await asyncio.sleep(3)
    assert asyncio.all_tasks() == before


async def test_equal_events_are_counted() -> None:
    api = FakeApi()
    recorder = Recorder(api, "kubelet", "embedded", clock)
    pod = await api.create(PODS, {"metadata": {"name": "p"}, "spec": {}}, "default")
    for message in ("same", "same", "other"):
        recorder.event(pod, "Normal", "Told", message)
    task = asyncio.create_task(recorder.run())
    await asyncio.sleep(1)
    task.cancel()
    found = [(event["message"], event["count"]) for event in await api.list(EVENTS)]
    assert found == [("same", 2), ("other", 1)]
