"""The two hashes of a SidecarSet: over its containers, and over its containers without their images.

The text that is hashed is JSON with the containers' fields in the order of the Go types, empty fields left
out; a digest differs from Kruise's where nested fields do. That is harmless: pods' values are only compared
with the set's own. Knows nothing of pods.
"""

from __future__ import annotations

import hashlib
import json
from typing import Any

from harness.sidecarset.names import Object

ALPHABET = "bcdfghjklmnpqrstvwxz2456789"
"""27 letters and digits: no vowels, so that no words arise, and none that are easily mistaken."""

GO_ORDER = """
name image command args workingDir ports envFrom env resources resizePolicy restartPolicy volumeMounts
volumeDevices livenessProbe readinessProbe startupProbe lifecycle terminationMessagePath
terminationMessagePolicy imagePullPolicy securityContext stdin stdinOnce tty podInjectPolicy upgradeStrategy
shareVolumePolicy
shareVolumeDevicePolicy transferEnv resourcesPolicy
"""
FIELDS = tuple(GO_ORDER.split())
ALWAYS_WRITTEN = ("resources", "upgradeStrategy", "shareVolumePolicy")
"""Struct fields: Go writes them even when they are empty."""


def full(spec: Object) -> str:
    """The hash of a spec's containers."""
    return _digest(spec, blank_images=False)


def without_image(spec: Object) -> str:
    """The same with every image blanked. hotUpgradeEmptyImage stays in."""
    return _digest(spec, blank_images=True)


def _digest(spec: Object, *, blank_images: bool) -> str:
    hashed = {"containers": [_ordered(each, blank_images) for each in spec.get("containers") or []]}
    init = spec.get("initContainers") or []
    if any(each.get("restartPolicy") == "Always" for each in init):
        hashed["initContainers"] = [_ordered(each, blank_images) for each in init]
    text = json.dumps(hashed, separators=(",", ":"), ensure_ascii=False)
    return safe(hashlib.sha256(text.encode()).hexdigest())


def safe(text: str) -> str:
    """Each character mapped into the alphabet."""
    return "".join(ALPHABET[ord(character) % len(ALPHABET)] for character in text)


def _ordered(container: Object, blank_image: bool) -> Object:
    container = {key: value for key, value in container.items() if not (blank_image and key == "image")}
    known = [key for key in FIELDS if key in container or key in ALWAYS_WRITTEN]
    ordered = {}
    for key in [*known, *sorted(container.keys() - set(FIELDS))]:
        value = pruned(container.get(key) or {} if key in ALWAYS_WRITTEN else container[key])
        if not _is_empty(value) or key in ALWAYS_WRITTEN:
            ordered[key] = value
    return ordered


def pruned(value: Any) -> Any:
    """A value without empty fields, keys sorted: two spellings of one thing become equal."""
    if isinstance(value, dict):
        kept = {key: pruned(value[key]) for key in sorted(value)}
        return {key: each for key, each in kept.items() if not _is_empty(each)}
    if isinstance(value, list):
        return [pruned(each) for each in value]
    return value


def _is_empty(value: Any) -> bool:
    return value is None or value == "" or value == [] or value == {}
