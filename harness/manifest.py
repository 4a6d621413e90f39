"""The user's SidecarSet, read and checked before anything starts. Knows nothing of clusters.

Everything that could keep an upgrade from starting or ending, and that the file alone gives away, is refused
here with one line: where, what, how to mend it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import yaml

from harness.errors import InputError

GROUP = "apps.kruise.io"
VERSIONS = ("v1alpha1", "v1beta1")
NAMESPACE_LABEL = "kubernetes.io/metadata.name"
DEFAULT_PORT = 9091  # where the project's sidecar serves
HOT_NAME_MAX = 61  # a container's name has 63 characters, and the pair's names are two longer
OTHER_TAG = {"v1": "v2", "v2": "v1"}
NAME = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?")
DEFAULT_REGISTRY = re.compile(r"^((index\.)?docker\.io/)?(library/)?")
REFERENCE = re.compile(r"[a-z0-9][\w.:/-]*(@[\w+.-]+:[0-9a-fA-F]+)?", re.ASCII)

Mode = Literal["hot", "cold"]


@dataclass(frozen=True)
class Subject:
    """What is upgraded: a SidecarSet, one container of it, and the images to alternate.

    `manifest` and `text` are the SidecarSet as it was given; `empty_image` is None in cold mode; `labels` let
    a pod match the selector.
    """

    path: Path
    text: str
    manifest: Mapping[str, Any]
    name: str
    version: str
    container: str
    image: str
    empty_image: str | None
    images: tuple[str, ...]
    labels: Mapping[str, str]
    port: int
    mode: Mode

    @property
    def containers(self) -> tuple[str, ...]:
        """The container's names in a pod: the pair of a hot upgrade, or its one name."""
        return (f"{self.container}-1", f"{self.container}-2") if self.mode == "hot" else (self.container,)

    def image_after(self, current: str) -> str:
        """The image that follows `current` in turn; the first one if `current` is not among them."""
        known = [canonical_image(image) for image in self.images]
        if canonical_image(current) not in known:
            return self.images[0]
        return self.images[(known.index(canonical_image(current)) + 1) % len(self.images)]


def canonical_image(ref: str) -> str:
    """One spelling for all that mean the same image: `docker.io/library/proxy` becomes `proxy:latest`."""
    ref = DEFAULT_REGISTRY.sub("", ref)
    return ref if "@" in ref or ":" in ref.rsplit("/", 1)[-1] else f"{ref}:latest"


def read_subject(
    path: Path, *, to: Sequence[str], port: int | None, upgrade: Mode, container_name: str | None = None
) -> Subject:
    """Reads the SidecarSet in `path`; InputError for anything that would keep its upgrades from working.

    The images alternate in the order of `to`. One image in `to` alternates with the manifest's; none means v1
    and v2 of the manifest's repository. The first upgrade always changes the image.
    """
    text = _read(path)
    try:
        manifest = _document(text)
        spec = _mapping(manifest.get("spec"), "spec")
        container = _container(spec, upgrade, container_name)
        image = _image(container.get("image"), f"image of container {container['name']}")
        empty = _empty_image(container, image, upgrade)
        _can_roll(spec)
        return Subject(
            path=path,
            text=text,
            manifest=manifest,
            name=_name(manifest),
            version=str(manifest["apiVersion"]).removeprefix(f"{GROUP}/"),
            container=container["name"],
            image=image,
            empty_image=empty if upgrade == "hot" else None,
            images=_alternation(image, empty, to),
            labels=_labels(spec.get("selector")),
            port=_port(container, port),
            mode=upgrade,
        )
    except InputError as error:
        raise InputError(f"{path}: {error}") from None


# -- the file ------------------------------------------------------------------------------------------


def _read(path: Path) -> str:
    try:
        if path.is_dir():
            raise InputError(f"{path}: is a folder; give the SidecarSet's YAML file")
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise InputError(f"{path}: no such file; give the path of the SidecarSet's YAML file") from None
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: not UTF-8 text (byte {error.start}); save it as UTF-8") from None
    except OSError as error:
        raise InputError(
            f"{path}: cannot be read ({error.strerror}); make it readable for this user"
        ) from None


def _document(text: str) -> dict[str, Any]:
    """The file's one document, which is a SidecarSet of a known version."""
    try:
        documents = [document for document in yaml.safe_load_all(text) if document is not None]
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        line = f"line {mark.line + 1}: " if mark else ""
        raise InputError(f"{line}not YAML ({_one_line(error.problem)}); mend the syntax there") from None
    except yaml.YAMLError as error:
        raise InputError(f"not YAML ({_one_line(error)}); mend the syntax") from None
    if not documents:
        raise InputError("is empty; put a SidecarSet in it")
    if len(documents) > 1:
        kinds = ", ".join(_kind(document) for document in documents)
        raise InputError(
            f"holds {len(documents)} documents ({kinds}); leave one SidecarSet alone in the file"
        )
    document = documents[0]
    if not isinstance(document, dict) or document.get("kind") != "SidecarSet":
        raise InputError(f"is not a SidecarSet but {_kind(document)}; give a manifest with kind: SidecarSet")
    known = [f"{GROUP}/{version}" for version in VERSIONS]
    if document.get("apiVersion") not in known:
        given = _one_line(document.get("apiVersion"))
        raise InputError(f"apiVersion {given} is not known for a SidecarSet; use {' or '.join(known)}")
    return document


def _kind(document: object) -> str:
    if isinstance(document, dict):
        return f"a {_one_line(document['kind'])}" if document.get("kind") else "a mapping without kind"
    return "a list" if isinstance(document, list) else "plain text"


def _one_line(value: object) -> str:
    return " ".join(str(value).split())[:120]


def _mapping(value: object, where: str) -> dict[str, Any]:
    if value is None:
        raise InputError(f"{where} is missing; add it as a mapping")
    if not isinstance(value, dict):
        raise InputError(f"{where} is {_one_line(value)}; make it a mapping")
    return value


def _optional(value: object, where: str) -> dict[str, Any]:
    return {} if value is None else _mapping(value, where)


def _items(value: object, where: str) -> list[dict[str, Any]]:
    if value is None:
        return []
    if not isinstance(value, list):
        raise InputError(f"{where} is {_one_line(value)}; make it a list")
    return [_mapping(item, f"{where}[{index}]") for index, item in enumerate(value)]


# -- what it says --------------------------------------------------------------------------------------


def _name(manifest: dict[str, Any]) -> str:
    name = _mapping(manifest.get("metadata"), "metadata").get("name")
    if not isinstance(name, str) or len(name) > 63 or not NAME.fullmatch(name):
        given = "is missing" if name is None else f"is {_one_line(name)}"
        raise InputError(f"metadata.name {given}; use at most 63 lower-case letters, digits and -")
    return name


def _strategy(container: dict[str, Any]) -> dict[str, Any]:
    return _optional(container.get("upgradeStrategy"), f"upgradeStrategy of container {container['name']}")


def _container(spec: dict[str, Any], upgrade: Mode, named: str | None) -> dict[str, Any]:
    """The container to upgrade: the named one, else the one with HotUpgrade; in cold mode else the first."""
    containers = _items(spec.get("containers"), "spec.containers")
    if not containers:
        raise InputError("spec.containers is missing or empty; add the sidecar's container")
    for index, container in enumerate(containers):
        name = container.get("name")
        if not isinstance(name, str) or len(name) > 63 or not NAME.fullmatch(name):
            given = "is missing" if name is None else f"is {_one_line(name)}"
            raise InputError(
                f"spec.containers[{index}].name {given}; use at most 63 lower-case letters, digits and -"
            )
    hot = [c for c in containers if _strategy(c).get("upgradeType") == "HotUpgrade"]
    if named is not None:
        containers = [c for c in containers if c["name"] == named]
        hot = [c for c in hot if c["name"] == named]
        if not containers:
            names = ", ".join(c["name"] for c in _items(spec.get("containers"), "spec.containers"))
            raise InputError(f"--container {named}: spec.containers has {names}; name one of them")
    if len(hot) > 1:
        names = ", ".join(c["name"] for c in hot)
        raise InputError(
            f"containers {names} are all HotUpgrade, a run upgrades one; name it with --container"
        )
    if hot and len(hot[0]["name"]) > HOT_NAME_MAX:
        raise InputError(
            f"container name {hot[0]['name']} is too long for a pair; shorten it to {HOT_NAME_MAX}"
        )
    if not hot and upgrade == "hot":
        names = ", ".join(c["name"] for c in containers)
        raise InputError(
            f"no container ({names}) has upgradeStrategy.upgradeType HotUpgrade; set it or use --upgrade cold"
        )
    return hot[0] if hot else containers[0]


def _image(ref: object, what: str) -> str:
    if ref is None or ref == "":
        raise InputError(f"{what} is missing; name one, such as sidecar:v1")
    if not isinstance(ref, str) or not REFERENCE.fullmatch(ref):
        raise InputError(f"{what} is {_one_line(ref)}; write it as repository:tag, such as sidecar:v1")
    return ref


def _empty_image(container: dict[str, Any], image: str, upgrade: Mode) -> str | None:
    """The empty image; a cold upgrade may do without, but is not to go to it either."""
    name = container["name"]
    ref = _strategy(container).get("hotUpgradeEmptyImage")
    if ref is None and upgrade == "cold":
        return None
    empty = _image(ref, f"upgradeStrategy.hotUpgradeEmptyImage of container {name}")
    if canonical_image(empty) == canonical_image(image):
        raise InputError(
            f"image and hotUpgradeEmptyImage of container {name} are both {image}; give one of them another"
        )
    return empty


def _alternation(image: str, empty: str | None, to: Sequence[str]) -> tuple[str, ...]:
    if to:
        given = [_image(ref, "an image of --to") for ref in to]
    else:
        repository, _, tag = image.rpartition(":")
        if tag not in OTHER_TAG:
            raise InputError(
                f"image {image} ends neither in :v1 nor :v2; name the image to upgrade to with --to IMAGE"
            )
        given = [f"{repository}:v1", f"{repository}:v2"]
    distinct = list({canonical_image(ref): ref for ref in reversed(given)}.values())[::-1]
    if len(distinct) == 1 and canonical_image(distinct[0]) != canonical_image(image):
        distinct.insert(0, image)
    if len(distinct) < 2:
        raise InputError(
            f"--to names only {distinct[0]}, which the manifest has; name another image with --to"
        )
    for ref in distinct:
        if empty is not None and canonical_image(ref) == canonical_image(empty):
            raise InputError(
                f"image to upgrade to {ref} is the empty image of the pair; name another with --to"
            )
    return tuple(distinct)


def _can_roll(spec: dict[str, Any]) -> None:
    """Refuses what would hold injection or upgrades back for ever."""
    strategy = _optional(spec.get("updateStrategy"), "spec.updateStrategy")
    injection = _optional(spec.get("injectionStrategy"), "spec.injectionStrategy")
    held = {
        "spec.updateStrategy.paused": bool(strategy.get("paused")),
        "spec.updateStrategy.type NotUpdate": strategy.get("type") == "NotUpdate",
        "spec.updateStrategy.partition": strategy.get("partition") not in (None, 0, "0", "0%"),
        "spec.updateStrategy.maxUnavailable 0": strategy.get("maxUnavailable") in (0, "0", "0%"),
        "spec.updateStrategy.selector": bool(strategy.get("selector")),
        "spec.injectionStrategy.paused": bool(injection.get("paused")),
    }
    for what, holds in held.items():
        if holds:
            raise InputError(f"{what} holds pods back, so that no upgrade would end; remove it for the run")


def _labels(selector: object) -> dict[str, str]:
    """Labels that a pod needs to match the selector."""
    given = _optional(selector, "spec.selector")
    labels = dict(_optional(given.get("matchLabels"), "spec.selector.matchLabels"))
    for label, value in labels.items():
        if not isinstance(value, str):
            where = f"spec.selector.matchLabels.{label}"
            raise InputError(f"{where} is {_one_line(value)}, no string; put it in quotes")
    for index, term in enumerate(_items(given.get("matchExpressions"), "spec.selector.matchExpressions")):
        where = f"spec.selector.matchExpressions[{index}]"
        key, operator, values = term.get("key"), term.get("operator"), term.get("values")
        if operator not in ("In", "Exists"):
            raise InputError(f"{where} has operator {_one_line(operator)}; use In, Exists or matchLabels")
        if not isinstance(key, str) or not key:
            raise InputError(f"{where}.key is missing; name the label")
        if operator == "Exists":
            labels.setdefault(key, "true")
            continue
        if not isinstance(values, list) or not values or not all(isinstance(value, str) for value in values):
            raise InputError(f"{where}.values is not a list of strings; give at least one, in quotes")
        if labels.setdefault(key, values[0]) not in values:
            raise InputError(
                f"{where} contradicts another term on {key}: no pod can match; remove one of them"
            )
    if not labels:
        raise InputError(
            "spec.selector is missing or empty; select the application's pods, e.g. by matchLabels"
        )
    return labels


def _port(container: dict[str, Any], option: int | None) -> int:
    where = "--port"
    port: object = option
    if option is None:
        where = f"first containerPort of container {container['name']}"
        ports = _items(container.get("ports"), f"ports of container {container['name']}")
        port = ports[0].get("containerPort") if ports else DEFAULT_PORT
    if not isinstance(port, int) or isinstance(port, bool) or not 1 <= port <= 65535:
        raise InputError(f"{where} is {_one_line(port)}; use a number from 1 to 65535")
    return port
