from __future__ import annotations

from typing import Any

import pytest

from harness.embedded.api.admission import Attributes, Operation, concerns, denial, review_of, rule_matches
from harness.embedded.api.resources import BUILT_IN, Kind
from harness.embedded.seams import Object

KINDS = {kind.resource: kind for kind in BUILT_IN}


def request(
    resource: str = "pods",
    operation: Operation = "CREATE",
    *,
    labels: dict[str, str] | None = None,
    part: str = "",
) -> Attributes:
    kind: Kind = KINDS[resource]
    body = {"metadata": {"name": "x", "labels": labels or {}}}
    return Attributes(
        kind,
        operation,
        "ns" if kind.namespaced else "",
        "x",
        None if operation == "DELETE" else body,
        None if operation == "CREATE" else body,
        part,
    )


def rule(**changes: Any) -> Object:
    return {
        "operations": ["CREATE"],
        "apiGroups": [""],
        "apiVersions": ["v1"],
        "resources": ["pods"],
        "scope": "*",
    } | changes


@pytest.mark.parametrize(
    ("changes", "attributes", "expected"),
    [
        ({}, request(), True),
        ({}, request(operation="UPDATE"), False),
        ({"operations": ["*"]}, request(operation="DELETE"), True),
        ({"operations": ["CREATE", "UPDATE"]}, request(operation="UPDATE"), True),
        ({}, request("deployments.apps"), False),
        ({"apiGroups": ["*"], "resources": ["*"]}, request("deployments.apps"), True),
        ({"apiVersions": ["v2"]}, request(), False),
        ({"operations": ["UPDATE"]}, request(operation="UPDATE", part="status"), False),
        (
            {"operations": ["UPDATE"], "resources": ["pods/status"]},
            request(operation="UPDATE", part="status"),
            True,
        ),
        ({"resources": ["pods/status"]}, request(), False),
        ({"operations": ["UPDATE"], "resources": ["*/*"]}, request(operation="UPDATE", part="status"), True),
        ({"resources": ["*/*"]}, request(), True),
        ({"resources": ["pods/*"], "operations": ["*"]}, request(operation="UPDATE", part="scale"), True),
        ({"scope": "Cluster"}, request(), False),
        ({"scope": "Namespaced"}, request(), True),
        ({"scope": "Cluster", "resources": ["namespaces"]}, request("namespaces"), True),
    ],
)
def test_a_rule_covers_what_it_names(changes: Object, attributes: Attributes, *, expected: bool) -> None:
    assert rule_matches(rule(**changes), attributes) is expected


def hook(**changes: Any) -> Object:
    return {"rules": [rule(operations=["*"], resources=["*"], apiGroups=["*"])]} | changes


def test_a_namespace_selector_looks_at_the_namespace_of_the_object() -> None:
    picky = hook(namespaceSelector={"matchLabels": {"mesh": "on"}})
    assert concerns(picky, request(), {"mesh": "on"})
    assert not concerns(picky, request(), {})


def test_a_namespace_selector_of_a_namespace_looks_at_its_own_labels_and_lets_cluster_scope_pass() -> None:
    picky = hook(namespaceSelector={"matchLabels": {"mesh": "on"}})
    assert concerns(picky, request("namespaces", labels={"mesh": "on"}), {})
    assert not concerns(picky, request("namespaces"), {})
    assert concerns(picky, request("nodes"), {})


def test_an_object_selector_looks_at_both_states() -> None:
    picky = hook(objectSelector={"matchLabels": {"app": "web"}})
    assert concerns(picky, request(labels={"app": "web"}), {})
    assert not concerns(picky, request(labels={"app": "db"}), {})
    assert concerns(picky, request(operation="DELETE", labels={"app": "web"}), {})


def test_webhook_configurations_are_exempt_or_a_broken_one_could_not_be_removed() -> None:
    assert not concerns(hook(), request("mutatingwebhookconfigurations.admissionregistration.k8s.io"), {})


def test_a_denial_carries_the_webhooks_code_and_reason_and_its_message_behind_its_name() -> None:
    error = denial("v.kb.io", {"code": 500, "message": "spec.selector: Required value"})
    assert (error.code, error.reason) == (500, "")
    assert error.message == 'admission webhook "v.kb.io" denied the request: spec.selector: Required value'
    error = denial("v.kb.io", {"code": 403, "reason": "Forbidden"})
    assert error.message.endswith("denied the request: Forbidden")
    assert (error.code, error.reason) == (403, "Forbidden")
    assert denial("v.kb.io", {}).code == 400
    assert denial("v.kb.io", {}).message.endswith("denied the request without explanation")


def test_a_review_names_the_object_and_what_is_done_to_it() -> None:
    sent = review_of(request(operation="UPDATE", part="status"))["request"]
    assert sent["kind"] == {"group": "", "version": "v1", "kind": "Pod"}
    assert sent["resource"] == {"group": "", "version": "v1", "resource": "pods"}
    assert (sent["operation"], sent["namespace"], sent["name"], sent["subResource"]) == (
        "UPDATE",
        "ns",
        "x",
        "status",
    )
    assert sent["object"] is not None
    assert sent["oldObject"] is not None
