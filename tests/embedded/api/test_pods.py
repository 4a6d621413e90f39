from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.embedded.api import pod_defaults, pod_rules, pod_types
from harness.embedded.api.storage import clone
from harness.embedded.seams import Object


def pod(**spec: Any) -> Object:
    body = {"metadata": {"name": "web"}, "spec": {"containers": [{"name": "app", "image": "app:v1"}]} | spec}
    pod_defaults.pod(body)
    return body


def test_a_pod_gets_the_defaults_of_kubernetes() -> None:
    probe = {"httpGet": {"port": 80}}
    container = {"name": "app", "image": "app:v1", "ports": [{"containerPort": 80}], "readinessProbe": probe}
    spec = pod(containers=[container], volumes=[{"name": "v"}, {"name": "c", "configMap": {"name": "x"}}])[
        "spec"
    ]
    assert spec["restartPolicy"] == "Always"
    assert spec["terminationGracePeriodSeconds"] == 30
    assert spec["dnsPolicy"] == "ClusterFirst"
    assert spec["serviceAccountName"] == spec["serviceAccount"] == "default"
    (filled,) = spec["containers"]
    assert filled["imagePullPolicy"] == "IfNotPresent"
    assert filled["terminationMessagePath"] == "/dev/termination-log"
    assert filled["ports"] == [{"containerPort": 80, "protocol": "TCP"}]
    assert filled["readinessProbe"] == {
        "httpGet": {"port": 80, "path": "/", "scheme": "HTTP"},
        "timeoutSeconds": 1,
        "periodSeconds": 10,
        "successThreshold": 1,
        "failureThreshold": 3,
    }
    assert spec["volumes"] == [
        {"name": "v", "emptyDir": {}},
        {"name": "c", "configMap": {"name": "x", "defaultMode": 420}},
    ]


def test_defaults_change_nothing_that_is_given_and_nothing_twice() -> None:
    once = pod(restartPolicy="Never", terminationGracePeriodSeconds=0)
    assert (once["spec"]["restartPolicy"], once["spec"]["terminationGracePeriodSeconds"]) == ("Never", 0)
    twice = clone(once)
    pod_defaults.pod(twice)
    assert twice == once


@pytest.mark.parametrize(
    ("image", "policy"),
    [
        ("a", "Always"),
        ("a:latest", "Always"),
        ("a:v1", "IfNotPresent"),
        ("host:5000/a", "Always"),
        ("host:5000/a:v1", "IfNotPresent"),
        ("a@sha256:0", "IfNotPresent"),
    ],
)
def test_the_pull_policy_follows_the_tag(image: str, policy: str) -> None:
    assert pod_defaults.pull_policy(image) == policy


@pytest.mark.parametrize(
    ("resources", "expected"),
    [
        ({}, "BestEffort"),
        ({"requests": {"cpu": "1"}}, "Burstable"),
        ({"limits": {"cpu": "1", "memory": "1Gi"}}, "Guaranteed"),
        ({"limits": {"cpu": "1"}}, "Burstable"),
    ],
)
def test_the_quality_of_service_follows_requests_and_limits(resources: Object, expected: str) -> None:
    body = pod(containers=[{"name": "app", "image": "a:v1", "resources": resources}])
    assert pod_defaults.quality_of_service(body["spec"]) == expected


def container(**changes: Any) -> Object:
    return {"containers": [{"name": "app", "image": "a:v1"} | changes]}


@pytest.mark.parametrize(
    ("spec", "field", "type"),
    [
        ({"containers": []}, "spec.containers", "FieldValueRequired"),
        ({"containers": [{"name": "app"}]}, "spec.containers[0].image", "FieldValueRequired"),
        (container(name="me_sh"), "spec.containers[0].name", "FieldValueInvalid"),
        (container(name=""), "spec.containers[0].name", "FieldValueRequired"),
        (container(name="a" * 64), "spec.containers[0].name", "FieldValueInvalid"),
        (
            {"containers": [{"name": "a", "image": "x"}, {"name": "a", "image": "x"}]},
            "spec.containers[1].name",
            "FieldValueDuplicate",
        ),
        (
            {"initContainers": [{"name": "app", "image": "x"}]},
            "spec.initContainers[0].name",
            "FieldValueDuplicate",
        ),
        ({"volumes": [{"name": "v"}, {"name": "v"}]}, "spec.volumes[1].name", "FieldValueDuplicate"),
        (
            {"volumes": [{"name": "v", "emptyDir": {}, "hostPath": {"path": "/"}}]},
            "spec.volumes[0].hostPath",
            "FieldValueForbidden",
        ),
        (
            container(volumeMounts=[{"name": "v", "mountPath": "/v"}]),
            "spec.containers[0].volumeMounts[0].name",
            "FieldValueNotFound",
        ),
        ({"restartPolicy": "Sometimes"}, "spec.restartPolicy", "FieldValueNotSupported"),
        ({"dnsPolicy": "No"}, "spec.dnsPolicy", "FieldValueNotSupported"),
        ({"terminationGracePeriodSeconds": -1}, "spec.terminationGracePeriodSeconds", "FieldValueInvalid"),
        (container(imagePullPolicy="Maybe"), "spec.containers[0].imagePullPolicy", "FieldValueNotSupported"),
        (container(restartPolicy="Always"), "spec.containers[0].restartPolicy", "FieldValueForbidden"),
        (
            container(ports=[{"containerPort": 0}]),
            "spec.containers[0].ports[0].containerPort",
            "FieldValueRequired",
        ),
        (
            container(ports=[{"containerPort": 70000}]),
            "spec.containers[0].ports[0].containerPort",
            "FieldValueInvalid",
        ),
        (container(env=[{"name": ""}]), "spec.containers[0].env[0].name", "FieldValueRequired"),
        (container(env=[{"name": "a=b"}]), "spec.containers[0].env[0].name", "FieldValueInvalid"),
        (container(readinessProbe={}), "spec.containers[0].readinessProbe", "FieldValueRequired"),
        (
            container(lifecycle={"postStart": {}}),
            "spec.containers[0].lifecycle.postStart",
            "FieldValueRequired",
        ),
        (
            container(livenessProbe={"exec": {"command": ["x"]}, "successThreshold": 2}),
            "spec.containers[0].livenessProbe.successThreshold",
            "FieldValueInvalid",
        ),
        ({"serviceAccountName": "No_Such"}, "spec.serviceAccountName", "FieldValueInvalid"),
    ],
)
def test_a_wrong_pod_is_refused_at_the_field_that_is_wrong(spec: Object, field: str, type: str) -> None:
    causes = pod_rules.creation_causes(pod(**spec))
    assert [(cause.field, cause.type) for cause in causes] == [(field, type)]


def test_a_good_pod_has_nothing_wrong() -> None:
    good = container(volumeMounts=[{"name": "v", "mountPath": "/v"}], env=[{"name": "A"}], lifecycle={})
    assert pod_rules.creation_causes(pod(**good, volumes=[{"name": "v"}])) == []


@pytest.mark.parametrize(
    "change",
    [
        lambda spec: spec["containers"][0].update(image="app:v2"),
        lambda spec: spec.update(activeDeadlineSeconds=5),
        lambda spec: spec.update(tolerations=[{"operator": "Exists"}]),
        lambda spec: spec.update(nodeName="node"),
    ],
)
def test_images_and_few_other_fields_of_a_pod_may_change(change: Callable[[Object], None]) -> None:
    before, after = pod(), pod()
    change(after["spec"])
    assert pod_rules.update_causes(after, before) == []


@pytest.mark.parametrize(
    "change",
    [
        lambda spec: spec["containers"][0].update(command=["x"]),
        lambda spec: spec["containers"].append({"name": "b", "image": "x"}),
        lambda spec: spec["containers"].clear(),
        lambda spec: spec.update(restartPolicy="Never"),
        lambda spec: spec["containers"][0].update(env=[{"name": "A"}]),
        lambda spec: spec.update(hostname="x"),
    ],
)
def test_the_rest_of_a_pods_specification_may_not_change(change: Callable[[Object], None]) -> None:
    before, after = pod(), pod()
    change(after["spec"])
    assert [cause.field for cause in pod_rules.update_causes(after, before)] == ["spec"]


def test_a_node_once_assigned_stays() -> None:
    before, after = pod(nodeName="one"), pod(nodeName="two")
    assert [cause.field for cause in pod_rules.update_causes(after, before)] == ["spec"]


def fitting(type: Any) -> st.SearchStrategy[Any]:
    """Values of a type in the table, with few of an object's fields."""
    if isinstance(type, list):
        return st.lists(fitting(type[0]), max_size=2)
    if isinstance(type, dict):
        some = st.lists(st.sampled_from(sorted(type)), max_size=3, unique=True) if type else st.just([])
        return some.flatmap(
            lambda names: st.fixed_dictionaries({name: fitting(type[name]) for name in names})
        )
    values: dict[str, st.SearchStrategy[Any]] = {
        pod_types.STRING: st.sampled_from(["", "a", "A_b"]),
        pod_types.INTEGER: st.integers(-1, 2),
        pod_types.BOOLEAN: st.booleans(),
        pod_types.TEXTS: st.dictionaries(
            st.sampled_from(["", "a", "a/b/"]), st.sampled_from(["", "v", "-"]), max_size=2
        ),
        pod_types.NUMBER_OR_TEXT: st.sampled_from([0, 80, "http"]),
    }
    return values.get(type, st.none())


@given(fitting(pod_types.POD_SPEC))
def test_whatever_fits_the_types_is_judged_without_breaking(spec: Object) -> None:
    body = {"metadata": {"name": "web"}, "spec": spec}
    assert pod_types.misfit(body, pod_types.POD) == ""
    body = without_nulls(body)
    pod_defaults.pod(body)
    assert isinstance(pod_rules.creation_causes(body), list)


def without_nulls(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: without_nulls(item) for key, item in value.items() if item is not None}
    return [without_nulls(item) for item in value] if isinstance(value, list) else value


def test_what_cannot_be_decoded_is_told_with_its_place() -> None:
    told = pod_types.misfit({"spec": {"containers": [{"name": 5}]}}, pod_types.POD)
    assert told == "json: cannot unmarshal number into field spec.containers[0].name of type string"
    assert pod_types.misfit({"spec": {"containers": "x"}}, pod_types.POD).endswith("of type []object")
    assert pod_types.misfit({"spec": {"containers": [None]}}, pod_types.POD)
    assert pod_types.misfit({"spec": None}, pod_types.POD) == ""
