"""Puts sidecars into a new pod. Knows nothing of how the sets were found, nor of upgrades."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass

from harness.sidecarset import notes, podmetadata, resources
from harness.sidecarset.api import Sidecar, SidecarSet
from harness.sidecarset.names import (
    AFTER_APP,
    BEFORE_APP,
    ENV_INJECTED,
    ENV_VERSION,
    ENV_VERSION_ALT,
    VERSION_ALT_PREFIX,
    VERSION_PREFIX,
    Object,
)

EXTENSIONS = (
    "podInjectPolicy",
    "upgradeStrategy",
    "shareVolumePolicy",
    "shareVolumeDevicePolicy",
    "transferEnv",
    "resourcesPolicy",
)
"""Fields that a sidecar has beyond a container's."""
EXPANSION = re.compile(r"\$\(([^)]+)\)")
SUBSCRIPT = re.compile(r"metadata\.(labels|annotations)\['([^']+)'\]")


class CannotInject(Exception):
    """The pod cannot get its sidecars; the message says which set and why. The pod is refused."""


@dataclass(frozen=True)
class Injected:
    """A set to inject from, at the revision that was asked for."""

    sidecarset: SidecarSet
    revision: str


def inject(pod: Object, sets: Sequence[Injected], now: str) -> Object:
    """A copy of the pod with the sidecars of all the sets; CannotInject. No sets, no change."""
    if not sets:
        return pod
    pod, original = deepcopy(pod), pod
    spec = pod.setdefault("spec", {})
    for each in sets:
        try:
            _inject_set(pod, original, each)
        except (ValueError, CannotInject) as error:
            raise CannotInject(f"SidecarSet {each.sidecarset.name}: {error}") from error
    spec["containers"] = merged(
        original["spec"].get("containers") or [], _built(original, sets, init=False), BEFORE_APP
    )
    init = sorted(_built(original, sets, init=True), key=lambda item: str(item[1]["name"]))
    if init:
        spec["initContainers"] = merged(original["spec"].get("initContainers") or [], init, AFTER_APP)
    for each in sets:
        notes.set_hash(pod, each.sidecarset, each.revision, now)
        notes.set_hash_without_image(pod, each.sidecarset, now)
    notes.set_injected(pod, [each.sidecarset.name for each in sets])
    return pod


def _inject_set(pod: Object, original: Object, item: Injected) -> None:
    sidecarset, spec = item.sidecarset, pod["spec"]
    podmetadata.patch(pod, sidecarset)
    _append_new(spec, "volumes", "name", _mounted_volumes(sidecarset))
    _append_new(spec, "imagePullSecrets", "name", sidecarset.spec.get("imagePullSecrets") or [])
    for sidecar in (*sidecarset.hot_containers, *(each for each in sidecarset.init_containers if each.hot)):
        if not sidecar.empty_image:
            raise CannotInject(
                f"container {sidecar.name} is to be upgraded hot but has no hotUpgradeEmptyImage"
            )
        working, other = sidecar.names_in_pod
        notes.set_working(pod, sidecar.name, working)
        notes.set_versions(pod, working, notes.FIRST, notes.NOT_USED)
        notes.set_versions(pod, other, notes.NOT_USED, notes.FIRST)


def _mounted_volumes(sidecarset: SidecarSet) -> list[Object]:
    sidecars = (*sidecarset.containers, *sidecarset.init_containers)
    mounted = {mount.get("name") for each in sidecars for mount in each.raw.get("volumeMounts") or []}
    mounted |= {device.get("name") for each in sidecars for device in each.raw.get("volumeDevices") or []}
    return [deepcopy(each) for each in sidecarset.spec.get("volumes") or [] if each.get("name") in mounted]


# -- containers ----------------------------------------------------------------------------------------------


def _built(pod: Object, sets: Sequence[Injected], *, init: bool) -> list[tuple[Sidecar, Object]]:
    """All sidecars as the pod's containers."""
    result = []
    for each in sets:
        sidecarset = each.sidecarset
        for sidecar in sidecarset.init_containers if init else sidecarset.containers:
            container = build(sidecar, pod)
            result += [
                (sidecar, half) for half in (halves(sidecar, container) if sidecar.hot else [container])
            ]
    return result


def build(sidecar: Sidecar, pod: Object) -> Object:
    """The container that a sidecar becomes in that pod."""
    container = {key: deepcopy(value) for key, value in sidecar.raw.items() if key not in EXTENSIONS}
    mounts = _shared(sidecar, pod, "shareVolumePolicy", "volumeMounts")
    devices = _shared(sidecar, pod, "shareVolumeDevicePolicy", "volumeDevices")
    _append_new(container, "volumeMounts", "mountPath", mounts)
    _append_new(container, "volumeDevices", "devicePath", devices)
    environment = [
        {"name": ENV_INJECTED, "value": "true"},
        *_transferred(sidecar, pod),
        *_expanded(mounts, pod),
    ]
    _append_new(container, "env", "name", environment)
    if sidecar.raw.get("resourcesPolicy"):
        container["resources"] = resources.aggregate(sidecar.raw["resourcesPolicy"], pod)
    return container


def halves(sidecar: Sidecar, container: Object) -> list[Object]:
    """The pair that a hot sidecar becomes: the working one, then the idle one."""
    pair = []
    for name, image in zip(sidecar.names_in_pod, (sidecar.image, sidecar.empty_image), strict=True):
        half = {**deepcopy(container), "name": name, "image": image}
        for variable, prefix in ((ENV_VERSION, VERSION_PREFIX), (ENV_VERSION_ALT, VERSION_ALT_PREFIX)):
            reference = {"apiVersion": "v1", "fieldPath": f"metadata.annotations['{prefix}{name}']"}
            half["env"].append({"name": variable, "valueFrom": {"fieldRef": reference}})
        pair.append(half)
    return pair


def merged(app: Sequence[Object], sidecars: Sequence[tuple[Sidecar, Object]], default: str) -> list[Object]:
    """Sidecars that go first, the application's containers, the rest; one of the same name takes its
    place."""
    result = [deepcopy(each) for each in app]
    place = {each["name"]: index for index, each in enumerate(result)}
    before, after = [], []
    for sidecar, container in sidecars:
        if container["name"] in place:
            result[place[container["name"]]] = container
        elif sidecar.before_app(default):
            before.append(container)
        else:
            after.append(container)
    return [*before, *result, *after]


def _app_containers(pod: Object) -> list[Object]:
    containers: list[Object] = pod.get("spec", {}).get("containers") or []
    return [
        each
        for each in containers
        if not any(env.get("name") == ENV_INJECTED for env in each.get("env") or [])
    ]


def _shared(sidecar: Sidecar, pod: Object, policy: str, key: str) -> list[Object]:
    if (sidecar.raw.get(policy) or {}).get("type") != "enabled":
        return []
    return [deepcopy(each) for container in _app_containers(pod) for each in container.get(key) or []]


def _append_new(part: Object, field: str, key: str, items: Iterable[Object]) -> None:
    """Appends those whose key is not there yet: a container's own entries win, then the first."""
    seen = {each.get(key) for each in part.get(field) or []}
    for each in items:
        if each.get(key) not in seen:
            seen.add(each.get(key))
            part[field] = [*(part.get(field) or []), each]


# -- environment ---------------------------------------------------------------------------------------------


def _transferred(sidecar: Sidecar, pod: Object) -> list[Object]:
    result = []
    for transfer in sidecar.raw.get("transferEnv") or []:
        source = transfer.get("sourceContainerName") or _named_by_field(transfer, pod)
        wanted = [name for name in [transfer.get("envName"), *(transfer.get("envNames") or [])] if name]
        environment = _environment(pod, source)
        result += [deepcopy(environment[name]) for name in wanted if name in environment]
    return result


def _named_by_field(transfer: Object, pod: Object) -> str:
    path = ((transfer.get("sourceContainerNameFrom") or {}).get("fieldRef") or {}).get("fieldPath", "")
    found = SUBSCRIPT.fullmatch(path)
    if not found:
        return ""
    values: Mapping[str, str] = pod.get("metadata", {}).get(found.group(1)) or {}
    return values.get(found.group(2), "")


def _environment(pod: Object, container: str) -> dict[str, Object]:
    spec = pod.get("spec", {})
    for each in [*(spec.get("containers") or []), *(spec.get("initContainers") or [])]:
        if each["name"] == container:
            return {env["name"]: env for env in each.get("env") or []}
    return {}


def _expanded(mounts: Sequence[Object], pod: Object) -> list[Object]:
    """Variables that shared mounts name in their subPathExpr."""
    names = [name for mount in mounts for name in EXPANSION.findall(mount.get("subPathExpr") or "")]
    known: dict[str, Object] = {}
    for container in _app_containers(pod):
        for env in container.get("env") or []:
            known.setdefault(env["name"], env)
    return [deepcopy(known[name]) for name in names if name in known]
