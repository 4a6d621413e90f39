from __future__ import annotations

from typing import Any

import pytest

from harness.embedded.api.lifecycle import Options, begin, count_generation, deleted, released, settle
from harness.embedded.api.resources import BUILT_IN, Kind
from harness.embedded.seams import ApiError, Object

KINDS = {kind.resource: kind for kind in BUILT_IN}
PODS, NAMESPACES, DEPLOYMENTS = KINDS["pods"], KINDS["namespaces"], KINDS["deployments.apps"]
CUSTOM = Kind("g.io", "v1", "things", "thing", "Thing", namespaced=True, generation=True, custom=True)


def stored(**changes: Any) -> Object:
    metadata = {"name": "x", "namespace": "ns", "uid": "u", "resourceVersion": "1005", "generation": 1}
    return {"metadata": metadata, "spec": {"a": 1}, "status": {"s": 1}} | changes


def test_a_new_object_gets_its_identity_from_the_server() -> None:
    body: Object = {"metadata": {"generateName": "x-", "uid": "mine", "generation": 7, "managedFields": []}}
    begin(DEPLOYMENTS, body, "ns")
    metadata = body["metadata"]
    assert metadata["name"].startswith("x-")
    assert len(metadata["name"]) == 7
    assert metadata["uid"] != "mine"
    assert (metadata["generation"], metadata["namespace"]) == (1, "ns")
    assert "managedFields" not in metadata


@pytest.mark.parametrize(
    ("metadata", "namespace"),
    [({"resourceVersion": "5"}, "ns"), ({"namespace": "other"}, "ns"), ({}, "")],
)
def test_an_object_that_does_not_fit_its_place_is_refused(metadata: Object, namespace: str) -> None:
    with pytest.raises(ApiError) as caught:
        begin(DEPLOYMENTS, {"metadata": metadata}, namespace)
    assert caught.value.code == 400


def test_status_is_kept_apart_both_ways() -> None:
    draft = {"metadata": {"labels": {"l": "1"}}, "spec": {"a": 2}, "status": {"s": 2}}
    whole = settle(DEPLOYMENTS, stored(), draft, "")
    assert (whole["spec"], whole["status"], whole["metadata"]["labels"]) == ({"a": 2}, {"s": 1}, {"l": "1"})
    status = settle(DEPLOYMENTS, stored(), draft, "status")
    assert (status["spec"], status["status"]) == ({"a": 1}, {"s": 2})
    assert "labels" not in status["metadata"]
    assert settle(CUSTOM, stored(), draft, "")["status"] == {"s": 2}  # no status subresource: one document


def test_the_servers_metadata_cannot_be_overwritten() -> None:
    draft = stored(
        metadata={"name": "x", "creationTimestamp": "never", "deletionTimestamp": "now", "generation": 9}
    )
    settled = settle(DEPLOYMENTS, stored(), draft, "")["metadata"]
    assert settled == stored()["metadata"]


@pytest.mark.parametrize(
    ("metadata", "code"),
    [
        ({"name": "y"}, 400),
        ({"namespace": "other"}, 400),
        ({"uid": "other"}, 409),
        ({"resourceVersion": "1004"}, 409),
    ],
)
def test_a_write_to_another_object_or_state_is_refused(metadata: Object, code: int) -> None:
    with pytest.raises(ApiError) as caught:
        settle(DEPLOYMENTS, stored(), stored(metadata=metadata), "")
    assert caught.value.code == code


def test_the_generation_counts_changes_of_what_is_desired() -> None:
    def generation(kind: Kind, **changes: Any) -> int:
        return int(count_generation(kind, stored(), stored(**changes))["metadata"]["generation"])

    assert generation(DEPLOYMENTS, spec={"a": 2}) == 2
    assert generation(DEPLOYMENTS) == 1
    assert generation(DEPLOYMENTS, status={"s": 2}) == 1
    assert generation(CUSTOM, status={"s": 2}) == 2  # without a status subresource everything is desired


def pod(**changes: Any) -> Object:
    return stored(spec={"nodeName": "n", "terminationGracePeriodSeconds": 7}, **changes)


def test_a_pod_on_a_node_is_given_its_grace_and_goes_when_the_node_says_so() -> None:
    leaving = deleted(PODS, pod(), Options())
    assert leaving is not None
    assert leaving["metadata"]["deletionGracePeriodSeconds"] == 7
    assert not released(PODS, leaving)
    again = deleted(PODS, leaving, Options(grace_s=60))
    assert again is not None
    assert again["metadata"]["deletionGracePeriodSeconds"] == 7  # a grace can only become shorter
    sooner = deleted(PODS, leaving, Options(grace_s=2))
    assert sooner is not None
    assert sooner["metadata"]["deletionGracePeriodSeconds"] == 2
    assert deleted(PODS, leaving, Options(grace_s=0)) is None


def test_a_pod_that_runs_nowhere_goes_at_once() -> None:
    assert deleted(PODS, stored(spec={}), Options()) is None
    assert deleted(PODS, pod(status={"phase": "Succeeded"}), Options(grace_s=60)) is None


def test_finalizers_hold_an_object_back() -> None:
    held = stored()
    held["metadata"]["finalizers"] = ["x/y"]
    leaving = deleted(DEPLOYMENTS, held, Options())
    assert leaving is not None
    assert leaving["metadata"]["deletionTimestamp"]
    leaving["metadata"]["finalizers"] = []
    assert released(DEPLOYMENTS, leaving)
    assert deleted(DEPLOYMENTS, stored(), Options()) is None


@pytest.mark.parametrize(
    ("policy", "finalizer"), [("Foreground", "foregroundDeletion"), ("Orphan", "orphan")]
)
def test_a_propagation_policy_is_written_down_as_a_finalizer(policy: str, finalizer: str) -> None:
    leaving = deleted(DEPLOYMENTS, stored(), Options(propagation=policy))
    assert leaving is not None
    assert leaving["metadata"]["finalizers"] == [finalizer]


def test_a_namespace_terminates_until_it_is_finalized() -> None:
    leaving = deleted(NAMESPACES, stored(spec={"finalizers": ["kubernetes"]}), Options())
    assert leaving is not None
    assert leaving["status"]["phase"] == "Terminating"
    finalized = settle(NAMESPACES, leaving, {"metadata": {}, "spec": {"finalizers": []}}, "finalize")
    assert released(NAMESPACES, finalized)
