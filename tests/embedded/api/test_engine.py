"""The API in process: every verb, without a socket."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from harness.embedded.seams import (
    CONFIGMAPS,
    DEPLOYMENTS,
    NAMESPACES,
    PODS,
    Api,
    ApiError,
    Object,
    Resource,
    WatchEvent,
)
from tests.embedded.api.local import CRDS, in_process, pod_body

THINGS = Resource("g.io", "v1", "things")


@pytest.fixture
async def api() -> AsyncIterator[Api]:
    async with in_process() as api:
        yield api


def deployment(**spec: object) -> Object:
    template = {"metadata": {"labels": {"app": "d"}}, "spec": {"containers": [{"name": "a", "image": "x:1"}]}}
    return {
        "metadata": {"name": "d"},
        "spec": {"selector": {"matchLabels": {"app": "d"}}, "template": template} | spec,
    }


async def test_what_is_returned_belongs_to_the_caller(api: Api) -> None:
    body = pod_body("web")
    created = await api.create(PODS, body, "default")
    created["spec"]["containers"].clear()
    assert "uid" not in body["metadata"]
    assert len((await api.get(PODS, "web", "default"))["spec"]["containers"]) == 1
    (listed,) = await api.list(PODS)
    assert (listed["apiVersion"], listed["kind"]) == ("v1", "Pod")


async def test_create_refuses_what_is_there_already_and_what_has_no_namespace(api: Api) -> None:
    await api.create(PODS, pod_body("web"), "default")
    for namespace, code, reason in (("default", 409, "AlreadyExists"), ("nowhere", 404, "NotFound")):
        with pytest.raises(ApiError) as caught:
            await api.create(PODS, pod_body("web"), namespace)
        assert (caught.value.code, caught.value.reason) == (code, reason)


async def test_a_wrong_object_is_refused_with_its_causes(api: Api) -> None:
    with pytest.raises(ApiError) as caught:
        await api.create(
            PODS, {"metadata": {"name": "web"}, "spec": {"containers": [{"name": "a"}]}}, "default"
        )
    assert caught.value.code == 422
    assert caught.value.message == 'Pod "web" is invalid: spec.containers[0].image: Required value'
    (cause,) = caught.value.details["causes"]
    assert cause == {
        "reason": "FieldValueRequired",
        "message": "Required value",
        "field": "spec.containers[0].image",
    }
    with pytest.raises(ApiError, match="cannot unmarshal") as caught:
        await api.create(PODS, {"metadata": {"name": "web"}, "spec": {"containers": "no"}}, "default")
    assert caught.value.code == 400


async def test_an_update_of_an_earlier_state_is_a_conflict_and_the_same_state_is_no_write(api: Api) -> None:
    first = await api.create(CONFIGMAPS, {"metadata": {"name": "c"}, "data": {"a": "1"}}, "default")
    second = await api.update(CONFIGMAPS, {**first, "data": {"a": "2"}})
    with pytest.raises(ApiError) as caught:
        await api.update(CONFIGMAPS, {**first, "data": {"a": "3"}})
    assert (caught.value.code, caught.value.reason) == (409, "Conflict")
    again = await api.update(CONFIGMAPS, second)
    assert again == second


async def test_a_deployment_gets_defaults_and_its_selector_has_to_match(api: Api) -> None:
    created = await api.create(DEPLOYMENTS, deployment(), "default")
    assert created["spec"]["replicas"] == 1
    assert created["spec"]["strategy"] == {
        "type": "RollingUpdate",
        "rollingUpdate": {"maxSurge": "25%", "maxUnavailable": "25%"},
    }
    assert created["spec"]["template"]["spec"]["containers"][0]["imagePullPolicy"] == "IfNotPresent"
    other = deployment(selector={"matchLabels": {"app": "other"}})
    with pytest.raises(ApiError, match="does not match template"):
        await api.create(DEPLOYMENTS, {**other, "metadata": {"name": "e"}}, "default")
    with pytest.raises(ApiError, match="field is immutable"):
        await api.patch(
            DEPLOYMENTS,
            "d",
            {
                "spec": {
                    "selector": {"matchLabels": {"b": "c"}},
                    "template": {"metadata": {"labels": {"b": "c"}}},
                }
            },
            "default",
        )


async def test_the_scale_of_a_deployment_is_its_replicas(api: Api) -> None:
    await api.create(DEPLOYMENTS, deployment(), "default")
    scaled = await api.patch(DEPLOYMENTS, "d", {"spec": {"replicas": 4}}, "default", "scale")
    assert (scaled["spec"]["replicas"], scaled["metadata"]["generation"]) == (4, 2)


async def test_a_pod_ends_gracefully_and_keeps_others_from_its_name_until_then(api: Api) -> None:
    pod = await api.create(PODS, pod_body("web"), "default")
    await api.patch(PODS, "web", {"spec": {"nodeName": "node"}}, "default")
    await api.delete(PODS, "web", "default")
    leaving = await api.get(PODS, "web", "default")
    assert leaving["metadata"]["deletionGracePeriodSeconds"] == 30
    with pytest.raises(ApiError) as caught:
        await api.delete(PODS, "web", "default", grace_s=0, uid="another")
    assert caught.value.code == 409
    await api.delete(PODS, "web", "default", grace_s=0, uid=pod["metadata"]["uid"])
    with pytest.raises(ApiError) as caught:
        await api.get(PODS, "web", "default")
    assert caught.value.code == 404


async def test_an_object_with_finalizers_goes_with_the_last_of_them(api: Api) -> None:
    await api.create(CONFIGMAPS, {"metadata": {"name": "c", "finalizers": ["x/y"]}}, "default")
    await api.delete(CONFIGMAPS, "c", "default")
    with pytest.raises(ApiError, match="no new finalizers"):
        await api.patch(CONFIGMAPS, "c", {"metadata": {"finalizers": ["x/y", "x/z"]}}, "default")
    await api.patch(CONFIGMAPS, "c", {"metadata": {"finalizers": None}}, "default")
    assert await api.list(CONFIGMAPS, "default") == []


async def test_a_namespace_that_goes_takes_nothing_new_and_goes_when_it_is_finalized(api: Api) -> None:
    created = await api.create(NAMESPACES, {"metadata": {"name": "n"}})
    assert created["status"] == {"phase": "Active"}
    assert created["metadata"]["labels"] == {"kubernetes.io/metadata.name": "n"}
    await api.delete(NAMESPACES, "n")
    leaving = await api.get(NAMESPACES, "n")
    assert leaving["status"]["phase"] == "Terminating"
    with pytest.raises(ApiError) as caught:
        await api.create(PODS, pod_body("web"), "n")
    assert caught.value.code == 403
    assert caught.value.details["causes"][0]["reason"] == "NamespaceTerminating"
    await api.update(NAMESPACES, {**leaving, "spec": {"finalizers": []}}, "finalize")
    assert "n" not in [item["metadata"]["name"] for item in await api.list(NAMESPACES)]


async def take(events: AsyncIterator[WatchEvent], count: int) -> list[tuple[str, str]]:
    async with asyncio.timeout(5):
        found = [await anext(events) for _ in range(count)]
    return [(event.type, event.object.get("metadata", {}).get("name", "")) for event in found]


async def test_a_watch_tells_what_is_there_then_synced_then_changes_of_its_namespace(api: Api) -> None:
    await api.create(NAMESPACES, {"metadata": {"name": "other"}})
    await api.create(PODS, pod_body("web"), "default")
    events = api.watch(PODS, "default")
    assert await take(events, 2) == [("ADDED", "web"), ("SYNCED", "")]
    await api.create(PODS, pod_body("elsewhere"), "other")
    await api.patch(PODS, "web", {"metadata": {"labels": {"a": "b"}}}, "default")
    await api.delete(PODS, "web", "default")
    assert await take(events, 2) == [("MODIFIED", "web"), ("DELETED", "web")]
    await events.aclose()  # type: ignore[attr-defined]  # a generator


def definition(*versions: str) -> Object:
    return {
        "metadata": {"name": "things.g.io"},
        "spec": {
            "group": "g.io",
            "scope": "Namespaced",
            "names": {"plural": "things", "kind": "Thing"},
            "versions": [
                {
                    "name": version,
                    "served": True,
                    "storage": version == versions[-1],
                    "subresources": {"status": {}},
                }
                for version in versions
            ],
        },
    }


async def test_a_definition_serves_its_versions_until_it_goes_with_its_objects(api: Api) -> None:
    with pytest.raises(ApiError, match="could not find the requested resource"):
        await api.list(THINGS)
    made = await api.create(CRDS, definition("v1", "v2"))
    assert {condition["type"]: condition["status"] for condition in made["status"]["conditions"]} == {
        "Established": "True",
        "NamesAccepted": "True",
    }
    assert made["spec"]["names"] == {
        "plural": "things",
        "kind": "Thing",
        "singular": "thing",
        "listKind": "ThingList",
    }
    created = await api.create(
        THINGS, {"metadata": {"name": "t"}, "spec": {"a": 1}, "status": {"b": 1}}, "default"
    )
    assert (created["apiVersion"], created["metadata"]["generation"]) == ("g.io/v1", 1)
    assert "status" not in created
    newer = await api.patch(Resource("g.io", "v2", "things"), "t", {"status": {"b": 2}}, "default", "status")
    assert (newer["apiVersion"], newer["status"], newer["metadata"]["generation"]) == ("g.io/v2", {"b": 2}, 1)
    events = api.watch(THINGS)
    assert await take(events, 2) == [("ADDED", "t"), ("SYNCED", "")]
    await api.delete(CRDS, "things.g.io")
    assert await take(events, 1) == [("DELETED", "t")]
    with pytest.raises(ApiError):
        await api.list(THINGS)
    await events.aclose()  # type: ignore[attr-defined]  # a generator


async def test_a_definition_that_is_wrong_is_refused(api: Api) -> None:
    wrong = definition("v1")
    wrong["metadata"]["name"] = "thing.g.io"
    with pytest.raises(ApiError, match=r"metadata.name: Invalid value"):
        await api.create(CRDS, wrong)
    none_stored = definition("v1")
    none_stored["spec"]["versions"][0]["storage"] = False
    with pytest.raises(ApiError, match="exactly one version"):
        await api.create(CRDS, none_stored)
