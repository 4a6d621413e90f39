"""All controllers on a fake API; a stand-in for the node agent makes pods ready and lets them end."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import pytest

from harness.embedded.controllers import deployment, garbage, namespace, replicaset, scheduler, serviceaccount
from harness.embedded.events import rfc3339
from harness.embedded.seams import (
    CONFIGMAPS,
    DEPLOYMENTS,
    EVENTS,
    NAMESPACES,
    PODS,
    REPLICASETS,
    SERVICEACCOUNTS,
    ApiError,
    Object,
    Resource,
)
from tests.embedded.fakes import FakeApi, clock

pytestmark = pytest.mark.looptime

START_S, END_S = 1.0, 2.0  # what a pod takes to become ready, and to end


class Cluster:
    """The controllers on an API whose pods become ready and end by themselves."""

    def __init__(self) -> None:
        self.api = FakeApi()
        self.broken = "no such image"  # pods of this image never become ready

    async def pods(self) -> list[Object]:
        pods = await self.api.list(PODS, "default")
        return [pod for pod in pods if "deletionTimestamp" not in pod["metadata"]]

    async def images(self) -> list[str]:
        return sorted(pod["spec"]["containers"][0]["image"] for pod in await self.pods())

    async def deploy(self, replicas: int, image: str = "v1", **spec: Any) -> None:
        template = {
            "metadata": {"labels": {"app": "x"}},
            "spec": {"containers": [{"name": "a", "image": image}]},
        }
        selector = {"matchLabels": {"app": "x"}}
        body = {
            "metadata": {"name": "web"},
            "spec": {"replicas": replicas, "selector": selector, "template": template},
        }
        body["spec"] |= spec  # type: ignore[operator]
        await self.api.create(DEPLOYMENTS, body, "default")

    async def change(self, patch: Object) -> None:
        await self.api.patch(DEPLOYMENTS, "web", {"spec": patch}, "default")

    async def set_image(self, image: str) -> None:
        await self.change({"template": {"spec": {"containers": [{"name": "a", "image": image}]}}})

    async def status(self) -> Object:
        return dict((await self.api.get(DEPLOYMENTS, "web", "default")).get("status") or {})

    async def condition(self, kind: str) -> tuple[str, str]:
        found = next(c for c in (await self.status())["conditions"] if c["type"] == kind)
        return found["status"], found["reason"]

    async def kubelet(self) -> None:
        """Makes pods ready after a second and ends them two seconds after they were told to."""
        async with asyncio.TaskGroup() as group:
            async for event in self.api.watch(PODS):
                if event.type == "ADDED":
                    group.create_task(self._live(event.object))
                elif event.type == "MODIFIED" and "deletionTimestamp" in event.object["metadata"]:
                    group.create_task(self._end(event.object))

    async def _live(self, pod: Object) -> None:
        await asyncio.sleep(START_S)
        metadata, image = pod["metadata"], pod["spec"]["containers"][0]["image"]
        ready = {"type": "Ready", "status": "False" if image == self.broken else "True"}
        status = {"phase": "Running", "conditions": [{**ready, "lastTransitionTime": rfc3339(clock())}]}
        with suppress(ApiError):
            await self.api.patch(PODS, metadata["name"], {"status": status}, metadata["namespace"], "status")

    async def _end(self, pod: Object) -> None:
        await asyncio.sleep(END_S)
        with suppress(ApiError):
            await self.api.delete(PODS, pod["metadata"]["name"], pod["metadata"]["namespace"], grace_s=0)


@asynccontextmanager
async def running() -> AsyncIterator[Cluster]:
    cluster = Cluster()
    api = cluster.api
    works = [
        cluster.kubelet(),
        deployment.run(api, clock),
        replicaset.run(api, clock),
        scheduler.run(api, "embedded", clock),
        serviceaccount.run(api, "CA"),
        namespace.run(api),
        garbage.run(api),
    ]
    tasks = [asyncio.create_task(work) for work in works]
    await asyncio.sleep(0.1)
    try:
        yield cluster
    finally:
        ended = [task for task in tasks if task.done()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        assert not ended, [task.exception() for task in ended]


async def test_a_deployment_makes_a_replica_set_that_makes_pods() -> None:
    async with running() as cluster:
        await cluster.deploy(2)
        await asyncio.sleep(3)
        (owner,) = await cluster.api.list(REPLICASETS, "default")
        name = owner["metadata"]["labels"]["pod-template-hash"]
        assert owner["metadata"]["name"] == f"web-{name}"
        assert owner["spec"]["selector"]["matchLabels"] == {"app": "x", "pod-template-hash": name}
        pods = await cluster.pods()
        assert len(pods) == 2
        for pod in pods:
            assert pod["metadata"]["name"].startswith(f"web-{name}-")
            assert pod["metadata"]["labels"] == {"app": "x", "pod-template-hash": name}
            (reference,) = pod["metadata"]["ownerReferences"]
            assert (reference["kind"], reference["uid"]) == ("ReplicaSet", owner["metadata"]["uid"])
            assert pod["spec"]["nodeName"] == "embedded"
        status = await cluster.status()
        assert {
            key: status[key] for key in ("replicas", "readyReplicas", "updatedReplicas", "availableReplicas")
        } == {
            "replicas": 2,
            "readyReplicas": 2,
            "updatedReplicas": 2,
            "availableReplicas": 2,
        }
        assert await cluster.condition("Available") == ("True", "MinimumReplicasAvailable")
        assert await cluster.condition("Progressing") == ("True", "NewReplicaSetAvailable")
        told = {event["reason"]: event for event in await cluster.api.list(EVENTS)}
        assert set(told) == {"ScalingReplicaSet", "SuccessfulCreate", "Scheduled"}
        assert told["Scheduled"]["source"]["component"] == "default-scheduler"


async def test_scaling_up_and_down() -> None:
    async with running() as cluster:
        await cluster.deploy(1)
        await asyncio.sleep(3)
        (first,) = await cluster.pods()
        await cluster.change({"replicas": 3})
        await asyncio.sleep(3)
        assert len(await cluster.pods()) == 3
        await cluster.change({"replicas": 1})
        await asyncio.sleep(3)
        (left,) = await cluster.pods()
        assert left["metadata"]["name"] == first["metadata"]["name"]
        assert (await cluster.status())["replicas"] == 1
        await cluster.change({"replicas": 0})
        await asyncio.sleep(3)
        assert await cluster.pods() == []


async def test_a_pod_that_is_deleted_is_replaced() -> None:
    async with running() as cluster:
        await cluster.deploy(1)
        await asyncio.sleep(3)
        (pod,) = await cluster.pods()
        await cluster.api.delete(PODS, pod["metadata"]["name"], "default")
        await asyncio.sleep(0.5)
        (other,) = await cluster.pods()
        assert other["metadata"]["uid"] != pod["metadata"]["uid"]


async def test_a_rolling_update_keeps_within_its_bounds() -> None:
    async with running() as cluster:
        await cluster.deploy(4, strategy={"rollingUpdate": {"maxSurge": 1, "maxUnavailable": 1}})
        await asyncio.sleep(3)
        await cluster.set_image("v2")
        for _ in range(200):
            pods = await cluster.pods()
            ready = [pod for pod in pods if replicaset.is_ready(pod)]
            assert len(pods) <= 5
            assert len(ready) >= 3
            await asyncio.sleep(0.1)
        assert await cluster.images() == ["v2"] * 4
        assert await cluster.condition("Progressing") == ("True", "NewReplicaSetAvailable")
        owner = await cluster.api.get(DEPLOYMENTS, "web", "default")
        assert owner["metadata"]["annotations"]["deployment.kubernetes.io/revision"] == "2"


async def test_a_rolling_update_to_a_bad_image_stops_and_is_late() -> None:
    async with running() as cluster:
        cluster.broken = "bad"
        await cluster.deploy(2, progressDeadlineSeconds=60, strategy={"rollingUpdate": {"maxUnavailable": 0}})
        await asyncio.sleep(3)
        await cluster.set_image("bad")
        await asyncio.sleep(30)
        assert await cluster.images() == ["bad", "v1", "v1"]
        assert await cluster.condition("Progressing") == ("True", "ReplicaSetUpdated")
        await asyncio.sleep(40)
        assert await cluster.condition("Progressing") == ("False", "ProgressDeadlineExceeded")
        await cluster.set_image("v1")
        await asyncio.sleep(20)
        assert await cluster.images() == ["v1", "v1"]
        assert await cluster.condition("Progressing") == ("True", "NewReplicaSetAvailable")
        assert len(await cluster.api.list(REPLICASETS, "default")) == 2


async def test_recreate_waits_until_the_others_are_gone() -> None:
    async with running() as cluster:
        await cluster.deploy(2, strategy={"type": "Recreate"})
        await asyncio.sleep(3)
        await cluster.set_image("v2")
        await asyncio.sleep(1)
        assert await cluster.images() == []
        await asyncio.sleep(3)
        assert await cluster.images() == ["v2", "v2"]
        assert all(body["metadata"].get("labels") for body in await cluster.api.list(PODS, "default"))


async def test_a_paused_deployment_does_not_roll_out() -> None:
    async with running() as cluster:
        await cluster.deploy(1)
        await asyncio.sleep(3)
        await cluster.change({"paused": True})
        await cluster.set_image("v2")
        await asyncio.sleep(5)
        assert await cluster.images() == ["v1"]
        assert await cluster.condition("Progressing") == ("Unknown", "DeploymentPaused")
        await cluster.change({"paused": False})
        await asyncio.sleep(10)
        assert await cluster.images() == ["v2"]


async def test_replica_sets_of_long_ago_are_removed() -> None:
    async with running() as cluster:
        await cluster.deploy(1, revisionHistoryLimit=1)
        for image in ("v2", "v3", "v4"):
            await asyncio.sleep(10)
            await cluster.set_image(image)
        await asyncio.sleep(10)
        assert len(await cluster.api.list(REPLICASETS, "default")) == 2


async def test_a_pod_that_is_refused_is_told_and_tried_again() -> None:
    async with running() as cluster:
        deny = True

        def refuse(verb: str, resource: Resource, body: Object) -> ApiError | None:
            if deny and (verb, resource) == ("create", PODS):
                return ApiError(500, "InternalError", "the webhook says no")
            return None

        cluster.api.refuse = refuse
        await cluster.deploy(1)
        await asyncio.sleep(5)
        (owner,) = await cluster.api.list(REPLICASETS, "default")
        assert owner["status"]["conditions"][0]["reason"] == "FailedCreate"
        assert "Error creating: the webhook says no" in [e["message"] for e in await cluster.api.list(EVENTS)]
        deny = False
        await asyncio.sleep(15)
        assert len(await cluster.pods()) == 1


async def test_a_pod_that_nobody_controls_is_adopted() -> None:
    async with running() as cluster:
        labels = {"app": "x"}
        pod = {
            "metadata": {"name": "alone", "labels": labels},
            "spec": {"containers": [{"name": "a", "image": "v1"}]},
        }
        await cluster.api.create(PODS, pod, "default")
        template = {"metadata": {"labels": labels}, "spec": pod["spec"]}
        spec = {"replicas": 1, "selector": {"matchLabels": labels}, "template": template}
        await cluster.api.create(REPLICASETS, {"metadata": {"name": "r"}, "spec": spec}, "default")
        await asyncio.sleep(3)
        (adopted,) = await cluster.pods()
        assert adopted["metadata"]["ownerReferences"][0]["name"] == "r"


async def test_deleting_a_deployment_deletes_what_it_owns() -> None:
    async with running() as cluster:
        await cluster.deploy(2)
        await asyncio.sleep(3)
        await cluster.api.delete(DEPLOYMENTS, "web", "default")
        await asyncio.sleep(5)
        assert await cluster.api.list(REPLICASETS, "default") == []
        assert await cluster.api.list(PODS, "default") == []


async def test_an_owner_with_the_orphan_finalizer_frees_what_it_owns() -> None:
    async with running() as cluster:
        await cluster.deploy(1)
        await asyncio.sleep(3)
        await cluster.api.patch(DEPLOYMENTS, "web", {"metadata": {"finalizers": ["orphan"]}}, "default")
        await cluster.api.delete(DEPLOYMENTS, "web", "default")
        await asyncio.sleep(5)
        assert await cluster.api.list(DEPLOYMENTS) == []
        (owner,) = await cluster.api.list(REPLICASETS, "default")
        assert "ownerReferences" not in owner["metadata"]
        assert len(await cluster.pods()) == 1


async def test_a_foreground_deletion_waits_for_what_is_owned() -> None:
    async with running() as cluster:
        await cluster.deploy(1)
        await asyncio.sleep(3)
        (owner,) = await cluster.api.list(REPLICASETS, "default")
        name = owner["metadata"]["name"]
        await cluster.api.patch(
            REPLICASETS, name, {"metadata": {"finalizers": ["foregroundDeletion"]}}, "default"
        )
        await cluster.api.delete(REPLICASETS, name, "default")
        await asyncio.sleep(1)
        assert [r["metadata"]["uid"] for r in await cluster.api.list(REPLICASETS)] == [
            owner["metadata"]["uid"]
        ]
        await asyncio.sleep(5)
        (other,) = await cluster.api.list(REPLICASETS)
        assert other["metadata"]["uid"] != owner["metadata"]["uid"]


async def test_a_dependent_whose_owner_was_never_there_is_deleted() -> None:
    async with running() as cluster:
        owner = {"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "gone", "uid": "none"}
        body = {"metadata": {"name": "left", "ownerReferences": [owner]}}
        await cluster.api.create(CONFIGMAPS, body, "default")
        custom = {**owner, "apiVersion": "example.com/v1", "kind": "Thing"}
        await cluster.api.create(
            CONFIGMAPS, {"metadata": {"name": "kept", "ownerReferences": [custom]}}, "default"
        )
        await asyncio.sleep(1)
        assert [b["metadata"]["name"] for b in await cluster.api.list(CONFIGMAPS, "default")] == ["kept"]


async def test_a_namespace_begins_with_an_account_and_a_certificate_and_gets_them_back() -> None:
    async with running() as cluster:
        await cluster.api.create(NAMESPACES, {"metadata": {"name": "team"}})
        await asyncio.sleep(0.1)
        await cluster.api.get(SERVICEACCOUNTS, "default", "team")
        certificate = await cluster.api.get(CONFIGMAPS, "kube-root-ca.crt", "team")
        assert certificate["data"] == {"ca.crt": "CA"}
        await cluster.api.delete(SERVICEACCOUNTS, "default", "team")
        await asyncio.sleep(0.1)
        await cluster.api.get(SERVICEACCOUNTS, "default", "team")


async def test_a_namespace_ends_when_its_content_has() -> None:
    async with running() as cluster:
        body = {
            "metadata": {"name": "default", "finalizers": ["kubernetes"]},
            "spec": {"finalizers": ["kubernetes"]},
        }
        await cluster.api.create(NAMESPACES, body)
        await cluster.deploy(2)
        await asyncio.sleep(3)
        await cluster.api.delete(NAMESPACES, "default")
        await asyncio.sleep(1)
        assert await cluster.api.list(DEPLOYMENTS) == []
        assert len(await cluster.api.list(PODS)) == 2
        assert len(await cluster.api.list(NAMESPACES)) == 1
        await asyncio.sleep(3)
        assert await cluster.api.list(NAMESPACES) == []
        left = [
            (resource.plural, name)
            for resource, namespace, name in cluster.api.objects
            if namespace == "default"
        ]
        assert left == []


async def test_where_a_pod_wants_to_be_has_no_effect_and_an_event_says_so() -> None:
    async with running() as cluster:
        spec = {"containers": [{"name": "a", "image": "v1"}], "nodeSelector": {"disk": "ssd"}}
        await cluster.api.create(PODS, {"metadata": {"name": "p"}, "spec": spec}, "default")
        await asyncio.sleep(0.1)
        told = [event["message"] for event in await cluster.api.list(EVENTS)]
        assert told == [
            "without effect on the embedded cluster, which has one node: spec.nodeSelector",
            "Successfully assigned default/p to embedded",
        ]


async def test_a_pod_of_another_scheduler_is_left_alone() -> None:
    async with running() as cluster:
        spec = {"containers": [{"name": "a", "image": "v1"}], "schedulerName": "mine"}
        await cluster.api.create(PODS, {"metadata": {"name": "p"}, "spec": spec}, "default")
        await asyncio.sleep(1)
        (pod,) = await cluster.pods()
        assert "nodeName" not in pod["spec"]
