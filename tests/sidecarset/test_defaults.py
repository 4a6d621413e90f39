"""Defaults and conversion."""

from __future__ import annotations

import pytest

from harness.sidecarset import conversion
from harness.sidecarset.defaults import defaulted, pull_policy
from harness.sidecarset.names import HASH, HASH_WITHOUT_IMAGE, Object
from tests.sidecarset.world import sidecar


def sidecarset(version: str = "v1beta1", **spec: object) -> Object:
    return {"apiVersion": f"apps.kruise.io/{version}", "metadata": {"name": "set"}, "spec": spec}


def test_strategies_and_containers_get_their_defaults() -> None:
    plain = sidecarset(
        containers=[{"name": "a", "image": "a"}], initContainers=[{"name": "b", "image": "b:1"}]
    )
    spec = defaulted(plain)["spec"]
    assert spec["updateStrategy"] == {"type": "RollingUpdate", "partition": 0, "maxUnavailable": 1}
    assert spec["revisionHistoryLimit"] == 10
    container, init = spec["containers"][0], spec["initContainers"][0]
    assert container["podInjectPolicy"] == "BeforeAppContainer"
    assert init["podInjectPolicy"] == "AfterAppContainer"
    assert container["upgradeStrategy"] == {"upgradeType": "ColdUpgrade"}
    assert container["shareVolumePolicy"] == {"type": "disabled"}
    assert (container["imagePullPolicy"], init["imagePullPolicy"]) == ("Always", "IfNotPresent")


def test_what_is_given_stays_and_a_second_time_changes_nothing() -> None:
    given = sidecarset(
        containers=[sidecar(readinessProbe={"httpGet": {"port": 80}}, ports=[{"containerPort": 80}])],
        updateStrategy={"type": "NotUpdate", "partition": "50%"},
        volumes=[{"name": "a", "configMap": {"name": "c"}}, {"name": "b"}],
    )
    once = defaulted(given)
    assert once["spec"]["updateStrategy"]["type"] == "NotUpdate"
    assert once["spec"]["containers"][0]["readinessProbe"]["failureThreshold"] == 3
    assert once["spec"]["containers"][0]["readinessProbe"]["httpGet"]["scheme"] == "HTTP"
    assert once["spec"]["volumes"] == [
        {"name": "a", "configMap": {"name": "c", "defaultMode": 420}},
        {"name": "b", "emptyDir": {}},
    ]
    assert defaulted(once) == once
    assert "updateStrategy" in given["spec"]
    assert "maxUnavailable" not in given["spec"]["updateStrategy"]


def test_hashes_are_written_anew_whatever_was_there() -> None:
    given = sidecarset(containers=[sidecar()])
    given["metadata"]["annotations"] = {HASH: "forged", "mine": "kept"}
    notes = defaulted(given)["metadata"]["annotations"]
    assert notes["mine"] == "kept"
    assert len(notes[HASH]) == len(notes[HASH_WITHOUT_IMAGE]) == 64


@pytest.mark.parametrize(
    ("image", "policy"),
    [
        ("a", "Always"),
        ("a:latest", "Always"),
        ("a:1", "IfNotPresent"),
        ("localhost:5000/a", "Always"),
        ("localhost:5000/a:1", "IfNotPresent"),
        (f"a@sha256:{'0' * 64}", "IfNotPresent"),
    ],
)
def test_the_pull_policy_follows_the_tag(image: str, policy: str) -> None:
    assert pull_policy(image) == policy


def test_a_namespace_becomes_a_selector_and_beats_the_one_that_is_given() -> None:
    given = sidecarset("v1alpha1", namespace="here", namespaceSelector={"matchLabels": {"a": "b"}})
    stored = conversion.to_storage(given)
    assert stored["apiVersion"] == "apps.kruise.io/v1beta1"
    assert stored["spec"] == {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "here"}}}
    back = conversion.converted(stored, "apps.kruise.io/v1alpha1")
    assert back["spec"] == stored["spec"]


def test_the_custom_version_moves_between_label_and_field() -> None:
    given = sidecarset("v1alpha1")
    given["metadata"]["labels"] = {"apps.kruise.io/sidecarset-custom-version": "7"}
    stored = conversion.to_storage(given)
    assert (stored["spec"], stored["metadata"]["labels"]) == ({"customVersion": "7"}, {})
    back = conversion.converted(stored, "apps.kruise.io/v1alpha1")
    assert back["metadata"]["labels"] == given["metadata"]["labels"]
    assert "customVersion" not in back["spec"]


def test_a_version_that_is_not_served_is_refused() -> None:
    with pytest.raises(conversion.UnknownVersion, match="v2"):
        conversion.converted(sidecarset(), "apps.kruise.io/v2")


def test_hashes_do_not_depend_on_the_version() -> None:
    first = defaulted(sidecarset("v1alpha1", containers=[sidecar()], namespace="here"))
    second = defaulted(conversion.to_storage(first))
    assert first["metadata"]["annotations"] == second["metadata"]["annotations"]
