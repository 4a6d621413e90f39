"""The pure parts: names of images, fields, expansion, back-off, what is refused."""

from __future__ import annotations

import pytest

from harness.embedded.agent.backoff import Backoff
from harness.embedded.agent.environment import expand
from harness.embedded.agent.fields import Facts, FieldError, field, quantity, resource
from harness.embedded.agent.images import canonical, image_id
from harness.embedded.agent.support import passed_over, refusals
from harness.embedded.seams import Object

FACTS = Facts("embedded", "10.0.0.1", {"cpu": "2", "memory": "1024Ki"}, "10.0.0.2")
POD: Object = {
    "metadata": {
        "name": "p",
        "namespace": "n",
        "uid": "u",
        "labels": {"b": "2", "a": "1"},
        "annotations": {"x/y": "z"},
    },
    "spec": {
        "containers": [
            {"name": "c", "resources": {"limits": {"cpu": "1500m"}, "requests": {"memory": "1Mi"}}}
        ]
    },
}


@pytest.mark.parametrize(
    ("ref", "name"),
    [
        ("agent", "docker.io/library/agent:latest"),
        ("agent:v1", "docker.io/library/agent:v1"),
        ("rig/agent:v2", "docker.io/rig/agent:v2"),
        ("docker.io/rig/agent:v2", "docker.io/rig/agent:v2"),
        ("localhost/x", "localhost/x:latest"),
        ("host:5000/x/y:z", "host:5000/x/y:z"),
        ("gcr.io/x@sha256:12", "gcr.io/x@sha256:12"),
    ],
)
def test_images_are_named_in_full(ref: str, name: str) -> None:
    assert canonical(ref) == name


def test_an_image_id_is_repository_and_digest() -> None:
    assert image_id("rig/agent:v2", "sha256:ab") == "docker.io/rig/agent@sha256:ab"


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("metadata.name", "p"),
        ("metadata.annotations['x/y']", "z"),
        ("metadata.annotations['none']", ""),
        ("metadata.labels", 'a="1"\nb="2"'),
        ("spec.nodeName", "embedded"),
        ("status.podIP", "10.0.0.2"),
        ("status.hostIP", "10.0.0.1"),
    ],
)
def test_fields_of_a_pod(path: str, value: str) -> None:
    assert field(POD, path, FACTS) == value


def test_a_field_that_is_not_known_is_refused() -> None:
    with pytest.raises(FieldError, match=r"spec\.magic"):
        field(POD, "spec.magic", FACTS)


@pytest.mark.parametrize(("text", "value"), [("1", 1), ("1500m", 1.5), ("2Ki", 2048), ("1M", 1000000)])
def test_quantities(text: str, value: float) -> None:
    assert quantity(text) == value


@pytest.mark.parametrize(
    ("reference", "value"),
    [
        ({"resource": "limits.cpu"}, "2"),
        ({"resource": "limits.cpu", "divisor": "1m"}, "1500"),
        ({"resource": "requests.memory", "divisor": "1Ki"}, "1024"),
        ({"resource": "limits.memory"}, "1048576"),
        ({"resource": "requests.cpu"}, "0"),
    ],
)
def test_resources_are_rounded_up(reference: Object, value: str) -> None:
    assert resource(POD, POD["spec"]["containers"][0], reference, FACTS) == value


def test_expansion_leaves_what_it_does_not_know() -> None:
    assert expand("$(A) $(B) $$(A) $A $$", {"A": "1"}) == "1 $(B) $(A) $A $"


def test_delays_double_up_to_five_minutes_and_are_forgotten_after_ten() -> None:
    backoff, now, periods = Backoff(), 0.0, []
    for _ in range(7):
        backoff.count("k", now, now)
        periods.append(backoff.remaining("k", now, now))
    assert periods == [10, 20, 40, 80, 160, 300, 300]
    assert backoff.remaining("other", now, now) == 0
    assert backoff.remaining("k", 601.0, 601.0) == 0


def test_refusals_name_the_field() -> None:
    container = {"name": "c", "securityContext": {"privileged": True, "capabilities": {"add": ["NET_ADMIN"]}}}
    pod = {"spec": {"hostPID": True, "hostIPC": False, "securityContext": {}, "containers": [container]}}
    assert refusals(pod) == [
        "spec.hostPID",
        "spec.containers{c}.securityContext.privileged",
        "spec.containers{c}.securityContext.capabilities.add",
    ]


def test_a_common_pod_is_neither_refused_nor_remarked_on() -> None:
    container = {"name": "c", "securityContext": {"allowPrivilegeEscalation": False, "runAsNonRoot": True}}
    pod = {
        "spec": {"dnsPolicy": "ClusterFirst", "securityContext": {"runAsUser": 1}, "containers": [container]}
    }
    assert refusals(pod) == []
    assert passed_over(pod) == []


def test_what_has_no_effect_is_named() -> None:
    container = {"name": "c", "securityContext": {"readOnlyRootFilesystem": True}}
    assert passed_over({"spec": {"containers": [container]}}) == [
        "spec.containers{c}.securityContext.readOnlyRootFilesystem"
    ]
