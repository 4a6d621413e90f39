"""What the API keeps of objects that change for ever."""

from __future__ import annotations

import asyncio
import gc
import tracemalloc
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest

from harness.embedded.api.storage import LOG_LENGTH
from harness.embedded.seams import PODS, Api, Object, Resource
from tests.embedded.api.local import CRDS, in_process, pod_body

OLD, NEW = Resource("g.io", "v1alpha1", "things"), Resource("g.io", "v1", "things")
CHANGES = 4 * LOG_LENGTH
VALUES = 50
MOST_BYTES = 500  # that a change may leave behind for good; one of these objects has some thousands


@pytest.fixture
async def api() -> AsyncIterator[Api]:
    async with in_process() as api:
        yield api


async def left_behind(change: Callable[[int], Awaitable[object]]) -> float:
    """Bytes that one change leaves behind, once there were so many that whatever is bounded is full."""
    used = []
    tracemalloc.start()
    try:
        for turn in range(2):
            for number in range(CHANGES):
                await change(turn * CHANGES + number)
                await asyncio.sleep(0)  # whoever watches reads
            gc.collect()
            used.append(tracemalloc.get_traced_memory()[0])
    finally:
        tracemalloc.stop()
    return (used[1] - used[0]) / CHANGES


def values(number: int) -> dict[str, str]:
    return {f"key-{index}": f"value-{number}-{index}" for index in range(VALUES)}


async def test_a_pod_that_changes_for_ever_costs_no_more_than_one_that_changed_often(api: Api) -> None:
    await api.create(PODS, pod_body("web"), "default")
    seen: list[str] = []

    async def watch() -> None:
        async for event in api.watch(PODS):
            seen[:] = [event.type]

    async def change(number: int) -> None:
        await api.patch(PODS, "web", {"metadata": {"annotations": values(number)}}, "default")

    watching = asyncio.create_task(watch())
    try:
        assert await left_behind(change) < MOST_BYTES
        assert seen == ["MODIFIED"]
    finally:
        watching.cancel()


async def test_pods_that_come_and_go_leave_nothing_behind(api: Api) -> None:
    async def change(number: int) -> None:
        await api.create(PODS, pod_body(f"web-{number}"), "default")
        await api.delete(PODS, f"web-{number}", "default", grace_s=0)

    assert await left_behind(change) < MOST_BYTES


async def test_an_object_that_is_asked_for_in_another_version_is_not_kept_in_each_of_its_states(
    api: Api,
) -> None:
    await api.create(CRDS, definition())
    await api.create(OLD, {"metadata": {"name": "one"}, "spec": {}})

    async def change(number: int) -> None:
        await api.patch(OLD, "one", {"spec": values(number)})
        assert (await api.get(NEW, "one"))["apiVersion"] == "g.io/v1"

    assert await left_behind(change) < MOST_BYTES


def definition() -> Object:
    """Cluster-scoped things in two versions, the old one kept."""
    versions = [{"name": name, "served": True, "storage": name == "v1alpha1"} for name in ("v1alpha1", "v1")]
    names = {"kind": "Thing", "plural": "things"}
    return {
        "metadata": {"name": "things.g.io"},
        "spec": {"group": "g.io", "scope": "Cluster", "names": names, "versions": versions},
    }
