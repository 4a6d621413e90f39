"""One pod at one moment: what its upgrade can be told from, nothing else. Knows nothing of upgrades."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from harness.alias import release
from harness.manifest import canonical_image
from harness.record.base import from_rfc3339
from harness.record.upgrade import PodEvent

State = Literal["waiting", "running", "terminated"]


@dataclass(frozen=True)
class ContainerView:
    """A container: `image` is the spec's, `running_image` the status's; `reason` says why it waits or ended.

    `started` is the start of the process that the status speaks of, `last_started` that of the one before it;
    whole seconds. A kubelet reports the former process until the next one's postStart hook has returned.
    """

    image: str
    running_image: str = ""
    state: State = "waiting"
    reason: str = ""
    ready: bool = False
    restarts: int = 0
    started: float | None = None
    last_started: float | None = None

    def wants(self, image: str) -> bool:
        """The spec asks for that image."""
        return canonical_image(self.image) == canonical_image(image)

    def runs(self, image: str) -> bool:
        """A process of that image runs, whichever of the image's names the runtime reports."""
        return self.state == "running" and _release(self.running_image) == _release(image)

    @property
    def backs_off(self) -> bool:
        """Its kubelet waits before it starts it again."""
        return self.state == "waiting" and self.reason == "CrashLoopBackOff"

    def words(self) -> str:
        """For people: `sidecar:v2, running sidecar:v1, not ready, 2 restarts`."""
        why = f" ({self.reason})" if self.reason else ""
        ready = "ready" if self.ready else "not ready"
        return (
            f"{self.image}, {self.state} {self.running_image or '-'}{why}, {ready}, {self.restarts} restarts"
        )


def _release(image: str) -> str:
    return canonical_image(release(image))


@dataclass(frozen=True)
class PodView:
    """A pod: `leaving` once its deletion began."""

    name: str
    ready: bool
    containers: Mapping[str, ContainerView]
    leaving: bool = False

    def words(self) -> str:
        """For people, one line."""
        parts = [f"{name}: {container.words()}" for name, container in self.containers.items()]
        return "; ".join(["pod is Ready" if self.ready else "pod is not Ready", *parts])


def view_of(pod: Mapping[str, Any]) -> PodView:
    """The view of a pod as the API gives it."""
    status = pod.get("status") or {}
    statuses = {item["name"]: item for item in status.get("containerStatuses") or []}
    conditions = {item["type"]: item["status"] for item in status.get("conditions") or []}
    return PodView(
        name=pod["metadata"]["name"],
        ready=conditions.get("Ready") == "True",
        containers={
            item["name"]: _container(item, statuses.get(item["name"]) or {})
            for item in pod["spec"]["containers"]
        },
        leaving="deletionTimestamp" in pod["metadata"],
    )


def _container(spec: Mapping[str, Any], status: Mapping[str, Any]) -> ContainerView:
    state, detail = _state(status.get("state"))
    return ContainerView(
        image=spec.get("image") or "",
        running_image=status.get("image") or "",
        state=state,
        reason=detail.get("reason") or "",
        ready=bool(status.get("ready")),
        restarts=status.get("restartCount") or 0,
        started=_time(detail.get("startedAt")),
        last_started=_time(_state(status.get("lastState"))[1].get("startedAt")),
    )


def _state(state: Mapping[str, Any] | None) -> tuple[State, Mapping[str, Any]]:
    kinds: tuple[State, ...] = ("running", "terminated", "waiting")
    for kind in kinds:
        if state and state.get(kind) is not None:
            return kind, state[kind]
    return "waiting", {}


def _time(value: str | None) -> float | None:
    return from_rfc3339(value) if value else None


def changes(before: PodView, after: PodView, at: float) -> list[PodEvent]:
    """What differs, as events that the watch saw."""
    found = []
    for name, container in after.containers.items():
        past = before.containers.get(name, ContainerView(image=""))
        if container.image != past.image:
            message = f"{past.image} -> {container.image}"
            found.append(
                PodEvent(at=at, source="watch", reason="ImageChanged", message=message, container=name)
            )
        seen = (container.state, container.reason, container.restarts, container.running_image)
        if seen != (past.state, past.reason, past.restarts, past.running_image):
            reason, message = container.state.capitalize(), container.words()
            found.append(PodEvent(at=at, source="watch", reason=reason, message=message, container=name))
    if after.ready != before.ready:
        found.append(PodEvent(at=at, source="watch", reason="Ready" if after.ready else "NotReady"))
    return found
