"""Plays a sequence on a cluster: a namespace and a SidecarSet of its own, and a record of what came of each step.

Knows nothing of which controller answers.
"""

from __future__ import annotations

import copy
import json
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self

from kubernetes import watch
from kubernetes.client import ApiClient, AppsV1Api, CoreV1Api, CustomObjectsApi
from kubernetes.client.exceptions import ApiException
from urllib3.exceptions import HTTPError

from harness.calls import raw
from harness.exec import execute
from tests.controller import looks
from tests.controller.record import Recording, Step

GROUP, PLURAL = "apps.kruise.io", "sidecarsets"
IMAGES = {
    "app": "trace/app:v1",
    "v1": "trace/agent:v1",
    "v2": "trace/agent:v2",
    "v3": "trace/agent:v3",
    "empty": "trace/empty:v1",
    "empty2": "trace/empty:v2",
    "bad": "trace/does-not-exist:v9",
}
QUIET_S = 7.0  # after the awaited state: Kruise looks again 5 s after a container's consistency has changed
ACCOUNT_WITHIN_S = 10.0
EXECUTED_WITHIN_S = 10.0
CONFLICT = 409
ATTEMPTS = 20
POLL_S = 0.1
new_watch: Callable[[], Any] = watch.Watch  # without types

Object = dict[str, Any]


@dataclass
class Stage:
    """One sequence under way. `version` is the API version in which SidecarSets are spoken of."""

    api: ApiClient
    sequence: str
    version: str = "v1alpha1"
    steps: list[Step] = field(default_factory=list)
    environments: list[dict[str, list[str]]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.name = f"trace-{self.sequence}"
        self._core: Any = CoreV1Api(self.api)
        self._apps: Any = AppsV1Api(self.api)
        self._custom: Any = CustomObjectsApi(self.api)
        self._over = threading.Event()
        self._began, self._timeline = time.monotonic(), list[Object]()
        self._told: list[Object] = []

    # -- life ------------------------------------------------------------------------------------------------

    def __enter__(self) -> Self:
        self._core.create_namespace({"metadata": {"name": self.name}})
        end = time.monotonic() + ACCOUNT_WITHIN_S
        while not self._has_account() and time.monotonic() < end:  # pods of a real cluster need one
            time.sleep(POLL_S)
        self._watcher = threading.Thread(target=self._watch, name=f"watch {self.name}", daemon=True)
        self._watcher.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        self._over.set()
        self.forget_set()
        with suppress(ApiException):
            self._core.delete_namespace(self.name)
        self._watcher.join()

    def recording(self) -> Recording:
        """All that was seen."""
        inside = Step(step="environment inside the processes", containers=self.environments)
        return Recording(
            sequence=self.sequence, steps=[*self.steps, *([inside] if self.environments else [])]
        ).settled()

    # -- what a step may do ------------------------------------------------------------------------------------

    def create_set(self, body: Object) -> None:
        """Creates the SidecarSet."""
        self._custom.create_cluster_custom_object(GROUP, self.version, PLURAL, body)

    def forget_set(self) -> None:
        """Deletes the SidecarSet, if it is there."""
        with suppress(ApiException):
            self.delete_set()

    def delete_set(self) -> None:
        """Deletes the SidecarSet."""
        self._custom.delete_cluster_custom_object(GROUP, self.version, PLURAL, self.name)

    def edit_set(self, change: Callable[[Object], object]) -> None:
        """Changes the SidecarSet's spec, whatever else is written to it meanwhile."""
        for _ in range(ATTEMPTS):
            body = self.get_set()
            change(body["spec"])
            try:
                self._custom.replace_cluster_custom_object(GROUP, self.version, PLURAL, self.name, body)
                return
            except ApiException as error:
                if error.status != CONFLICT:
                    raise
        raise RuntimeError(f"{ATTEMPTS} conflicts in a row")

    def deploy(self, replicas: int, **pod: Any) -> None:
        """Creates the application's pods."""
        app = {"name": "app", "image": IMAGES["app"], "imagePullPolicy": "IfNotPresent"}
        labels = {"app": "trace"}
        body = {
            "metadata": {"name": "trace"},
            "spec": {
                "replicas": replicas,
                "selector": {"matchLabels": labels},
                "template": {
                    "metadata": {"labels": labels},
                    "spec": {"terminationGracePeriodSeconds": 1, "containers": [app], **pod},
                },
            },
        }
        self._apps.create_namespaced_deployment(self.name, body)

    def scale(self, replicas: int) -> None:
        """Scales the application."""
        self._apps.patch_namespaced_deployment_scale("trace", self.name, {"spec": {"replicas": replicas}})

    def execute(self, container: str, *command: str) -> str:
        """Runs a command in a container of the first pod."""
        pod = self.pods()[0]["metadata"]["name"]
        own = ApiClient(copy.copy(self.api.configuration))
        return execute(own, self.name, pod, container, command, EXECUTED_WITHIN_S).output

    # -- what is there -----------------------------------------------------------------------------------------

    def get_set(self) -> Object:
        """The SidecarSet as it is."""
        body: Object = self._custom.get_cluster_custom_object(GROUP, self.version, PLURAL, self.name)
        return body

    def pods(self) -> list[Object]:
        """The pods that are not leaving, oldest first."""
        body = json.loads(raw(self._core.list_namespaced_pod, self.name))
        there = [pod for pod in body["items"] if "deletionTimestamp" not in pod["metadata"]]
        return sorted(there, key=lambda pod: (pod["metadata"]["creationTimestamp"], pod["metadata"]["name"]))

    # -- a step ------------------------------------------------------------------------------------------------

    def step(
        self,
        what: str,
        act: Callable[[Stage], object],
        until: Callable[[Stage], bool] | None,
        within_s: float,
        quiet_s: float | None,
    ) -> None:
        """Does one thing, waits until the condition holds or the time is over, then for quiet; writes it all down."""
        self._timeline, self._began = [], time.monotonic()
        error = self._try(act)
        held = self._hold(until, within_s)
        time.sleep(QUIET_S if quiet_s is None else quiet_s)
        self.steps.append(
            Step(
                step=what,
                error=error,
                condition_met_ms=held,
                pods=[looks.look(pod, self.name) for pod in self.pods()],
                set=self._status(),
                timeline=list(self._timeline),
                events=self._news(),
            )
        )

    def _try(self, act: Callable[[Stage], object]) -> Object | None:
        try:
            act(self)
        except ApiException as error:
            try:
                body: Mapping[str, Any] = json.loads(error.body or "")
            except ValueError:
                body = {"message": error.body}
            return {"code": error.status, "reason": body.get("reason"), "message": body.get("message")}
        return None

    def _hold(self, until: Callable[[Stage], bool] | None, within_s: float) -> int | None:
        end = time.monotonic() + within_s
        while until is not None and time.monotonic() < end:
            with suppress(ApiException, IndexError, KeyError):
                if until(self):
                    return round((time.monotonic() - self._began) * 1000)
            time.sleep(POLL_S)
        return None

    def _status(self) -> Object:
        try:
            there = self.get_set()
        except ApiException as error:
            return {"absent": error.status}
        status = {
            k: v
            for k, v in (there.get("status") or {}).items()
            if k not in ("latestRevision", "collisionCount")
        }
        return {"status": status, "generation": there["metadata"].get("generation")}

    def _news(self) -> list[Object]:
        body = json.loads(raw(self._core.list_namespaced_event, self.name))
        events = [looks.told(one) for one in body["items"] if one["involvedObject"].get("kind") == "Pod"]
        news = [one for one in events if one not in self._told]
        self._told += news
        return news

    def _has_account(self) -> bool:
        with suppress(ApiException):
            found = self._core.list_namespaced_service_account(self.name).items
            return any(one.metadata.name == "default" for one in found)
        return False

    def _watch(self) -> None:
        core: Any = CoreV1Api(self.api)
        last: dict[str, Object] = {}
        while not self._over.is_set():
            with suppress(ApiException, HTTPError, ValueError):
                for event in new_watch().stream(core.list_namespaced_pod, self.name, timeout_seconds=2):
                    seen = looks.line(looks.look(event["raw_object"], self.name), event["type"])
                    if last.get(seen["pod"]) != seen:
                        last[seen["pod"]] = seen
                        self._timeline.append({"ms": round((time.monotonic() - self._began) * 1000), **seen})
                    if self._over.is_set():
                        return
