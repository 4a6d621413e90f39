"""The webhook's routes, without TLS, on an API in memory."""

from __future__ import annotations

import base64
import json
import ssl
from collections.abc import AsyncIterator

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from harness.sidecarset import paths, webhook
from harness.sidecarset.client import ApiFailure
from harness.sidecarset.names import HASH, Object
from harness.sidecarset.registration import apply, mutating, register, validating
from tests.sidecarset.world import NAMESPACE, SET, World, sidecar

pytestmark = pytest.mark.integration  # the test client speaks over loopback

READY = {"yes": True}
Client = TestClient[web.Request, web.Application]


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture
async def client(world: World) -> AsyncIterator[Client]:
    app = webhook.application(world.admitter, lambda: READY["yes"], world._write)
    async with TestClient(TestServer(app)) as client:
        yield client


def review(**request: object) -> Object:
    return {
        "apiVersion": "admission.k8s.io/v1",
        "kind": "AdmissionReview",
        "request": {"uid": "7", "namespace": NAMESPACE, **request},
    }


def sidecarset(*containers: Object, version: str = "v1alpha1") -> Object:
    spec = {
        "selector": {"matchLabels": {"app": "trace"}},
        "namespace": NAMESPACE,
        "containers": list(containers),
    }
    return {
        "apiVersion": f"apps.kruise.io/{version}",
        "kind": "SidecarSet",
        "metadata": {"name": SET},
        "spec": spec,
    }


async def asked(client: Client, path: str, body: object) -> Object:
    async with client.post(path, json=body) as answer:
        assert answer.status == 200
        found: Object = await answer.json()
        return found


async def test_a_sidecarset_gets_defaults_as_a_patch(client: Client) -> None:
    answer = await asked(client, webhook.MUTATE_SIDECARSET, review(object=sidecarset(sidecar())))
    response = answer["response"]
    assert (answer["kind"], response["uid"], response["allowed"]) == ("AdmissionReview", "7", True)
    patch = {each["path"]: each["value"] for each in json.loads(base64.b64decode(response["patch"]))}
    assert HASH in patch["/metadata/annotations"]
    assert patch["/spec/updateStrategy"]["type"] == "RollingUpdate"
    assert "/spec/selector" not in patch


async def test_a_wrong_sidecarset_is_refused_with_500_and_all_reasons(client: Client, world: World) -> None:
    wrong = sidecarset({"name": "a"})
    del wrong["spec"]["selector"]
    response = (await asked(client, webhook.VALIDATE_SIDECARSET, review(object=wrong)))["response"]
    assert (response["allowed"], response["status"]["code"]) == (False, 500)
    message = response["status"]["message"]
    assert message.startswith("[spec.selector: Required value")
    assert message.endswith("spec.containers[0].image: Required value]")
    assert world.log[-1]["event"] == "refused"


async def test_a_right_sidecarset_is_let_through(client: Client) -> None:
    response = (await asked(client, webhook.VALIDATE_SIDECARSET, review(object=sidecarset(sidecar()))))[
        "response"
    ]
    assert response == {"uid": "7", "allowed": True}


async def test_a_pod_gets_its_sidecars_or_nothing(client: Client, world: World) -> None:
    world.create_set([sidecar()])
    pod = {"metadata": {"labels": {"app": "trace"}}, "spec": {"containers": [{"name": "app", "image": "i"}]}}
    response = (await asked(client, webhook.MUTATE_POD, review(object=pod)))["response"]
    patch = {each["path"]: each["value"] for each in json.loads(base64.b64decode(response["patch"]))}
    assert [each["name"] for each in patch["/spec/containers"]] == ["mesh-1", "mesh-2", "app"]
    other = {**pod, "metadata": {"labels": {"app": "other"}}}
    response = (await asked(client, webhook.MUTATE_POD, review(object=other)))["response"]
    assert response == {"uid": "7", "allowed": True}


async def test_a_pod_whose_revision_is_gone_is_refused(client: Client, world: World) -> None:
    world.create_set([sidecar()])
    world.run(1)
    revision = next(key for key in world.api.objects if "controllerrevisions" in key)
    wanted = {"revision": {"revisionName": revision.rpartition("/")[2]}}
    world.edit_set(lambda spec: spec.update(injectionStrategy=wanted))
    pod = {"metadata": {"labels": {"app": "trace"}}, "spec": {"containers": []}}
    assert (await asked(client, webhook.MUTATE_POD, review(object=pod)))["response"]["allowed"]
    world.api.delete(revision)
    response = (await asked(client, webhook.MUTATE_POD, review(object=pod)))["response"]
    assert "Cannot find specific ControllerRevision" in response["status"]["message"]


async def test_objects_are_converted_both_ways(client: Client) -> None:
    request = {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "ConversionReview",
        "request": {
            "uid": "7",
            "desiredAPIVersion": "apps.kruise.io/v1beta1",
            "objects": [sidecarset(sidecar())],
        },
    }
    response = (await asked(client, webhook.CONVERT, request))["response"]
    assert response["result"] == {"status": "Success"}
    assert response["convertedObjects"][0]["apiVersion"] == "apps.kruise.io/v1beta1"
    request["request"]["desiredAPIVersion"] = "apps.kruise.io/v9"  # type: ignore[index]
    response = (await asked(client, webhook.CONVERT, request))["response"]
    assert response["result"]["status"] == "Failure"


@pytest.mark.parametrize(("body", "status"), [(b"{", 400), (b"[]", 400), (b'{"kind":"x"}', 400)])
async def test_what_is_no_review_is_answered_with_400(client: Client, body: bytes, status: int) -> None:
    async with client.post(webhook.MUTATE_POD, data=body) as answer:
        assert answer.status == status


async def test_a_failure_is_answered_and_logged(client: Client, world: World) -> None:
    world.api.failures["list"] = [ApiFailure(0, "Unreachable", "gone")]
    async with client.post(webhook.MUTATE_POD, json=review(object={})) as answer:
        assert answer.status == 500
        assert "gone" in await answer.text()
    assert world.log[-1]["event"] == "webhook_failed"


async def test_it_is_ready_once_it_is_registered(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    async with client.get(webhook.READY) as answer:
        assert answer.status == 200
    monkeypatch.setitem(READY, "yes", False)
    async with client.get(webhook.READY) as answer:
        assert answer.status == 503


def test_the_certificate_is_for_the_address_and_vouched_for_by_its_authority() -> None:
    certificate = webhook.Certificate("10.1.2.3")
    assert isinstance(certificate.context(), ssl.SSLContext)
    assert certificate.authority_pem.startswith(b"-----BEGIN CERTIFICATE-----")


# -- registration --------------------------------------------------------------------------------------------


def test_registering_creates_and_later_replaces(world: World) -> None:
    register(world.api, "https://10.1.2.3:9876", b"first")
    register(world.api, "https://10.1.2.4:9876", b"second")
    crd = world.api.get(f"{paths.CRDS}/sidecarsets.apps.kruise.io")
    client = crd["spec"]["conversion"]["webhook"]["clientConfig"]
    assert client == {
        "url": "https://10.1.2.4:9876/convert",
        "caBundle": base64.b64encode(b"second").decode(),
    }
    assert [each["name"] for each in crd["spec"]["versions"] if each["storage"]] == ["v1beta1"]
    configuration = world.api.get(f"{paths.MUTATING}/kruise-mutating-webhook-configuration")
    urls = [each["clientConfig"]["url"] for each in configuration["webhooks"]]
    assert urls == [
        "https://10.1.2.4:9876/mutate-apps-kruise-io-sidecarset",
        "https://10.1.2.4:9876/mutate-pod",
    ]


def test_registering_keeps_what_others_wrote_and_bears_a_conflict(world: World) -> None:
    body = validating({"url": "https://x"})
    world.api.create(paths.VALIDATING, {**body, "metadata": {**body["metadata"], "labels": {"mine": "1"}}})
    world.api.failures["replace"] = [ApiFailure(409, "Conflict", "")]
    apply(world.api, paths.VALIDATING, body)
    stored = world.api.get(f"{paths.VALIDATING}/kruise-validating-webhook-configuration")
    assert stored["metadata"]["labels"] == {"mine": "1"}


def test_pods_of_the_controllers_own_namespace_are_out_of_reach() -> None:
    pod = mutating({}, {})["webhooks"][1]
    assert (pod["failurePolicy"], pod["rules"][0]["operations"]) == ("Fail", ["CREATE"])
    assert pod["namespaceSelector"]["matchExpressions"][0] == {
        "key": "control-plane",
        "operator": "NotIn",
        "values": ["openkruise"],
    }
