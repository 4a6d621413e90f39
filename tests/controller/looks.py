"""A pod and its events as a recording holds them: what a controller decides, and nothing that is a server's."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from tests.controller.record import mark

HASH = re.compile(r"[bcdfghjklmnpqrstvwxz2456789]{64}")
IMAGE_ID = re.compile(r"(?:[a-z0-9./-]+@)?sha256:[0-9a-f]{64}")
TIME = re.compile(r'"(updateTimestamp|lastTransitionTime)":"[^"]*"')
CONDITIONS = ("Ready", "ContainersReady", "SidecarSetUpgradable")


def look(pod: Mapping[str, Any], set_name: str) -> dict[str, Any]:
    """A pod: annotations, conditions, containers with environment, mounts and state, volumes."""
    metadata, spec, status = pod["metadata"], pod["spec"], pod.get("status") or {}
    states = {one["name"]: one for one in status.get("containerStatuses") or []}
    conditions = [one for one in status.get("conditions") or [] if one["type"] in CONDITIONS]
    return {
        "name": mark("pod-", metadata["name"]),
        "phase": status.get("phase"),
        "annotations": {
            key: annotation(key, value, set_name)
            for key, value in sorted((metadata.get("annotations") or {}).items())
            if "kruise.io" in key
        },
        "conditions": {
            one["type"]: [
                one["status"],
                one.get("reason"),
                one.get("message") if one["type"].startswith("SidecarSet") else None,
            ]
            for one in conditions
        },
        "containers": [
            {
                "name": one["name"],
                "image": one["image"],
                "env": _environment(one),
                "mounts": sorted(
                    mount["mountPath"]
                    for mount in one.get("volumeMounts") or []
                    if "serviceaccount" not in mount["mountPath"]
                ),
                "status": _state(states.get(one["name"])),
            }
            for one in spec["containers"]
        ],
        "initContainers": [
            {"name": one["name"], "image": one["image"], "env": _environment(one)}
            for one in spec.get("initContainers") or []
        ],
        "volumes": sorted(
            one["name"] for one in spec.get("volumes") or [] if not one["name"].startswith("kube-api")
        ),
    }


def annotation(key: str, value: str, set_name: str) -> Any:
    """An annotation's value with marks for what is volatile in it; JSON where it is JSON."""
    if "version" in key:
        return value if value in ("0", "1") else mark("rv", value)
    value = TIME.sub(r'"\1":"T"', value)
    value = HASH.sub(lambda found: mark("hash", found.group()), value)
    value = IMAGE_ID.sub(lambda found: mark("id", found.group().rpartition("@")[2]), value)
    value = re.sub(
        rf"{re.escape(set_name)}-[a-z0-9]{{6,12}}\b", lambda found: mark("revision", found.group()), value
    )
    try:
        return json.loads(value)
    except ValueError:
        return value


def line(seen: Mapping[str, Any], event: str) -> dict[str, Any]:
    """A delivery of the watch, short."""
    keys = ("state", "reason", "ready", "restarts", "image")
    return {
        "pod": seen["name"],
        "event": event,
        "ready": (seen["conditions"].get("Ready") or [None])[0],
        "containers": {
            one["name"]: [one["image"], *([one["status"][key] for key in keys] if one["status"] else [None])]
            for one in seen["containers"]
        },
    }


def told(event: Mapping[str, Any]) -> dict[str, Any]:
    """An API event about a pod."""
    message = re.sub(r"trace-[a-z0-9-]+", "NAME", event.get("message") or "")
    source = (event.get("source") or {}).get("component") or event.get("reportingComponent")
    container = (event.get("involvedObject") or {}).get("fieldPath") or None
    return {
        "type": event.get("type"),
        "reason": event.get("reason"),
        "message": message,
        "from": source,
        "container": container,
    }


def _environment(container: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [
        {
            "name": one["name"],
            "value": one.get("value"),
            "from": ((one.get("valueFrom") or {}).get("fieldRef") or {}).get("fieldPath"),
        }
        for one in container.get("env") or []
    ]


def _state(status: Mapping[str, Any] | None) -> dict[str, Any] | None:
    if status is None:
        return None
    state, detail = next(iter((status.get("state") or {}).items()), ("waiting", None))
    return {
        "image": status["image"],
        "ready": status["ready"],
        "restarts": status["restartCount"],
        "state": state,
        "reason": (detail or {}).get("reason"),
        "exit": (detail or {}).get("exitCode"),
    }
