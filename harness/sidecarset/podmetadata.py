"""patchPodMetadata: annotations that a SidecarSet writes into its pods. Knows nothing of the whitelist."""

from __future__ import annotations

import json
from typing import Any

from harness.sidecarset import notes, pods
from harness.sidecarset.api import SidecarSet
from harness.sidecarset.names import MERGE_PATCH_JSON, OVERWRITE, Object


def patch(pod: Object, sidecarset: SidecarSet) -> None:
    """Writes the set's annotations into the pod, each by its policy."""
    for entry in sidecarset.spec.get("patchPodMetadata") or []:
        policy = entry.get("patchPolicy")
        for key, value in (entry.get("annotations") or {}).items():
            current = pods.annotation_map(pod).get(key)
            if policy == MERGE_PATCH_JSON:
                notes.note(pod, key, _merged(current, value))
            elif policy == OVERWRITE or current is None:
                notes.note(pod, key, value)


def _merged(current: str | None, value: str) -> str:
    try:
        return json.dumps(_merge(json.loads(current or "{}"), json.loads(value)), separators=(",", ":"))
    except ValueError as error:
        raise ValueError(f"annotation is not JSON and cannot be merged: {error}") from error


def _merge(current: Any, change: Any) -> Any:
    """RFC 7386."""
    if not isinstance(change, dict):
        return change
    result = dict(current) if isinstance(current, dict) else {}
    for key, value in change.items():
        if value is None:
            result.pop(key, None)
        else:
            result[key] = _merge(result.get(key), value)
    return result
