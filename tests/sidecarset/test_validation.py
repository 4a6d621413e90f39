"""What is refused, and what is not although one might think so."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest

from harness.sidecarset import conversion
from harness.sidecarset.api import SidecarSet
from harness.sidecarset.defaults import defaulted
from harness.sidecarset.names import Object
from harness.sidecarset.validation import Surroundings, problems
from tests.sidecarset.world import IMAGES, sidecar

Change = Callable[[Object], object]


def a_set(change: Change = lambda spec: None, name: str = "set", **metadata: Any) -> SidecarSet:
    body: Object = {
        "apiVersion": "apps.kruise.io/v1alpha1",
        "metadata": {"name": name, **metadata},
        "spec": {
            "selector": {"matchLabels": {"app": "trace"}},
            "namespace": "here",
            "containers": [sidecar()],
        },
    }
    change(body["spec"])
    return SidecarSet(defaulted(conversion.to_storage(body)))


def container(spec: Object) -> Object:
    return dict.__getitem__(spec, "containers")[0]  # type: ignore[no-any-return]


REFUSED: list[tuple[str, Change, str]] = [
    (
        "no selector",
        lambda s: s.pop("selector"),
        "spec.selector: Required value: no selector defined for SidecarSet",
    ),
    (
        "empty selector",
        lambda s: s.update(selector={}),
        "spec.selector: Invalid value: {}: empty selector is not valid",
    ),
    (
        "no containers",
        lambda s: s.update(containers=[]),
        "spec: Required value: no initContainer or container defined",
    ),
    ("no image", lambda s: container(s).pop("image"), "spec.containers[0].image: Required value"),
    (
        "two of a name",
        lambda s: s["containers"].append(copy.deepcopy(container(s))),
        'spec.containers[1].name: Duplicate value: "mesh"',
    ),
    (
        "unknown podInjectPolicy",
        lambda s: container(s).update(podInjectPolicy="Beside"),
        'spec.container.podInjectPolicy: Invalid value: "Beside": unsupported pod inject policy',
    ),
    (
        "partition -1",
        lambda s: s.update(updateStrategy={"partition": -1}),
        "spec.updateStrategy.partition: Invalid value: -1: must be greater than or equal to 0",
    ),
    (
        "partition with selector",
        lambda s: s.update(updateStrategy={"partition": 1, "selector": {"matchLabels": {"a": "b"}}}),
        "updateStrategy: Invalid value: 1: Partition and Selector cannot be used together",
    ),
    (
        "name with underscore",
        lambda s: container(s).update(name="me_sh"),
        'spec.containers[0].name: Invalid value: "me_sh": a lowercase RFC 1123 label',
    ),
    (
        "volume twice",
        lambda s: s.update(volumes=[{"name": "a", "emptyDir": {}}] * 2),
        'spec.volumes[1].name: Duplicate value: "a"',
    ),
    (
        "unknown volume",
        lambda s: container(s).update(volumeMounts=[{"name": "x", "mountPath": "/x"}]),
        'spec.containers[0].volumeMounts[0].name: Not found: "x"',
    ),
    (
        "image is the empty image",
        lambda s: container(s).update(image=IMAGES["empty"]),
        "spec.containers[0].upgradeStrategy.hotUpgradeEmptyImage: Invalid value",
    ),
    (
        "half of a pair has a container's name",
        lambda s: s["containers"].append(sidecar("mesh-1", hot=False)),
        'spec.containers[0].name: Duplicate value: "mesh-1"',
    ),
    (
        "environment from a container that no field names",
        lambda s: container(s).update(transferEnv=[{"sourceContainerNameFrom": {}, "envName": "A"}]),
        "spec[0].transferEnv.fieldRef: Required value",
    ),
    (
        "environment from an unsubscripted field",
        lambda s: container(s).update(
            transferEnv=[{"sourceContainerNameFrom": {"fieldRef": {"fieldPath": "metadata.labels"}}}]
        ),
        "spec[0].transferEnv.fieldRef.fieldPath: Invalid value",
    ),
    (
        "resourcesPolicy with resources",
        lambda s: container(s).update(
            resources={"limits": {"cpu": "1"}},
            resourcesPolicy={"targetContainersMode": "sum", "resourcesExpr": {"limits": {"cpu": "cpu"}}},
        ),
        "spec[0].resourcesPolicy: Forbidden: resourcesPolicy and resources cannot be configured together",
    ),
    (
        "resourcesPolicy with nonsense",
        lambda s: container(s).update(
            resourcesPolicy={"targetContainersMode": "sum", "resourcesExpr": {"limits": {"cpu": "cpu +"}}}
        ),
        'resourcesExpr.limits.cpu: Invalid value: "cpu +": invalid expression: ends too early',
    ),
    (
        "both kinds of priority",
        lambda s: s.update(
            updateStrategy={
                "priorityStrategy": {
                    "weightPriority": [{"weight": 1, "matchSelector": {"matchLabels": {"a": "b"}}}],
                    "orderPriority": [{"orderedKey": "a"}],
                }
            }
        ),
        "only one of weightPriority and orderPriority can be used",
    ),
    (
        "scattered twice",
        lambda s: s.update(updateStrategy={"scatterStrategy": [{"key": "a", "value": "b"}] * 2}),
        "duplicated key=a value=b",
    ),
    (
        "a native sidecar that cannot be upgraded",
        lambda s: s.update(initContainers=[{"name": "n", "image": "i", "restartPolicy": "Always"}]),
        "The initContainer in-place upgrade is not currently supported.",
    ),
    (
        "metadata without a whitelist",
        lambda s: s.update(patchPodMetadata=[{"annotations": {"k": "v"}}]),
        "SidecarSet patch metadata whitelist not found",
    ),
    (
        "a revision that is not named",
        lambda s: s.update(injectionStrategy={"revision": {}}),
        "revisionName and customVersion cannot be empty simultaneously",
    ),
    (
        "a revision that is not stored",
        lambda s: s.update(injectionStrategy={"revision": {"customVersion": "1"}}),
        "Cannot find specific ControllerRevision",
    ),
]


@pytest.mark.parametrize(
    ("change", "message"), [each[1:] for each in REFUSED], ids=[each[0] for each in REFUSED]
)
def test_is_refused(change: Change, message: str) -> None:
    found = problems(a_set(change), Surroundings())
    assert any(message in each for each in found), found


ACCEPTED: list[tuple[str, Change]] = [
    ("valid", lambda s: None),
    ("unknown upgradeType", lambda s: container(s)["upgradeStrategy"].update(upgradeType="Warm")),
    ("hot without empty image", lambda s: container(s)["upgradeStrategy"].pop("hotUpgradeEmptyImage")),
    ("unknown strategy", lambda s: s.update(updateStrategy={"type": "Recreate", "partition": -1})),
    ("maxUnavailable 0", lambda s: s.update(updateStrategy={"maxUnavailable": 0})),
    ("maxUnavailable 150%", lambda s: s.update(updateStrategy={"maxUnavailable": "150%"})),
    ("name of 63 letters", lambda s: container(s).update(name="m" * 63)),
    ("namespace beats an empty namespaceSelector", lambda s: s.update(namespaceSelector={})),
    ("only initContainers", lambda s: s.update(containers=[], initContainers=[{"name": "i", "image": "i"}])),
]


@pytest.mark.parametrize("change", [each[1] for each in ACCEPTED], ids=[each[0] for each in ACCEPTED])
def test_is_accepted(change: Change) -> None:
    assert problems(a_set(change), Surroundings()) == []


def test_an_empty_namespace_selector_is_refused_where_no_namespace_is_given() -> None:
    found = problems(a_set(lambda s: (s.pop("namespace"), s.update(namespaceSelector={}))), Surroundings())
    assert found[0].startswith("spec.namespaceSelector: Invalid value: {}: empty selector")


def test_names_have_letters_digits_and_dashes_only() -> None:
    assert problems(a_set(name="a.b"), Surroundings())[0].startswith('metadata.name: Invalid value: "a.b"')


def test_all_that_is_wrong_is_said_at_once() -> None:
    found = problems(a_set(lambda s: (s.pop("selector"), container(s).pop("image"))), Surroundings())
    assert len(found) == 2


def test_an_update_may_remove_a_container_but_not_add_rename_or_change_its_upgrade_type() -> None:
    both = a_set(lambda s: s["containers"].append(sidecar("dns")))
    assert problems(a_set(), Surroundings(predecessor=both)) == []
    assert "container dns is not found" in problems(both, Surroundings(predecessor=a_set()))[0]
    cold = a_set(lambda s: container(s).update(upgradeStrategy={"upgradeType": "ColdUpgrade"}))
    assert "container mesh upgradeType is immutable" in problems(cold, Surroundings(predecessor=a_set()))[0]


def test_two_sets_that_can_meet_in_a_pod_must_not_share_a_container() -> None:
    other = a_set(name="other")
    assert problems(a_set(), Surroundings(others=[other])) == [
        'spec.containers: Invalid value: "mesh": container mesh already exist in other'
    ]
    elsewhere = a_set(lambda s: s.update(namespace="there"), name="other")
    assert problems(a_set(), Surroundings(others=[elsewhere])) == []
    other_pods = a_set(lambda s: s.update(selector={"matchLabels": {"app": "b"}}), name="other")
    assert problems(a_set(), Surroundings(others=[other_pods])) == []
    anywhere = a_set(lambda s: s.pop("namespace"), name="other")
    assert problems(a_set(), Surroundings(others=[anywhere])) != []


def test_a_volume_may_be_shared_only_with_equal_content() -> None:
    def with_volume(medium: str) -> Change:
        return lambda s: s.update(
            containers=[sidecar(f"c{medium.lower()}")],
            volumes=[{"name": "v", "emptyDir": {"medium": medium}}],
        )

    same = a_set(with_volume("Memory"), name="other")
    assert (
        problems(a_set(lambda s: s.update(volumes=same.spec["volumes"])), Surroundings(others=[same])) == []
    )
    found = problems(a_set(with_volume("")), Surroundings(others=[same]))
    assert found == ['spec.volumes: Invalid value: "v": volume v is in conflict with sidecarset other']


def test_a_canary_and_its_base_never_conflict() -> None:
    notes = {"apps.kruise.io/sidecarset-canary": "true", "apps.kruise.io/sidecarset-base": "set"}
    canary = a_set(lambda s: s.update(updateStrategy={"type": "NotUpdate"}), name="canary", annotations=notes)
    assert problems(canary, Surroundings(others=[a_set()])) == []
    assert problems(a_set(), Surroundings(others=[canary])) == []
    assert "failed: not found" in problems(canary, Surroundings())[0]


def test_annotations_are_patched_as_far_as_the_whitelist_goes() -> None:
    patching = a_set(lambda s: s.update(patchPodMetadata=[{"annotations": {"team/key": "v"}}]))
    allowed = Surroundings(whitelist=[{"allowedAnnotationKeyExprs": ["^team/"]}])
    assert problems(patching, allowed) == []
    denied = Surroundings(whitelist=[{"allowedAnnotationKeyExprs": ["^other/"]}])
    assert "annotation(team/key) is not allowed" in problems(patching, denied)[0]
    others_rule = [{"selector": {"matchLabels": {"a": "b"}}, "allowedAnnotationKeyExprs": [".*"]}]
    assert "annotation is not allowed" in problems(patching, Surroundings(whitelist=others_rule))[0]
