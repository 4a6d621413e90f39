"""The user's manifest: what is read from it, and one clear line for everything that is wrong with it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
import yaml

from harness.errors import InputError
from harness.manifest import Mode, Subject, canonical_image, read_subject

SAMPLE = Path(__file__).parents[1] / "e2e" / "manifests" / "hotupgrade-sidecarset.yaml"


def sample() -> dict[str, Any]:
    body: dict[str, Any] = yaml.safe_load(SAMPLE.read_text())
    return body


def container(body: dict[str, Any]) -> dict[str, Any]:
    first: dict[str, Any] = body["spec"]["containers"][0]
    return first


def read(path: Path, *, to: tuple[str, ...] = (), port: int | None = None, upgrade: Mode = "hot") -> Subject:
    return read_subject(path, to=to, port=port, upgrade=upgrade)


def written(folder: Path, body: object) -> Path:
    path = folder / "set.yaml"
    path.write_text(body if isinstance(body, str) else yaml.safe_dump(body))
    return path


# -- what is read --------------------------------------------------------------------------


def test_the_sample_is_the_announcement_s_set() -> None:
    subject = read(SAMPLE)
    assert (subject.name, subject.version, subject.mode) == ("hotupgrade-sidecarset", "v1alpha1", "hot")
    assert (subject.container, subject.containers) == ("sidecar", ("sidecar-1", "sidecar-2"))
    assert (subject.image, subject.empty_image) == ("sidecar:v1", "sidecar:empty")
    assert subject.images == ("sidecar:v1", "sidecar:v2")
    assert (subject.labels, subject.port) == ({"app": "hotupgrade"}, 9091)
    assert subject.manifest == sample()
    assert subject.text == SAMPLE.read_text()


def test_a_cold_upgrade_has_one_container_and_no_empty_image() -> None:
    subject = read(SAMPLE, upgrade="cold")
    assert (subject.containers, subject.empty_image, subject.mode) == (("sidecar",), None, "cold")


def test_a_cold_upgrade_takes_the_first_container_where_none_is_hot(tmp_path: Path) -> None:
    body = sample()
    del container(body)["upgradeStrategy"]
    body["spec"]["containers"].append({"name": "other", "image": "other:v1"})
    assert read(written(tmp_path, body), upgrade="cold").container == "sidecar"


def test_the_hot_container_is_found_wherever_it_stands(tmp_path: Path) -> None:
    body = sample()
    body["spec"]["containers"].insert(0, {"name": "log", "image": "log:7"})
    assert read(written(tmp_path, body)).container == "sidecar"


def test_v1beta1_is_read_too(tmp_path: Path) -> None:
    assert read(written(tmp_path, sample() | {"apiVersion": "apps.kruise.io/v1beta1"})).version == "v1beta1"


def test_the_port_is_the_option_s_else_the_first_of_the_container(tmp_path: Path) -> None:
    body = sample()
    container(body)["ports"] = [{"containerPort": 15001}, {"containerPort": 15021}]
    path = written(tmp_path, body)
    assert read(path).port == 15001
    assert read(path, port=8081).port == 8081


@pytest.mark.parametrize(
    ("image", "to", "images", "turns"),
    [
        ("sidecar:v1", (), ("sidecar:v1", "sidecar:v2"), ["v2", "v1", "v2"]),
        ("sidecar:v2", (), ("sidecar:v1", "sidecar:v2"), ["v1", "v2", "v1"]),
        ("sidecar:v1", ("sidecar:v2", "sidecar:v1"), ("sidecar:v2", "sidecar:v1"), ["v2", "v1", "v2"]),
        ("sidecar:v1", ("sidecar:v3",), ("sidecar:v1", "sidecar:v3"), ["v3", "v1", "v3"]),
        ("sidecar:v1", ("sidecar:v3",) * 2, ("sidecar:v1", "sidecar:v3"), ["v3", "v1", "v3"]),
        ("sidecar:v1", ("sidecar:v2", "sidecar:v3"), ("sidecar:v2", "sidecar:v3"), ["v2", "v3", "v2"]),
        ("reg.io:5000/a/b:v1", (), ("reg.io:5000/a/b:v1", "reg.io:5000/a/b:v2"), ["v2", "v1", "v2"]),
    ],
)
def test_images_take_turns_and_the_first_upgrade_changes_the_image(
    tmp_path: Path, image: str, to: tuple[str, ...], images: tuple[str, ...], turns: list[str]
) -> None:
    body = sample()
    container(body)["image"] = image
    subject = read(written(tmp_path, body), to=to)
    assert subject.images == images
    current, taken = subject.image, []
    for _ in turns:
        current = subject.image_after(current)
        taken.append(current.rpartition(":")[2])
    assert taken == turns


@pytest.mark.parametrize(
    ("selector", "labels"),
    [
        ({"matchExpressions": [{"key": "app", "operator": "In", "values": ["a", "b"]}]}, {"app": "a"}),
        ({"matchExpressions": [{"key": "mesh", "operator": "Exists"}]}, {"mesh": "true"}),
        (
            {
                "matchLabels": {"app": "b"},
                "matchExpressions": [{"key": "app", "operator": "In", "values": ["a", "b"]}],
            },
            {"app": "b"},
        ),
    ],
)
def test_labels_satisfy_the_selector(
    tmp_path: Path, selector: dict[str, Any], labels: dict[str, str]
) -> None:
    body = sample()
    body["spec"]["selector"] = selector
    assert read(written(tmp_path, body)).labels == labels


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("sidecar:v1", "docker.io/library/sidecar:v1"),
        ("rig/agent:v1", "index.docker.io/rig/agent:v1"),
        ("sidecar", "library/sidecar:latest"),
        ("localhost:5000/sidecar", "localhost:5000/sidecar:latest"),
    ],
)
def test_spellings_of_one_image_are_one(one: str, other: str) -> None:
    assert canonical_image(one) == canonical_image(other)


# -- what is refused: change -> what the line has to say, and its remedy ------------------


def put(path: str, value: object) -> Any:
    """A change of the sample: sets what `path` names; one that begins with a dot is in the container."""

    def change(body: dict[str, Any]) -> None:
        at: Any = container(body) if path.startswith(".") else body
        *parents, last = path.lstrip(".").split(".")
        for parent in parents:
            at = at.setdefault(parent, {})
        at[last] = value

    return change


def second_hot(body: dict[str, Any]) -> None:
    body["spec"]["containers"].append({**container(body), "name": "dns"})


EXPRESSION = "spec.selector.matchExpressions"
CHANGES: list[tuple[Any, str, str]] = [
    (put("kind", "Deployment"), "is not a SidecarSet but a Deployment", "kind: SidecarSet"),
    (put("apiVersion", "apps.kruise.io/v2"), "apiVersion apps.kruise.io/v2 is not known", "v1alpha1"),
    (put("metadata", None), "metadata is missing", "add it"),
    (put("metadata.name", None), "metadata.name is missing", "use at most 63"),
    (put("metadata.name", "My_Set"), "metadata.name is My_Set", "use at most 63"),
    (put("spec", None), "spec is missing", "add it"),
    (put("spec", "x"), "spec is x", "make it a mapping"),
    (put("spec.containers", []), "spec.containers is missing or empty", "add the sidecar"),
    (put("spec.containers", {"name": "x"}), "spec.containers is", "make it a list"),
    (put("spec.containers", ["x"]), "spec.containers[0] is x", "make it a mapping"),
    (put(".name", None), "spec.containers[0].name is missing", "use at most 63"),
    (put(".name", "x" * 62), "is too long for a pair", "shorten it to 61"),
    (put(".upgradeStrategy", None), "(sidecar) has upgradeStrategy.upgradeType HotUpgrade", "--upgrade cold"),
    (put(".upgradeStrategy.upgradeType", "ColdUpgrade"), "no container (sidecar)", "--upgrade cold"),
    (second_hot, "containers sidecar, dns are all HotUpgrade", "name it with --container"),
    (
        put(".upgradeStrategy.hotUpgradeEmptyImage", None),
        "hotUpgradeEmptyImage of container sidecar is missing",
        "name",
    ),
    (
        put(".upgradeStrategy.hotUpgradeEmptyImage", "docker.io/library/sidecar:v1"),
        "both sidecar:v1",
        "give one",
    ),
    (put(".image", None), "image of container sidecar is missing", "name one"),
    (put(".image", 1.5), "image of container sidecar is 1.5", "repository:tag"),
    (put(".image", "Side car:v1"), "image of container sidecar is Side car:v1", "repository:tag"),
    (put(".image", "sidecar:2026"), "image sidecar:2026 ends neither in :v1 nor :v2", "--to IMAGE"),
    (put(".image", "reg.io:5000/sidecar"), "ends neither in :v1 nor :v2", "--to IMAGE"),
    (put(".ports", [{"containerPort": 0}]), "first containerPort of container sidecar is 0", "1 to 65535"),
    (put(".ports", [{"containerPort": "http"}]), "containerPort of container sidecar is http", "1 to 65535"),
    (put("spec.selector", None), "spec.selector is missing or empty", "matchLabels"),
    (put("spec.selector", {}), "spec.selector is missing or empty", "matchLabels"),
    (put("spec.selector.matchLabels.app", 7), "spec.selector.matchLabels.app is 7", "quotes"),
    (
        put(EXPRESSION, [{"key": "a", "operator": "NotIn", "values": ["b"]}]),
        "[0] has operator NotIn",
        "use In",
    ),
    (put(EXPRESSION, [{"operator": "Exists"}]), "[0].key is missing", "name the label"),
    (put(EXPRESSION, [{"key": "a", "operator": "In"}]), "[0].values is not a list", "give at least one"),
    (put(EXPRESSION, [{"key": "app", "operator": "In", "values": ["b"]}]), "[0] contradicts", "remove one"),
    (put("spec.updateStrategy.paused", True), "spec.updateStrategy.paused holds", "remove it"),
    (put("spec.updateStrategy.type", "NotUpdate"), "NotUpdate holds", "remove it"),
    (put("spec.updateStrategy.partition", "50%"), "spec.updateStrategy.partition holds", "remove it"),
    (put("spec.updateStrategy.maxUnavailable", 0), "maxUnavailable 0 holds", "remove it"),
    (
        put("spec.updateStrategy.selector", {"matchLabels": {"a": "b"}}),
        "updateStrategy.selector holds",
        "remove it",
    ),
    (put("spec.injectionStrategy.paused", True), "spec.injectionStrategy.paused holds", "remove it"),
]


def refused(path: Path, what: str, remedy: str, **options: Any) -> None:
    with pytest.raises(InputError) as caught:
        read(path, **options)
    line = str(caught.value)
    assert line.startswith(f"{path}: ")
    assert "\n" not in line
    assert what in line
    assert remedy in line.partition(what)[2]


@pytest.mark.parametrize(("change", "what", "remedy"), CHANGES, ids=[what for _, what, _ in CHANGES])
def test_a_manifest_that_cannot_work_is_refused(tmp_path: Path, change: Any, what: str, remedy: str) -> None:
    body = sample()
    change(body)
    refused(written(tmp_path, body), what, remedy)


@pytest.mark.parametrize(
    ("text", "what", "remedy"),
    [
        ("", "is empty", "put a SidecarSet"),
        ("# nothing\n---\n", "is empty", "put a SidecarSet"),
        ("a: [1\nb: 2\n", "line 2: not YAML", "mend the syntax"),
        ("a: !!python/object:os.system x\n", "line 1: not YAML", "mend the syntax"),
        ("\x01", "not YAML", "mend the syntax"),
        ("just words\n", "is not a SidecarSet but plain text", "kind: SidecarSet"),
        ("- a\n", "is not a SidecarSet but a list", "kind: SidecarSet"),
        ("a: 1\n", "is not a SidecarSet but a mapping without kind", "kind: SidecarSet"),
        (
            "kind: Namespace\n---\nkind: SidecarSet\n",
            "holds 2 documents (a Namespace, a SidecarSet)",
            "leave one",
        ),
    ],
)
def test_a_file_that_is_no_set_is_refused(tmp_path: Path, text: str, what: str, remedy: str) -> None:
    refused(written(tmp_path, text), what, remedy)


@pytest.mark.parametrize(
    ("options", "what", "remedy"),
    [
        ({"port": 0}, "--port is 0", "1 to 65535"),
        ({"port": 65536}, "--port is 65536", "1 to 65535"),
        ({"to": ("sidecar:v1",)}, "--to names only sidecar:v1", "name another"),
        (
            {"to": ("sidecar:v2", "library/sidecar:empty")},
            "library/sidecar:empty is the empty image",
            "name another",
        ),
        ({"to": ("sidecar:empty",), "upgrade": "cold"}, "sidecar:empty is the empty image", "name another"),
        ({"to": ("",)}, "an image of --to is missing", "name one"),
        ({"to": ("side car",)}, "an image of --to is side car", "repository:tag"),
    ],
)
def test_options_that_do_not_fit_are_refused(options: dict[str, Any], what: str, remedy: str) -> None:
    refused(SAMPLE, what, remedy, **options)


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    refused(tmp_path / "nowhere.yaml", "no such file", "give the path")


def test_a_folder_is_refused(tmp_path: Path) -> None:
    refused(tmp_path, "is a folder", "give the SidecarSet's YAML file")


def test_a_file_that_is_no_text_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "set.yaml"
    path.write_bytes(b"kind: \xff\xfe")
    refused(path, "not UTF-8", "save it as UTF-8")


def test_a_file_that_may_not_be_read_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def denied(*_: object, **__: object) -> str:
        raise PermissionError(13, os.strerror(13))

    monkeypatch.setattr(Path, "read_text", denied)
    refused(written(tmp_path, "x"), "cannot be read (Permission denied)", "make it readable")
