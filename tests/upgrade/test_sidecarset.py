"""The SidecarSet object: what is created, and that a patch touches one image alone."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from harness.errors import ClusterError, InputError, Timeout
from harness.manifest import Subject
from harness.upgrade import sidecarset
from tests.site import SITE
from tests.upgrade.fakes import SET, Answer, FakeApi, FakeTime, refusal

OWN = {"matchLabels": {"kubernetes.io/metadata.name": "hotupgrade-1"}}


def desired(subject: Subject, *, images_loaded: bool = False) -> Any:
    return sidecarset.desired(subject, SITE, images_loaded=images_loaded)


@pytest.mark.parametrize("version", ["v1alpha1", "v1beta1"])
@pytest.mark.parametrize(
    "own", [{}, {"namespace": "team"}, {"namespaceSelector": {"matchLabels": {"tier": "mesh"}}}]
)
def test_a_set_is_limited_to_the_namespace_of_the_run(
    hot: Subject, version: str, own: dict[str, Any]
) -> None:
    manifest = {**hot.manifest, "spec": {**hot.manifest["spec"], **own}}
    spec = desired(replace(hot, version=version, manifest=manifest))["spec"]
    assert spec["namespaceSelector"] == OWN
    assert "namespace" not in spec
    assert "namespaceSelector" not in hot.manifest["spec"]


def test_images_that_were_loaded_are_not_pulled(hot: Subject) -> None:
    (container,) = desired(hot, images_loaded=True)["spec"]["containers"]
    assert container["imagePullPolicy"] == "IfNotPresent"
    assert "imagePullPolicy" not in desired(hot)["spec"]["containers"][0]


def test_a_cold_upgrade_drops_the_empty_image(hot: Subject, cold: Subject) -> None:
    (container,) = desired(cold)["spec"]["containers"]
    assert container["upgradeStrategy"] == {"upgradeType": "ColdUpgrade"}
    (container,) = desired(hot)["spec"]["containers"]
    assert container["upgradeStrategy"]["hotUpgradeEmptyImage"] == "rig/empty:v1"


def test_what_a_server_added_to_an_exported_manifest_is_left_out(hot: Subject) -> None:
    metadata = {"name": "trace", "labels": {"a": "b"}, "resourceVersion": "7", "uid": "u", "generation": 3}
    exported = {**hot.manifest, "metadata": metadata, "status": {"matchedPods": 1}}
    body = desired(replace(hot, manifest=exported))
    assert body["metadata"] == {
        "name": "trace",
        "labels": {**SITE.labels, "a": "b"},
        "annotations": SITE.annotations,
    }
    assert "status" not in body


def test_a_set_that_the_webhook_refuses_is_an_input_error_with_its_words(hot: Subject) -> None:
    words = 'admission webhook "vsidecarset.kb.io" denied the request: spec.selector: no selector'
    with pytest.raises(InputError, match="no selector") as caught:
        sidecarset.create(FakeApi(lambda *_: refusal(500, words)), hot, SITE, images_loaded=False)
    assert "\n" not in str(caught.value)


def test_a_set_that_is_there_already_is_told_with_a_remedy(hot: Subject) -> None:
    with pytest.raises(ClusterError, match="already; delete it"):
        sidecarset.create(
            FakeApi(lambda *_: refusal(409, "exists", "AlreadyExists")), hot, SITE, images_loaded=False
        )


def test_an_api_that_fails_is_a_cluster_error(hot: Subject) -> None:
    with pytest.raises(ClusterError, match="cannot create SidecarSet trace: 503 not now"):
        sidecarset.create(FakeApi(lambda *_: refusal(503, "not now")), hot, SITE, images_loaded=False)


def test_pods_are_made_only_when_the_controller_has_seen_the_set(hot: Subject) -> None:
    time = FakeTime()

    def answer(*_: Any) -> Answer:
        observed = 2 if time.now - started > 1 else 1
        return 200, {"metadata": {"generation": 2}, "status": {"observedGeneration": observed}}

    started = time.now
    sidecarset.wait_observed(FakeApi(answer), hot, clock=time.clock)
    assert 1 < time.now - started < 1.5


def test_a_controller_that_never_looks_is_told_after_a_while(hot: Subject) -> None:
    time = FakeTime()
    api = FakeApi(lambda *_: (200, {"metadata": {"generation": 1}}))
    with pytest.raises(Timeout, match=r"observedGeneration is 0, metadata.generation 1"):
        sidecarset.wait_observed(api, hot, clock=time.clock)


def test_the_image_changes_in_the_container_of_that_name_and_nothing_else(hot: Subject) -> None:
    stored: dict[str, Any] = {
        "metadata": {"name": "trace", "resourceVersion": "9"},
        "spec": {
            "containers": [{"name": "log", "image": "l:1"}, {"name": "mesh", "image": "m:1", "env": []}]
        },
    }
    written = []

    def answer(method: str, path: str, query: dict[str, str], body: Any) -> Answer:
        assert path == f"{SET}/trace"
        if method == "PUT":
            written.append(body)
        return 200, stored

    sidecarset.set_image(FakeApi(answer), hot, "m:2")
    containers = [{"name": "log", "image": "l:1"}, {"name": "mesh", "image": "m:2", "env": []}]
    assert written == [{"metadata": stored["metadata"], "spec": {"containers": containers}}]


def test_conflicts_without_end_are_told(hot: Subject) -> None:
    def answer(method: str, *_: Any) -> Answer:
        if method == "GET":
            return 200, {"metadata": {}, "spec": {"containers": [{"name": "mesh", "image": "m:1"}]}}
        return refusal(409, "modified", "Conflict")

    api = FakeApi(answer)
    with pytest.raises(ClusterError, match="20 conflicts in a row"):
        sidecarset.set_image(api, hot, "m:2")
