"""Conversion between v1alpha1 and v1beta1, the storage version.

`spec.namespace` becomes a namespaceSelector and is never restored; the custom version is a label in v1alpha1
and a field in v1beta1. Everything else agrees. Knows nothing of HTTP.
"""

from __future__ import annotations

from copy import deepcopy

from harness.sidecarset.names import (
    CUSTOM_VERSION_LABEL,
    GROUP,
    NAMESPACE_NAME_LABEL,
    SERVED_VERSIONS,
    STORAGE_VERSION,
    Object,
)


class UnknownVersion(ValueError):
    """A version that is not served; the message names it."""


def to_storage(sidecarset: Object) -> Object:
    """The object in v1beta1."""
    return converted(sidecarset, f"{GROUP}/{STORAGE_VERSION}")


def converted(sidecarset: Object, api_version: str) -> Object:
    """A copy of the object in another served version; UnknownVersion."""
    current = sidecarset.get("apiVersion", "")
    for each in (current, api_version):
        if each not in [f"{GROUP}/{version}" for version in SERVED_VERSIONS]:
            raise UnknownVersion(
                f"SidecarSet is served in {', '.join(SERVED_VERSIONS)} of {GROUP}, not in {each!r}"
            )
    sidecarset = deepcopy(sidecarset)
    if current == api_version:
        return sidecarset
    sidecarset["apiVersion"] = api_version
    if api_version.endswith("/v1beta1"):
        _up(sidecarset)
    else:
        _down(sidecarset)
    return sidecarset


def _up(sidecarset: Object) -> None:
    spec, metadata = sidecarset.setdefault("spec", {}), sidecarset.setdefault("metadata", {})
    namespace = spec.pop("namespace", None)
    if namespace:
        spec["namespaceSelector"] = {"matchLabels": {NAMESPACE_NAME_LABEL: namespace}}
    version = (metadata.get("labels") or {}).pop(CUSTOM_VERSION_LABEL, None)
    if version:
        spec["customVersion"] = version


def _down(sidecarset: Object) -> None:
    spec, metadata = sidecarset.setdefault("spec", {}), sidecarset.setdefault("metadata", {})
    version = spec.pop("customVersion", None)
    if version:
        metadata["labels"] = {**(metadata.get("labels") or {}), CUSTOM_VERSION_LABEL: version}
