"""What wakes whom, the queue, and the rounds of the controller when the API refuses."""

from __future__ import annotations

import asyncio
import copy
from collections.abc import Iterator

import pytest

from harness.sidecarset import deviations, manifests, paths
from harness.sidecarset.client import ApiFailure, EventType
from harness.sidecarset.controller import Controller
from harness.sidecarset.names import Object
from harness.sidecarset.triggers import SETTLE_S, Triggers, Wake
from harness.sidecarset.workqueue import FIRST_RETRY_S, WorkQueue
from tests.sidecarset.world import IMAGES, SET, World, sidecar

NOW = [Wake(SET, 0.0)]
LATER = [Wake(SET, SETTLE_S)]


def a_running_world() -> World:
    world = World()
    world.create_set([sidecar()])
    world.create_pods(1)
    world.run(10)
    return world


@pytest.fixture
def pod() -> Object:
    return a_running_world().pods()[0]


# -- triggers ------------------------------------------------------------------------------------------------


def test_a_new_pod_wakes_its_set_and_the_same_again_does_not(pod: Object) -> None:
    triggers = Triggers()
    assert triggers.pod("ADDED", pod) == NOW
    assert triggers.pod("MODIFIED", pod) == []


def test_what_the_kubelet_reports_of_any_container_wakes_at_once(pod: Object) -> None:
    for change in ({"ready": False}, {"imageID": "other"}, {"image": "other"}):
        triggers, after = Triggers(), copy.deepcopy(pod)
        triggers.pod("ADDED", pod)
        after["status"]["containerStatuses"][1].update(change)
        assert triggers.pod("MODIFIED", after) == NOW


def test_what_the_controller_writes_itself_wakes_later(pod: Object) -> None:
    triggers, after = Triggers(), copy.deepcopy(pod)
    triggers.pod("ADDED", pod)
    after["spec"]["containers"][0]["image"] = "other"
    assert triggers.pod("MODIFIED", after) == LATER


def test_pods_of_no_set_wake_nobody(pod: Object) -> None:
    pod["metadata"]["annotations"] = {}
    assert Triggers().pod("ADDED", pod) == []


def test_a_set_of_type_not_update_is_woken_by_pods_that_come_or_go_only(pod: Object) -> None:
    triggers, after = Triggers(), copy.deepcopy(pod)
    body: Object = {
        "metadata": {"name": SET, "uid": "u", "generation": 1},
        "spec": {"updateStrategy": {"type": "NotUpdate"}},
    }
    assert triggers.sidecarset("ADDED", body) == NOW
    assert triggers.pod("ADDED", pod) == NOW
    after["status"]["containerStatuses"][1]["ready"] = False
    assert triggers.pod("MODIFIED", after) == []
    assert triggers.pod("DELETED", after) == NOW


def test_only_a_new_generation_of_a_set_counts() -> None:
    triggers = Triggers()
    body: Object = {"metadata": {"name": SET, "uid": "u", "generation": 1}}
    assert triggers.sidecarset("ADDED", body) == NOW
    assert triggers.sidecarset("MODIFIED", {**body, "status": {}}) == []
    assert triggers.sidecarset("MODIFIED", {"metadata": {"name": SET, "uid": "u", "generation": 2}}) == NOW
    triggers.sidecarset("DELETED", body)
    assert triggers.sidecarset("ADDED", body) == NOW


def test_what_went_while_nobody_watched_is_noticed(pod: Object) -> None:
    triggers = Triggers()
    assert triggers.relisted_pods([pod]) == NOW
    assert triggers.relisted_pods([pod]) == []
    assert triggers.relisted_pods([]) == NOW
    body: Object = {"metadata": {"name": SET, "uid": "u", "generation": 1}}
    assert triggers.relisted_sidecarsets([body]) == NOW
    assert triggers.relisted_sidecarsets([]) == []
    assert triggers.relisted_sidecarsets([body]) == NOW


# -- queue ---------------------------------------------------------------------------------------------------


@pytest.mark.looptime
async def test_additions_while_the_work_runs_are_one_more_run() -> None:
    runs: list[float] = []

    async def work(_: str) -> None:
        runs.append(asyncio.get_running_loop().time())
        await asyncio.sleep(1)

    queue = WorkQueue(work)
    for _ in range(3):
        queue.add("a")
    await asyncio.sleep(0.5)
    for _ in range(3):
        queue.add("a")
    await asyncio.sleep(10)
    assert runs == [0, 1]
    await queue.close()


@pytest.mark.looptime
async def test_a_failure_is_tried_again_ever_later_until_it_succeeds() -> None:
    runs: list[float] = []

    async def work(_: str) -> None:
        runs.append(asyncio.get_running_loop().time())
        if len(runs) < 4:
            raise ApiFailure(409, "Conflict", "")

    queue = WorkQueue(work)
    queue.add("a", 5.0)
    await asyncio.sleep(20)
    assert runs == pytest.approx([5, 5 + FIRST_RETRY_S, 5 + 3 * FIRST_RETRY_S, 5 + 7 * FIRST_RETRY_S])
    await queue.close()


@pytest.mark.looptime
async def test_no_more_than_the_workers_run_and_what_waits_is_dropped_at_the_end() -> None:
    running: list[str] = []

    async def work(key: str) -> None:
        running.append(key)
        await asyncio.sleep(3600)

    queue = WorkQueue(work, workers=2)
    for key in "abc":
        queue.add(key)
    queue.add("d", 5.0)
    await asyncio.sleep(10)
    assert running == ["a", "b"]
    await queue.close()
    await asyncio.sleep(3600)
    assert running == ["a", "b"]


# -- rounds --------------------------------------------------------------------------------------------------


def test_a_pod_that_somebody_else_wrote_is_decided_upon_anew() -> None:
    world = a_running_world()
    world.edit_set(lambda spec: spec["containers"][0].update(image=IMAGES["v2"]))
    world.api.failures["replace"] = [
        ApiFailure(409, "Conflict", "status"),
        ApiFailure(409, "Conflict", "pod"),
    ]
    for _ in range(2):
        with pytest.raises(ApiFailure, match="Conflict"):
            world.reconciler.reconcile(SET)
    world.reconciler.reconcile(SET)
    assert [each["event"] for each in world.log] == ["upgraded"]


def test_a_reset_that_is_refused_is_told_and_tried_again() -> None:
    world = a_running_world()
    world.set_image("v2")
    world.run(0.49)
    pod = world.pods()[0]
    pod["status"]["containerStatuses"][1] |= {"image": IMAGES["v2"], "imageID": "id2"}
    world.api.changed = lambda kind, item: None
    world.api.store("MODIFIED", paths.pod(pod), pod)
    world.reconciler.reconcile(SET)
    assert len(world.api.events("ResetContainerSucceed")) == 1
    world.api.store("MODIFIED", paths.pod(pod), pod)
    world.api.failures["replace"] = [ApiFailure(403, "Forbidden", "no")]
    with pytest.raises(ApiFailure):
        world.reconciler.reconcile(SET)
    (event,) = world.api.events("ResetContainerFailed")
    assert event["type"] == "Warning"
    assert event["source"] == {"component": "sidecarset-controller"}


def test_an_event_that_cannot_be_written_stops_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    world = a_running_world()
    create = world.api.create

    def refuse_events(path: str, body: Object) -> Object:
        if path.endswith("/events"):
            raise ApiFailure(403, "Forbidden", "no events")
        return create(path, body)

    monkeypatch.setattr(world.api, "create", refuse_events)
    world.edit_set(lambda spec: spec["containers"][0].update(env=[{"name": "A", "value": "b"}]))
    world.run(10)
    assert world.log[-1]["event"] == "event_not_written"
    assert "UpdateImmutableField" in str(world.pods()[0]["status"])


def test_a_set_that_is_gone_is_no_work() -> None:
    World().reconciler.reconcile("nobody")


def test_revisions_are_named_by_content_renumbered_and_limited() -> None:
    world = a_running_world()
    world.edit_set(lambda spec: spec.update(revisionHistoryLimit=2))
    world.run(10)
    for image in ("v2", "v3", "v1"):
        world.set_image(image)
        world.run(30)
    stored, _ = world.api.listing(paths.revisions_in("kruise-system"))
    assert len(stored) == 2
    newest = max(stored, key=lambda each: int(each["revision"]))
    assert newest["metadata"]["name"] == world.status()["latestRevision"]
    assert newest["data"]["spec"]["containers"][0]["image"] == IMAGES["v1"]


async def test_the_controller_watches_and_reconciles_until_it_is_stopped() -> None:
    world = World()
    world.create_set([sidecar()])
    done: asyncio.Queue[str] = asyncio.Queue()
    loop = asyncio.get_running_loop()
    changes: list[tuple[EventType, Object]] = []

    def watch(path: str, version: str) -> Iterator[tuple[EventType, Object]]:
        if path == paths.SIDECARSETS:
            yield from iter(changes)
        raise ApiFailure(410, "Expired", path)

    world.api.watch = watch  # type: ignore[method-assign, assignment]
    changes.append(("ADDED", {"metadata": {"name": "other", "uid": "u", "generation": 1}}))

    def reconcile(name: str) -> None:
        loop.call_soon_threadsafe(done.put_nowait, name)

    controller = Controller(world.api, reconcile, world._write)
    assert not controller.ready
    controller.start()
    async with asyncio.timeout(5):
        assert {await done.get(), await done.get()} == {SET, "other"}
    async with asyncio.timeout(5):
        while not controller.ready:
            await asyncio.sleep(0.01)
    await controller.stop()
    assert any(each["event"] == "watch_interrupted" for each in world.log)


# -- data ----------------------------------------------------------------------------------------------------


def test_the_installation_runs_the_module_where_its_webhook_does_not_reach() -> None:
    namespace, account, deployment = manifests.install_objects("registry/image:tag")
    assert namespace["metadata"]["labels"] == {"control-plane": "openkruise"}
    assert account["metadata"]["name"] == "kruise-manager"
    template = deployment["spec"]["template"]
    assert template["spec"]["containers"][0]["image"] == "registry/image:tag"
    assert template["spec"]["containers"][0]["command"] == ["python3", "-m", "harness.sidecarset"]
    assert deployment["spec"]["selector"]["matchLabels"].items() <= template["metadata"]["labels"].items()
    assert deployment["metadata"]["namespace"] == namespace["metadata"]["name"]
    assert {each["kind"] for each in manifests.access_objects()} == {"ClusterRole", "ClusterRoleBinding"}


def test_every_deviation_says_what_and_why() -> None:
    assert all(all(each) for each in deviations.DEVIATIONS)
    topics = [each.topic for each in deviations.DEVIATIONS]
    assert len(topics) == len(set(topics))
