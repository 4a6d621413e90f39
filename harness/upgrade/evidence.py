"""What pods say of themselves: container logs and API events, as PodEvents. Knows nothing of phases.

A sidecar may log JSON lines with `time` (Unix seconds) and `event`: those become events of that name. Any
other line is an event `log` with the time at which the container runtime took it.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

from kubernetes.client import ApiClient, CoreV1Api
from kubernetes.client.exceptions import ApiException
from urllib3.exceptions import HTTPError

from harness.calls import raw, reason_of
from harness.record.base import from_rfc3339, to_rfc3339
from harness.record.upgrade import PodEvent

LOG_LINES = (
    400  # per container and upgrade: a hand-over takes tens; a sidecar with an access log stays readable
)
TOLD_LINES = 6  # of events and of each log in a message for people
MESSAGE_MAX = 500  # characters of one line that are kept
BEFORE_S = 1.0  # clocks of nodes may differ by that; what came earlier belongs to no upgrade under way
FIELD_PATH = re.compile(r"spec\.(?:initContainers|containers)\{(.+)\}")


def parse_log(text: str, container: str) -> list[PodEvent]:
    """The lines of a log that was asked for with timestamps; a line without one is no whole line."""
    found: list[PodEvent] = []
    for line in text.splitlines():
        stamp, _, rest = line.partition(" ")
        try:
            at = from_rfc3339(stamp)
        except ValueError:
            continue
        found.append(_line(rest, at, container))
    return found


def _line(text: str, at: float, container: str) -> PodEvent:
    try:
        said = json.loads(text)
    except ValueError:
        said = None
    if isinstance(said, dict) and isinstance(said.get("event"), str):
        time = said.pop("time", None)
        exact = float(time) if type(time) in (int, float) and math.isfinite(time) else at
        reason = said.pop("event")
        message = json.dumps(said)[:MESSAGE_MAX] if said else ""
        return PodEvent(at=exact, source="sidecar", reason=reason, message=message, container=container)
    return PodEvent(at=at, source="sidecar", reason="log", message=text[:MESSAGE_MAX], container=container)


def parse_event(event: Mapping[str, Any]) -> PodEvent:
    """An API event about a pod, at its last occurrence; whole seconds from most components."""
    series = event.get("series") or {}
    times = [
        series.get("lastObservedTime"),
        event.get("lastTimestamp"),
        event.get("eventTime"),
        event["metadata"].get("creationTimestamp"),
    ]
    component = (event.get("source") or {}).get("component") or event.get("reportingComponent") or ""
    field = FIELD_PATH.fullmatch((event.get("involvedObject") or {}).get("fieldPath") or "")
    return PodEvent(
        at=next((from_rfc3339(time) for time in times if time), 0.0),
        source="kubelet" if component == "kubelet" else "controller",
        reason=event.get("reason") or "",
        message=(event.get("message") or "")[:MESSAGE_MAX],
        container=field.group(1) if field else None,
    )


class Evidence:
    """Reads what the pods of one namespace say."""

    def __init__(self, api: ApiClient, namespace: str) -> None:
        self._core, self._namespace = CoreV1Api(api), namespace
        self._told: set[tuple[float, str, str, str | None, str, str]] = set()

    def new(self, pod: str, containers: Sequence[str], since: float, now: float) -> list[PodEvent]:
        """What `all` gives from `since` on, without what this returned before; `since` never goes back."""
        found, first = (
            self.all(pod, containers, now, seconds=math.ceil(now - since + BEFORE_S)),
            since - BEFORE_S,
        )
        self._told = {key for key in self._told if key[0] >= first}
        return [event for event in found if event.at >= first and self._is_new(pod, event)]

    def all(
        self, pod: str, containers: Sequence[str], now: float, *, seconds: int | None = None
    ) -> list[PodEvent]:
        """The last log lines of the containers' former and present processes, and the pod's events."""
        found = self._events(pod, now)
        for container in containers:
            for previous in (True, False):
                found += self._log(pod, container, now, previous=previous, since_seconds=seconds)
        return found

    def _is_new(self, pod: str, event: PodEvent) -> bool:
        key = (event.at, pod, event.source, event.container, event.reason, event.message)
        fresh = key not in self._told
        self._told.add(key)
        return fresh

    def _log(
        self, pod: str, container: str, now: float, *, previous: bool, since_seconds: int | None
    ) -> list[PodEvent]:
        try:
            text = raw(
                self._core.read_namespaced_pod_log,
                pod,
                self._namespace,
                container=container,
                previous=previous,
                timestamps=True,
                tail_lines=LOG_LINES,
                since_seconds=since_seconds,
            )
            return parse_log(text.decode("utf-8", "replace"), container)
        except (ApiException, HTTPError) as error:
            if previous:  # there may be no former process, and its log may be gone
                return []
            message = reason_of(error)
            return [
                PodEvent(
                    at=now, source="kubelet", reason="LogUnreadable", message=message, container=container
                )
            ]

    def _events(self, pod: str, now: float) -> list[PodEvent]:
        try:
            items = json.loads(raw(self._core.list_namespaced_event, self._namespace))["items"]
        except (ApiException, HTTPError) as error:
            return [
                PodEvent(at=now, source="controller", reason="EventsUnreadable", message=reason_of(error))
            ]
        about = [item for item in items if (item.get("involvedObject") or {}).get("name") == pod]
        return [parse_event(item) for item in about if item["involvedObject"].get("kind") == "Pod"]


def told(events: Sequence[PodEvent], pod: str, containers: Sequence[str]) -> list[str]:
    """The pod's last events and its containers' last log lines, as indented lines for people."""
    groups = {"events": [event for event in events if event.source != "sidecar"]}
    for container in containers:
        lines = [event for event in events if event.source == "sidecar" and event.container == container]
        groups[f"log of {container}"] = lines
    said = []
    for what, found in groups.items():
        said.append(f"  {pod}, {what}:{'' if found else ' none'}")
        for event in sorted(found, key=lambda event: event.at)[-TOLD_LINES:]:
            words = [event.container if event.source != "sidecar" else None, event.reason, event.message]
            said.append(f"    {to_rfc3339(event.at)} {' '.join(word for word in words if word)}")
    return said
