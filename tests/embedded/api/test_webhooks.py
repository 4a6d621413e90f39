"""Admission and conversion by a webhook on loopback, seen by the official client."""

from __future__ import annotations

import base64
import json
import socket
import ssl
from collections.abc import Iterator
from typing import Any

import kubernetes.watch
import pytest
import trustme
from aiohttp import web
from kubernetes import client
from kubernetes.client.exceptions import ApiException

from harness.embedded.seams import Object
from tests.embedded.api.local import WITHIN_S, Cluster, pod_body

pytestmark = pytest.mark.integration
GROUP = "mesh.example.com"
Watch: Any = kubernetes.watch.Watch


class Webhook:
    """Answers as a test tells it to, and remembers what it was asked."""

    def __init__(self, cluster: Cluster) -> None:
        self.reviews: list[Object] = []
        self.response: Object = {"allowed": True}
        self.status = 200
        self._authority = trustme.CA()
        self._cluster = cluster
        self.socket = socket.create_server(("127.0.0.1", 0))
        cluster.run(self._start())

    async def _start(self) -> None:
        application = web.Application()
        application.router.add_post("/admit", self._admit)
        application.router.add_post("/convert", self._convert)
        self._runner = web.AppRunner(application, shutdown_timeout=0.1)
        await self._runner.setup()
        context = web_context(self._authority)
        await web.SockSite(self._runner, self.socket, ssl_context=context).start()

    def client_config(self, path: str) -> Object:
        bundle = base64.b64encode(self._authority.cert_pem.bytes()).decode()
        return {"url": f"https://127.0.0.1:{self.socket.getsockname()[1]}{path}", "caBundle": bundle}

    async def _admit(self, request: web.Request) -> web.Response:
        review = await request.json()
        self.reviews.append(review["request"])
        return web.json_response(
            {"response": {"uid": review["request"]["uid"], **self.response}}, status=self.status
        )

    async def _convert(self, request: web.Request) -> web.Response:
        """v1alpha1 says `spec.size`, v1beta1 says `spec.limits.size`."""
        asked = (await request.json())["request"]
        converted = []
        for item in asked["objects"]:
            spec = item["spec"]
            size = spec["size"] if item["apiVersion"].endswith("v1alpha1") else spec["limits"]["size"]
            newer = asked["desiredAPIVersion"].endswith("v1beta1")
            other = {"limits": {"size": size}} if newer else {"size": size}
            converted.append({**item, "apiVersion": asked["desiredAPIVersion"], "spec": other})
        result = {"uid": asked["uid"], "convertedObjects": converted, "result": {"status": "Success"}}
        return web.json_response({"response": result})

    def close(self) -> None:
        self._cluster.run(self._runner.cleanup())


def web_context(authority: trustme.CA) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    return context


@pytest.fixture
def webhook(cluster: Cluster) -> Iterator[Webhook]:
    webhook = Webhook(cluster)
    yield webhook
    webhook.close()


@pytest.fixture
def registration(api: client.ApiClient) -> Iterator[Any]:
    """The client of webhook configurations; takes them all away in the end."""
    registration: Any = client.AdmissionregistrationV1Api(api)
    yield registration
    registration.delete_collection_mutating_webhook_configuration()
    registration.delete_collection_validating_webhook_configuration()


def hook(config: Object, **changes: Any) -> Object:
    rule = {"operations": ["CREATE"], "apiGroups": [""], "apiVersions": ["v1"], "resources": ["pods"]}
    body = {
        "name": "hook.mesh.example.com",
        "clientConfig": config,
        "rules": [rule],
        "sideEffects": "None",
        "admissionReviewVersions": ["v1"],
    }
    return {"metadata": {"name": "hook"}, "webhooks": [body | changes]}


def patched(*operations: Object) -> Object:
    text = base64.b64encode(json.dumps(operations).encode()).decode()
    return {"allowed": True, "patchType": "JSONPatch", "patch": text}


def test_a_mutating_webhook_adds_a_container_that_gets_its_defaults(
    webhook: Webhook, registration: Any, api: client.ApiClient
) -> None:
    registration.create_mutating_webhook_configuration(hook(webhook.client_config("/admit")))
    sidecar = {"name": "mesh", "image": "mesh:v1"}
    webhook.response = patched({"op": "add", "path": "/spec/containers/0", "value": sidecar})
    core: Any = client.CoreV1Api(api)
    made = core.create_namespaced_pod("default", pod_body("injected"))
    assert [container.name for container in made.spec.containers] == ["mesh", "app"]
    assert made.spec.containers[0].image_pull_policy == "IfNotPresent"
    (review,) = webhook.reviews
    assert (review["operation"], review["namespace"], review["object"]["metadata"]["name"]) == (
        "CREATE",
        "default",
        "injected",
    )
    core.patch_namespaced_pod("injected", "default", {"metadata": {"labels": {"a": "b"}}})
    core.delete_namespaced_pod("injected", "default")
    assert len(webhook.reviews) == 1


def refusal(core: Any, name: str) -> tuple[int, str | None, str]:
    with pytest.raises(ApiException) as caught:
        core.create_namespaced_pod("default", pod_body(name))
    body = json.loads(caught.value.body or "")
    return caught.value.status, body.get("reason"), body["message"]


@pytest.mark.parametrize("code", [400, 403, 500])
def test_a_denial_reaches_the_client_with_the_webhooks_own_code(
    webhook: Webhook, registration: Any, api: client.ApiClient, code: int
) -> None:
    registration.create_validating_webhook_configuration(hook(webhook.client_config("/admit")))
    webhook.response = {
        "allowed": False,
        "status": {"code": code, "message": "spec.selector: Required value"},
    }
    core: Any = client.CoreV1Api(api)
    message = 'admission webhook "hook.mesh.example.com" denied the request: spec.selector: Required value'
    assert refusal(core, "denied") == (code, None, message)
    assert "denied" not in [pod.metadata.name for pod in core.list_namespaced_pod("default").items]


def test_a_webhook_that_fails_decides_by_its_policy(
    webhook: Webhook, registration: Any, api: client.ApiClient
) -> None:
    core: Any = client.CoreV1Api(api)
    registration.create_validating_webhook_configuration(hook(webhook.client_config("/admit")))
    webhook.status = 503
    code, reason, message = refusal(core, "failing")
    assert (code, reason) == (500, "InternalError")
    assert 'failed calling webhook "hook.mesh.example.com"' in message
    registration.delete_validating_webhook_configuration("hook")
    stranger = {**webhook.client_config("/admit"), "caBundle": ""}
    registration.create_validating_webhook_configuration(hook(stranger))
    assert "certificate verify failed" in refusal(core, "failing")[2]
    registration.delete_validating_webhook_configuration("hook")
    service = {"service": {"name": "s", "namespace": "n"}}
    registration.create_validating_webhook_configuration(hook(service))
    assert "use clientConfig.url" in refusal(core, "failing")[2]
    registration.patch_validating_webhook_configuration(
        "hook", {"webhooks": [{"name": "hook.mesh.example.com", "failurePolicy": "Ignore"}]}
    )
    core.create_namespaced_pod("default", pod_body("failing"))
    core.delete_namespaced_pod("failing", "default")


def definition(webhook: Webhook) -> Object:
    columns = [{"name": "SIZE", "type": "integer", "jsonPath": ".spec.size"}]
    schema = {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}}
    versions = [
        {"name": "v1alpha1", "served": True, "storage": False, "additionalPrinterColumns": columns},
        {"name": "v1beta1", "served": True, "storage": True},
    ]
    config = {"clientConfig": webhook.client_config("/convert"), "conversionReviewVersions": ["v1"]}
    return {
        "metadata": {"name": f"gauges.{GROUP}"},
        "spec": {
            "group": GROUP,
            "scope": "Cluster",
            "names": {"plural": "gauges", "singular": "gauge", "kind": "Gauge", "listKind": "GaugeList"},
            "versions": [
                version | {"schema": schema, "subresources": {"status": {}}} for version in versions
            ],
            "conversion": {"strategy": "Webhook", "webhook": config},
        },
    }


def test_a_custom_object_is_seen_in_every_version_by_every_verb(
    webhook: Webhook, registration: Any, api: client.ApiClient
) -> None:
    definitions: Any = client.ApiextensionsV1Api(api)
    custom: Any = client.CustomObjectsApi(api)
    definitions.create_custom_resource_definition(definition(webhook))
    rule = {"operations": ["*"], "apiGroups": [GROUP], "apiVersions": ["v1alpha1"], "resources": ["gauges"]}
    registration.create_validating_webhook_configuration(hook(webhook.client_config("/admit"), rules=[rule]))
    alpha, beta = (GROUP, "v1alpha1", "gauges"), (GROUP, "v1beta1", "gauges")
    body = {
        "apiVersion": f"{GROUP}/v1alpha1",
        "kind": "Gauge",
        "metadata": {"name": "g"},
        "spec": {"size": 1},
    }
    made = custom.create_cluster_custom_object(*alpha, body)
    assert (made["spec"], made["metadata"]["generation"]) == ({"size": 1}, 1)
    assert webhook.reviews[-1]["object"]["spec"] == {"size": 1}  # in the version of the request
    assert custom.get_cluster_custom_object(*beta, "g")["spec"] == {"limits": {"size": 1}}
    custom.patch_cluster_custom_object(*alpha, "g", {"spec": {"size": 2}})
    seen = custom.get_cluster_custom_object(*beta, "g")
    assert (seen["spec"], seen["metadata"]["generation"]) == ({"limits": {"size": 2}}, 2)
    custom.patch_cluster_custom_object_status(*beta, "g", {"status": {"ready": 1}})
    (listed,) = custom.list_cluster_custom_object(*alpha)["items"]
    assert (listed["apiVersion"], listed["spec"], listed["status"]) == (
        f"{GROUP}/v1alpha1",
        {"size": 2},
        {"ready": 1},
    )
    seen["spec"]["limits"]["size"] = 3
    with pytest.raises(ApiException) as caught:
        custom.replace_cluster_custom_object(*beta, "g", seen)
    assert caught.value.status == 409
    revision = listed["metadata"]["resourceVersion"]
    custom.delete_cluster_custom_object(*beta, "g")
    options = {"resource_version": revision, "timeout_seconds": 1, "_request_timeout": WITHIN_S}
    events = list(Watch().stream(custom.list_cluster_custom_object, *alpha, **options))
    assert [(event["type"], event["object"]["spec"]) for event in events] == [("DELETED", {"size": 2})]
    definitions.delete_custom_resource_definition(f"gauges.{GROUP}")


def test_a_strategic_patch_of_a_custom_object_is_refused(webhook: Webhook, api: client.ApiClient) -> None:
    definitions: Any = client.ApiextensionsV1Api(api)
    custom: Any = client.CustomObjectsApi(api)
    definitions.create_custom_resource_definition(definition(webhook))
    body = {"metadata": {"name": "g"}, "spec": {"limits": {"size": 1}}}
    custom.create_cluster_custom_object(GROUP, "v1beta1", "gauges", body)
    strategic = {"_content_type": "application/strategic-merge-patch+json"}
    with pytest.raises(ApiException) as caught:
        custom.patch_cluster_custom_object(GROUP, "v1beta1", "gauges", "g", {"spec": {}}, **strategic)
    assert caught.value.status == 415
    definitions.delete_custom_resource_definition(f"gauges.{GROUP}")


def test_conversion_follows_the_definition_and_fails_with_its_webhook(
    cluster: Cluster, api: client.ApiClient
) -> None:
    definitions: Any = client.ApiextensionsV1Api(api)
    custom: Any = client.CustomObjectsApi(api)
    short_lived, name = Webhook(cluster), f"gauges.{GROUP}"
    definitions.create_custom_resource_definition(definition(short_lived))
    body = {"metadata": {"name": "g"}, "spec": {"limits": {"size": 1}}}
    custom.create_cluster_custom_object(GROUP, "v1beta1", "gauges", body)

    def older() -> Any:
        return custom.get_cluster_custom_object(GROUP, "v1alpha1", "gauges", "g")["spec"]

    assert older() == {"size": 1}
    definitions.patch_custom_resource_definition(name, {"spec": {"conversion": {"strategy": "None"}}})
    assert older() == {"limits": {"size": 1}}
    conversion = definition(short_lived)["spec"]["conversion"]
    definitions.patch_custom_resource_definition(name, {"spec": {"conversion": conversion}})
    short_lived.close()
    with pytest.raises(ApiException, match="conversion webhook") as caught:
        older()
    assert caught.value.status == 500
    definitions.delete_custom_resource_definition(name)
