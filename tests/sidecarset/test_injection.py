"""What a new pod looks like with its sidecars."""

from __future__ import annotations

import json
from typing import Any

import pytest

from harness.sidecarset import matching, revisions
from harness.sidecarset.api import SidecarSet
from harness.sidecarset.defaults import defaulted
from harness.sidecarset.injection import CannotInject, Injected, inject
from harness.sidecarset.names import HASH, INJECTED_LIST, WORKING, Object
from tests.sidecarset.world import IMAGES, sidecar

NOW = "2026-01-02T03:04:05Z"


def a_set(
    *containers: Object, name: str = "mesh-set", annotations: Object | None = None, **spec: Any
) -> SidecarSet:
    metadata = {"name": name, "annotations": annotations or {}}
    spec = {"selector": {"matchLabels": {"app": "x"}}, "containers": list(containers), **spec}
    return SidecarSet(defaulted({"metadata": metadata, "spec": spec}))


def a_pod(*containers: Object, **spec: Any) -> Object:
    app = list(containers) or [{"name": "app", "image": "app"}]
    return {"metadata": {"labels": {"app": "x"}}, "spec": {"containers": app, **spec}}


def injected(pod: Object, *sets: SidecarSet) -> Object:
    return inject(pod, [Injected(each, revisions.name(each)) for each in sets], NOW)


def names(pod: Object, field: str = "containers") -> list[str]:
    return [each["name"] for each in pod["spec"][field]]


def test_a_hot_sidecar_becomes_a_pair_with_its_books() -> None:
    sidecarset = a_set(sidecar(command=["run"]))
    pod = injected(a_pod(), sidecarset)
    first, second, _ = pod["spec"]["containers"]
    assert (first["name"], first["image"]) == ("mesh-1", IMAGES["v1"])
    assert (second["name"], second["image"]) == ("mesh-2", IMAGES["empty"])
    assert first["command"] == second["command"] == ["run"]
    assert not {"upgradeStrategy", "podInjectPolicy", "shareVolumePolicy"} & first.keys()
    reference = first["env"][1]["valueFrom"]["fieldRef"]
    assert first["env"][0] == {"name": "IS_INJECTED", "value": "true"}
    assert first["env"][1]["name"] == "SIDECARSET_VERSION"
    assert reference["fieldPath"] == "metadata.annotations['version.sidecarset.kruise.io/mesh-1']"
    notes = pod["metadata"]["annotations"]
    assert json.loads(notes[HASH]) == {
        "mesh-set": {
            "updateTimestamp": NOW,
            "hash": sidecarset.hash,
            "sidecarSetName": "mesh-set",
            "sidecarList": ["mesh"],
            "controllerRevision": revisions.name(sidecarset),
        }
    }
    assert (notes[WORKING], notes[INJECTED_LIST]) == ('{"mesh":"mesh-1"}', "mesh-set")


def test_no_set_means_no_change() -> None:
    pod = a_pod()
    assert inject(pod, [], NOW) is pod


def test_the_pod_that_was_given_stays_as_it_was() -> None:
    pod = a_pod()
    injected(pod, a_set(sidecar()))
    assert names(pod) == ["app"]
    assert "annotations" not in pod["metadata"]


def test_sidecars_go_before_and_after_and_take_the_place_of_a_namesake() -> None:
    sidecarset = a_set(
        sidecar("a", hot=False),
        sidecar("z", hot=False, podInjectPolicy="AfterAppContainer"),
        sidecar("app", hot=False),
    )
    pod = injected(a_pod({"name": "app", "image": "app"}, {"name": "two", "image": "two"}), sidecarset)
    assert names(pod) == ["a", "app", "two", "z"]
    assert pod["spec"]["containers"][1]["image"] == IMAGES["v1"]


def test_init_containers_are_sorted_and_follow_the_pods_own_unless_they_ask_not_to() -> None:
    init = [{"name": each, "image": "i"} for each in ("c", "b")]
    init.append({"name": "a", "image": "i", "podInjectPolicy": "BeforeAppContainer"})
    pod = injected(
        a_pod(initContainers=[{"name": "own", "image": "i"}]), a_set(sidecar(), initContainers=init)
    )
    assert names(pod, "initContainers") == ["a", "own", "b", "c"]


def test_several_sets_are_listed_in_order() -> None:
    pod = injected(a_pod(), a_set(sidecar("a", hot=False), name="log"), a_set(sidecar(), name="mesh"))
    assert pod["metadata"]["annotations"][INJECTED_LIST] == "log,mesh"
    assert json.loads(pod["metadata"]["annotations"][HASH]).keys() == {"log", "mesh"}


def test_own_environment_wins_over_what_is_transferred() -> None:
    app = {"name": "app", "image": "i", "env": [{"name": "A", "value": "app"}, {"name": "B", "value": "app"}]}
    transfer = [{"sourceContainerName": "app", "envNames": ["A", "B", "missing"]}]
    pod = injected(
        a_pod(app), a_set(sidecar(hot=False, env=[{"name": "A", "value": "own"}], transferEnv=transfer))
    )
    assert [(each["name"], each["value"]) for each in pod["spec"]["containers"][0]["env"]] == [
        ("A", "own"),
        ("IS_INJECTED", "true"),
        ("B", "app"),
    ]


@pytest.mark.parametrize("where", ["labels", "annotations"])
def test_environment_comes_from_the_container_that_a_field_names(where: str) -> None:
    app = {"name": "app", "image": "i", "env": [{"name": "A", "value": "app"}]}
    pod = a_pod(app)
    pod["metadata"].setdefault(where, {})["main"] = "app"
    source = {"fieldRef": {"fieldPath": f"metadata.{where}['main']"}}
    transfer = [{"sourceContainerNameFrom": source, "envName": "A"}]
    environment = injected(pod, a_set(sidecar(hot=False, transferEnv=transfer)))["spec"]["containers"][0][
        "env"
    ]
    assert [each["name"] for each in environment] == ["IS_INJECTED", "A"]


def test_shared_mounts_bring_the_variables_that_they_name_but_not_those_of_other_sidecars() -> None:
    mount = {"name": "v", "mountPath": "/v", "subPathExpr": "$(POD)/x"}
    app = {"name": "app", "image": "i", "env": [{"name": "POD", "value": "p"}], "volumeMounts": [mount]}
    other = {
        "name": "other",
        "image": "i",
        "env": [{"name": "IS_INJECTED", "value": "true"}],
        "volumeMounts": [{"name": "secret", "mountPath": "/secret"}],
    }
    sidecarset = a_set(sidecar(hot=False, shareVolumePolicy={"type": "enabled"}))
    container = injected(a_pod(app, other), sidecarset)["spec"]["containers"][0]
    assert container["volumeMounts"] == [mount]
    assert [each["name"] for each in container["env"]] == ["IS_INJECTED", "POD"]


def test_only_mounted_volumes_are_added_and_the_pods_own_win() -> None:
    mounts = [{"name": "mine", "mountPath": "/m"}, {"name": "theirs", "mountPath": "/t"}]
    volumes = [{"name": each, "emptyDir": {"medium": "Memory"}} for each in ("mine", "theirs", "unused")]
    own = {"name": "theirs", "emptyDir": {}}
    pod = injected(a_pod(volumes=[own]), a_set(sidecar(hot=False, volumeMounts=mounts), volumes=volumes))
    assert names(pod, "volumes") == ["theirs", "mine"]
    assert pod["spec"]["volumes"][0] == own


def test_pull_secrets_are_added_once() -> None:
    pod = injected(
        a_pod(imagePullSecrets=[{"name": "a"}]),
        a_set(sidecar(), imagePullSecrets=[{"name": "a"}, {"name": "b"}]),
    )
    assert names(pod, "imagePullSecrets") == ["a", "b"]


def test_annotations_are_patched_by_policy() -> None:
    pod = a_pod()
    pod["metadata"]["annotations"] = {"kept": "old", "replaced": "old", "merged": '{"a":1,"b":1}'}
    patches = [
        {"annotations": {"kept": "new", "added": "new"}},
        {"annotations": {"replaced": "new"}, "patchPolicy": "Overwrite"},
        {"annotations": {"merged": '{"b":2,"a":null}'}, "patchPolicy": "MergePatchJson"},
    ]
    notes = injected(pod, a_set(sidecar(), patchPodMetadata=patches))["metadata"]["annotations"]
    assert [notes[key] for key in ("kept", "added", "replaced", "merged")] == ["old", "new", "new", '{"b":2}']


def test_resources_follow_the_applications() -> None:
    policy = {"targetContainersMode": "sum", "resourcesExpr": {"limits": {"cpu": "cpu*10%"}}}
    app = {"name": "app", "image": "i", "resources": {"limits": {"cpu": "2"}}}
    pod = injected(a_pod(app), a_set(sidecar(hot=False, resourcesPolicy=policy)))
    assert pod["spec"]["containers"][0]["resources"] == {"limits": {"cpu": "200m"}}


def test_a_hot_container_without_an_empty_image_is_named_in_the_refusal() -> None:
    hot = sidecar()
    del hot["upgradeStrategy"]["hotUpgradeEmptyImage"]
    with pytest.raises(CannotInject, match=r"SidecarSet mesh-set: container mesh .* no hotUpgradeEmptyImage"):
        injected(a_pod(), a_set(hot))


# -- matching and revisions ----------------------------------------------------------------------------------


def test_a_set_wants_pods_of_its_labels_in_its_namespaces() -> None:
    sidecarset = a_set(sidecar(), namespaceSelector={"matchLabels": {"team": "a"}})
    assert matching.for_new_pod([sidecarset], a_pod(), {"team": "a"}) == [sidecarset]
    assert matching.for_new_pod([sidecarset], a_pod(), {"team": "b"}) == []
    paused = a_set(sidecar(), injectionStrategy={"paused": True})
    assert matching.for_new_pod([paused], a_pod(), {}) == []
    terminating = a_pod()
    terminating["metadata"]["deletionTimestamp"] = NOW
    assert matching.for_new_pod([a_set(sidecar())], terminating, {}) == []


def test_a_canary_takes_the_place_of_its_base() -> None:
    notes = {"apps.kruise.io/sidecarset-canary": "true", "apps.kruise.io/sidecarset-base": "mesh-set"}
    canary = a_set(sidecar(), name="canary", annotations=notes)
    assert matching.for_new_pod([a_set(sidecar()), canary], a_pod(), {}) == [canary]


def test_a_revision_brings_a_set_back_to_what_it_was() -> None:
    before, now = a_set(sidecar(image="v1")), a_set(sidecar(image="v2"))
    stored = revisions.revision(before, "kruise-system", 1)
    assert revisions.restored(now, stored).hash == before.hash
    assert revisions.name(before) != revisions.name(now)
    assert stored["data"]["spec"]["$patch"] == "replace"


def test_superfluous_revisions_are_the_oldest_that_no_pod_uses() -> None:
    stored: list[Object] = [
        {"metadata": {"name": f"r{number}"}, "revision": number} for number in (3, 1, 2, 4)
    ]
    gone = revisions.superfluous(stored, ["r1", "r4"], 2)
    assert [each["metadata"]["name"] for each in gone] == ["r2", "r3"]
    assert (
        revisions.superfluous(stored, ["r4"], 0) == sorted(stored, key=lambda each: int(each["revision"]))[:3]
    )


@pytest.mark.parametrize(
    ("spec", "dice", "newest"),
    [
        ({"injectionStrategy": {"revision": {"customVersion": "1"}}}, 0.9, False),
        ({"injectionStrategy": {"revision": {"customVersion": "1", "policy": "Partial"}}}, 0.0, True),
        (
            {
                "injectionStrategy": {"revision": {"customVersion": "1", "policy": "Partial"}},
                "updateStrategy": {"partition": "40%"},
            },
            0.3,
            False,
        ),
        (
            {
                "injectionStrategy": {"revision": {"customVersion": "1", "policy": "Partial"}},
                "updateStrategy": {"selector": {"matchLabels": {"app": "y"}}},
            },
            0.9,
            False,
        ),
    ],
)
def test_which_revision_a_new_pod_gets(spec: Object, dice: float, newest: bool) -> None:
    assert revisions.injects_newest(a_set(sidecar(), **spec), a_pod(), dice) is newest
