"""Defaults that the mutating webhook writes into a SidecarSet. Works on both API versions, whose fields agree
here.

Knows nothing of validity: what has the wrong shape is passed over for the validating webhook to name.
"""

from __future__ import annotations

from copy import deepcopy

from harness.sidecarset import hashing
from harness.sidecarset.names import (
    AFTER_APP,
    BEFORE_APP,
    COLD_UPGRADE,
    HASH,
    HASH_WITHOUT_IMAGE,
    RETAIN,
    ROLLING_UPDATE,
    Object,
)

REVISION_HISTORY_LIMIT = 10
DEFAULT_MODE = 0o644
PROBE = {"timeoutSeconds": 1, "periodSeconds": 10, "successThreshold": 1, "failureThreshold": 3}
PROBES = ("livenessProbe", "readinessProbe", "startupProbe")
TOKEN_EXPIRATION_S = 3600


def defaulted(sidecarset: Object) -> Object:
    """A copy with defaults and with the two hash annotations written anew."""
    sidecarset = deepcopy(sidecarset)
    spec = sidecarset.setdefault("spec", {})
    _set_strategies(spec)
    for container in spec.get("containers") or []:
        _set_container(container, BEFORE_APP)
    for container in spec.get("initContainers") or []:
        _set_container(container, AFTER_APP)
    for volume in spec.get("volumes") or []:
        _set_volume(volume)
    for patch in spec.get("patchPodMetadata") or []:
        patch.setdefault("patchPolicy", RETAIN)
    metadata = sidecarset.setdefault("metadata", {})
    metadata["annotations"] = {
        **(metadata.get("annotations") or {}),
        HASH: hashing.full(spec),
        HASH_WITHOUT_IMAGE: hashing.without_image(spec),
    }
    return sidecarset


def _set_strategies(spec: Object) -> None:
    strategy = spec["updateStrategy"] = spec.get("updateStrategy") or {}
    for key, value in (("type", ROLLING_UPDATE), ("partition", 0), ("maxUnavailable", 1)):
        if strategy.get(key) in (None, ""):
            strategy[key] = value
    spec["injectionStrategy"] = spec.get("injectionStrategy") or {}
    revision = spec["injectionStrategy"].get("revision")
    if revision is not None:
        revision.setdefault("policy", "Always")
    if spec.get("revisionHistoryLimit") is None:
        spec["revisionHistoryLimit"] = REVISION_HISTORY_LIMIT


def _set_container(container: Object, inject_policy: str) -> None:
    container["podInjectPolicy"] = container.get("podInjectPolicy") or inject_policy
    upgrade = container["upgradeStrategy"] = container.get("upgradeStrategy") or {}
    upgrade["upgradeType"] = upgrade.get("upgradeType") or COLD_UPGRADE
    share = container["shareVolumePolicy"] = container.get("shareVolumePolicy") or {}
    share["type"] = share.get("type") or "disabled"
    for transfer in container.get("transferEnv") or []:
        _set_field_ref((transfer.get("sourceContainerNameFrom") or {}).get("fieldRef"))
    if (container.get("resourcesPolicy") or {}).get("targetContainersNameRegex") is None and container.get(
        "resourcesPolicy"
    ):
        container["resourcesPolicy"]["targetContainersNameRegex"] = ".*"
    _set_core_container(container)


def _set_core_container(container: Object) -> None:
    container.setdefault("imagePullPolicy", pull_policy(container.get("image") or ""))
    container.setdefault("terminationMessagePath", "/dev/termination-log")
    container.setdefault("terminationMessagePolicy", "File")
    for port in container.get("ports") or []:
        port.setdefault("protocol", "TCP")
    for env in container.get("env") or []:
        _set_field_ref((env.get("valueFrom") or {}).get("fieldRef"))
    for key in PROBES:
        probe = container.get(key)
        if probe:
            for field, value in PROBE.items():
                probe.setdefault(field, value)
            _set_http(probe.get("httpGet"))
    for hook in (container.get("lifecycle") or {}).values():
        _set_http((hook or {}).get("httpGet"))


def pull_policy(image: str) -> str:
    """Always for no tag or `latest`, else IfNotPresent."""
    if "@" in image:
        return "IfNotPresent"
    _, _, tag = image.rpartition("/")[2].partition(":")
    return "Always" if tag in ("", "latest") else "IfNotPresent"


def _set_http(http: Object | None) -> None:
    if http:
        http.setdefault("path", "/")
        http.setdefault("scheme", "HTTP")


def _set_field_ref(reference: Object | None) -> None:
    if reference:
        reference.setdefault("apiVersion", "v1")


def _set_volume(volume: Object) -> None:
    sources = volume.keys() - {"name"}
    if not sources:
        volume["emptyDir"] = {}
    for kind in ("secret", "configMap", "downwardAPI", "projected"):
        source = volume.get(kind)
        if source is None:
            continue
        source.setdefault("defaultMode", DEFAULT_MODE)
        for item in source.get("items") or []:
            _set_field_ref(item.get("fieldRef"))
        for part in source.get("sources") or []:
            for item in (part.get("downwardAPI") or {}).get("items") or []:
                _set_field_ref(item.get("fieldRef"))
            if part.get("serviceAccountToken"):
                part["serviceAccountToken"].setdefault("expirationSeconds", TOKEN_EXPIRATION_S)
    if volume.get("hostPath") is not None:
        volume["hostPath"].setdefault("type", "")
