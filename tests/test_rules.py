"""Rules that a cluster gives to every new namespace are found before traffic starts, and told with their remedy."""

from __future__ import annotations

from typing import Any

import pytest

from harness import rules
from harness.errors import ClusterError, InputError
from tests.site import SITE
from tests.upgrade.fakes import Answer, FakeApi, refusal

SPEC = {"containers": [{"name": "app", "image": "app:v1"}]}
POD = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "application"}, "spec": SPEC}


def test_pods_are_tried_and_none_is_made() -> None:
    api = FakeApi(lambda method, path, query, body: (201, body))
    rules.admit(api, SITE, [POD, POD])
    path = f"/api/v1/namespaces/{SITE.namespace}/pods"
    assert api.asked == [("POST", path, {"dryRun": "All"})] * 2


def test_a_pod_that_pod_security_refuses_is_named_with_the_reason() -> None:
    said = 'pods "application" is forbidden: violates PodSecurity "restricted:latest"'
    api = FakeApi(lambda *_: refusal(403, said, "Forbidden"))
    with pytest.raises(InputError, match=r"refuses pod application .*violates PodSecurity.*; exempt"):
        rules.admit(api, SITE, [POD])


def test_an_api_in_trouble_is_no_rule() -> None:
    api = FakeApi(lambda *_: refusal(500, "etcd is gone", "InternalError"))
    with pytest.raises(ClusterError, match="etcd is gone") as caught:
        rules.admit(api, SITE, [POD])
    assert not isinstance(caught.value, InputError)


def policy(name: str, selector: dict[str, Any] | None = None, **spec: Any) -> dict[str, Any]:
    return {"metadata": {"name": name}, "spec": {"podSelector": selector or {}, **spec}}


DENY = policy("deny", policyTypes=["Ingress", "Egress"])
OPEN = policy("open", policyTypes=["Ingress", "Egress"], ingress=[{}], egress=[{}])
SOME = policy("some", {"matchLabels": {"a": "b"}}, policyTypes=["Ingress"])


def namespace(*policies: dict[str, Any]) -> FakeApi:
    def answer(method: str, path: str, query: dict[str, str], body: Any) -> Answer:
        assert path == f"/apis/networking.k8s.io/v1/namespaces/{SITE.namespace}/networkpolicies"
        return 200, {"items": list(policies)}

    return FakeApi(answer)


@pytest.mark.parametrize("policies", [[], [OPEN], [DENY, OPEN], [SOME]])
def test_policies_that_leave_a_way_are_no_obstacle(policies: list[dict[str, Any]]) -> None:
    rules.talk(namespace(*policies), SITE)


@pytest.mark.parametrize(
    ("policies", "told"),
    [
        ([DENY], "NetworkPolicy deny, .* lets no ingress through"),
        ([policy("out", policyTypes=["Egress"])], "NetworkPolicy out, .* lets no egress through"),
        ([policy("old")], "NetworkPolicy old, .* lets no ingress through"),
    ],
)
def test_a_namespace_that_is_closed_for_all_pods_is_refused(
    policies: list[dict[str, Any]], told: str
) -> None:
    with pytest.raises(InputError, match=told):
        rules.talk(namespace(*policies), SITE)


@pytest.mark.parametrize("status", [403, 404])
def test_who_may_not_look_at_policies_runs_all_the_same(status: int) -> None:
    rules.talk(FakeApi(lambda *_: refusal(status, "no", "No")), SITE)
