"""A cluster in memory and in virtual time: an API with admission, a kubelet, and whatever the triggers wake.

Implements the client's protocol; nothing runs by itself, `run` moves the clock from one thing due to the
next.
"""

from __future__ import annotations

import base64
import copy
import hashlib
import heapq
import itertools
import json
import re
from collections.abc import Callable, Iterator
from typing import Any

from harness.sidecarset import admission, conversion, paths
from harness.sidecarset.admit import Admitter
from harness.sidecarset.client import ApiFailure, EventType
from harness.sidecarset.names import GROUP, Object
from harness.sidecarset.reconciler import Reconciler
from harness.sidecarset.triggers import Triggers, Wake

NAMESPACE = "here"
SET = "SET"
IMAGES = {
    "app": "rig/app:v1",
    "v1": "rig/agent:v1",
    "v2": "rig/agent:v2",
    "v3": "rig/agent:v3",
    "empty": "rig/empty:v1",
    "empty2": "rig/empty:v2",
    "bad": "rig/does-not-exist:v9",
}
NAME = re.compile(r"/(\w+)/([^/]+)(?:/status)?$")


class FakeApi:
    """Objects by path. `changed` is told of every change; `failures` are raised by the next calls of that
    method."""

    def __init__(self) -> None:
        self.objects: dict[str, Object] = {}
        self.changed: Callable[[EventType, Object], None] = lambda kind, item: None
        self.failures: dict[str, list[ApiFailure]] = {}
        self.calls: list[tuple[str, str]] = []
        self._version = itertools.count(1000, 7)

    def get(self, path: str) -> Object:
        self._called("get", path)
        return copy.deepcopy(self._there(path))

    def listing(self, path: str, labels: str = "") -> tuple[list[Object], str]:
        self._called("list", path)
        wanted = dict(pair.split("=") for pair in labels.split(",") if pair)
        pattern = "/api/v1/namespaces/[^/]+/pods/[^/]+" if path == paths.PODS else re.escape(path) + "/[^/]+"
        found = [
            copy.deepcopy(item)
            for key, item in sorted(self.objects.items())
            if re.fullmatch(pattern, key) and wanted.items() <= (item["metadata"].get("labels") or {}).items()
        ]
        return found, str(next(self._version))

    def create(self, path: str, body: Object) -> Object:
        self._called("create", path)
        key = f"{path}/{body['metadata']['name']}"
        if key in self.objects:
            raise ApiFailure(409, "AlreadyExists", key)
        namespace = re.search(r"/namespaces/([^/]+)/", path)
        metadata = {"uid": f"uid-{next(self._version)}", "generation": 1, **body["metadata"]}
        metadata |= {"namespace": namespace.group(1)} if namespace else {}
        return self.store("ADDED", key, {**copy.deepcopy(body), "metadata": metadata})

    def replace(self, path: str, body: Object) -> Object:
        self._called("replace", path)
        key, status_only = path.removesuffix("/status"), path.endswith("/status")
        stored = self._there(key)
        if body["metadata"].get("resourceVersion", "") != stored["metadata"]["resourceVersion"]:
            raise ApiFailure(409, "Conflict", key)
        if status_only:
            return self.store("MODIFIED", key, {**stored, "status": copy.deepcopy(body["status"])})
        item = {**copy.deepcopy(body), **({"status": stored["status"]} if "status" in stored else {})}
        if item.get("spec") != stored.get("spec"):
            item["metadata"]["generation"] = stored["metadata"].get("generation", 0) + 1
        return self.store("MODIFIED", key, item)

    def patch(self, path: str, body: Object) -> Object:
        self._called("patch", path)
        stored = copy.deepcopy(self._there(path.removesuffix("/status")))
        status = stored.setdefault("status", {})
        for condition in body["status"]["conditions"]:
            others = [each for each in status.get("conditions", []) if each["type"] != condition["type"]]
            status["conditions"] = [*others, condition]
        return self.store("MODIFIED", path.removesuffix("/status"), stored)

    def delete(self, path: str) -> None:
        self._called("delete", path)
        item = self._there(path)
        del self.objects[path]
        self.changed("DELETED", copy.deepcopy(item))

    def watch(self, path: str, resource_version: str) -> Iterator[tuple[EventType, Object]]:
        self._called("watch", path)
        return iter(())

    def events(self, reason: str) -> list[Object]:
        return [item for key, item in self.objects.items() if "/events/" in key and item["reason"] == reason]

    def _called(self, method: str, path: str) -> None:
        self.calls.append((method, path))
        if self.failures.get(method):
            raise self.failures[method].pop(0)

    def _there(self, path: str) -> Object:
        if path not in self.objects:
            raise ApiFailure(404, "NotFound", path)
        return self.objects[path]

    def store(self, kind: EventType, key: str, item: Object) -> Object:
        item = {**item, "metadata": {**item["metadata"], "resourceVersion": str(next(self._version))}}
        self.objects[key] = item
        self.changed(kind, copy.deepcopy(item))
        return copy.deepcopy(item)


class World:
    """The API with this package's webhook and controller on it, and a kubelet."""

    def __init__(self, *, hook_s: float = 0.0, probe_s: float = 0.0) -> None:
        self.now, self.hook_s, self.probe_s = 0.0, hook_s, probe_s
        self.api = FakeApi()
        self.log: list[Object] = []
        self.never_ready = ""
        self.reconciler = Reconciler(self.api, "kruise-system", self.stamp, self._write)
        self.admitter = Admitter(self.api, "kruise-system", self.stamp, lambda: 0.5)
        self.version = "v1alpha1"
        self._triggers = Triggers()
        self._due: list[tuple[float, int, Callable[[], None]]] = []
        self._order, self._names = itertools.count(), itertools.count(1)
        self._starting: set[tuple[str, str, str]] = set()
        self.api.changed = self._changed
        self.api.create(paths.NAMESPACES, {"metadata": {"name": NAMESPACE}})

    def stamp(self) -> str:
        return f"2026-01-02T03:04:{int(self.now) % 60:02}Z"

    def run(self, seconds: float) -> None:
        """Lets so much time pass."""
        end = self.now + seconds
        while self._due and self._due[0][0] <= end:
            self.now, _, act = heapq.heappop(self._due)
            act()
        self.now = end

    # -- what people do --------------------------------------------------------------------------------------

    def create_set(self, containers: list[Object], **spec: Any) -> None:
        where = (
            {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": NAMESPACE}}}
            if self.version == "v1beta1"
            else {"namespace": NAMESPACE}
        )
        strategy = {"type": "RollingUpdate", "maxUnavailable": 1}
        body = {
            "apiVersion": f"{GROUP}/{self.version}",
            "kind": "SidecarSet",
            "metadata": {"name": SET},
            "spec": {
                "selector": {"matchLabels": {"app": "trace"}},
                **where,
                "containers": containers,
                "updateStrategy": strategy,
                **spec,
            },
        }
        self.api.create(paths.SIDECARSETS, conversion.to_storage(self._admit(body, None)))

    def edit_set(self, change: Callable[[Object], object]) -> None:
        before = self.api.get(paths.sidecarset(SET))
        after = copy.deepcopy(before)
        change(after["spec"])
        self.api.replace(paths.sidecarset(SET), self._admit(after, before))

    def set_image(self, image: str, index: int = 0) -> None:
        self.edit_set(lambda spec: spec["containers"][index].update(image=IMAGES.get(image, image)))

    def create_pods(self, count: int = 1, **spec: Any) -> None:
        for _ in range(count):
            pod = {
                "apiVersion": "v1",
                "kind": "Pod",
                "metadata": {"name": f"pod-{next(self._names)}", "labels": {"app": "trace"}},
                "spec": {"containers": [{"name": "app", "image": IMAGES["app"]}], **copy.deepcopy(spec)},
            }
            review = {
                "apiVersion": "admission.k8s.io/v1",
                "kind": "AdmissionReview",
                "request": {"uid": "u", "namespace": NAMESPACE, "object": pod},
            }
            self.api.create(
                f"/api/v1/namespaces/{NAMESPACE}/pods", self._apply(review, self.admitter.mutate_pod)
            )

    def crash(self, container: str) -> None:
        """The container's process ends and is started again."""
        for pod in self.pods():
            status = self._statuses(pod)[container]
            name = pod["metadata"]["name"]
            self._report(name, {container: {"ready": False}})
            again = {container: {"ready": True, "restartCount": status["restartCount"] + 1}}
            self._later(1.0, lambda name=name, again=again: self._report(name, again))  # type: ignore[misc]

    def pods(self) -> list[Object]:
        return self.api.listing(paths.PODS)[0]

    def status(self) -> Object:
        return dict(self.api.get(paths.sidecarset(SET)).get("status") or {})

    def _admit(self, body: Object, before: Object | None) -> Object:
        review = {
            "apiVersion": "admission.k8s.io/v1",
            "kind": "AdmissionReview",
            "request": {"uid": "u", "object": body, "oldObject": before},
        }
        body = self._apply(review, self.admitter.mutate_sidecarset)
        self.admitter.validate_sidecarset({"object": body, "oldObject": before})
        return body

    def _apply(self, review: Object, handle: Callable[[Object], Object | None]) -> Object:
        response = admission.admitted(review, handle)["response"]
        if not response["allowed"]:
            raise admission.Refused(response["status"]["message"])
        item: Object = copy.deepcopy(review["request"]["object"])
        for operation in json.loads(base64.b64decode(response.get("patch", "W10="))):
            *parents, last = operation["path"].strip("/").split("/")
            target = item
            for parent in parents:
                target = target[parent]
            target[last] = operation["value"]
        return item

    # -- what happens by itself ------------------------------------------------------------------------------

    def _later(self, seconds: float, act: Callable[[], None]) -> None:
        heapq.heappush(self._due, (self.now + seconds, next(self._order), act))

    def _changed(self, kind: EventType, item: Object) -> None:
        if item.get("kind") == "SidecarSet":
            self._wake(self._triggers.sidecarset(kind, item))
        elif item.get("kind") == "Pod":
            self._wake(self._triggers.pod(kind, item))
            self._sync(item)

    def _wake(self, wakes: list[Wake]) -> None:
        for wake in wakes:
            self._later(wake.after_s + 0.01, lambda name=wake.sidecarset: self.reconciler.reconcile(name))  # type: ignore[misc]

    def _write(self, event: str, **fields: object) -> None:
        self.log.append({"event": event, **fields})

    def _sync(self, pod: Object) -> None:
        """The kubelet: starts what is not there yet, replaces what has another image. Shows nothing before it
        runs."""
        name, statuses = pod["metadata"]["name"], self._statuses(pod)
        images = {each["name"]: each["image"] for each in pod["spec"]["containers"]}
        if not statuses:
            self._once((name, "", ""), 0.3 + 2 * self.hook_s, lambda: self._start(name, images))
            return
        for container, image in images.items():
            if statuses[container]["asked"] != image:
                change = {container: image}
                act = lambda change=change: self._start(name, change)  # noqa: E731
                self._once((name, container, image), 0.5 + self.hook_s, act)

    def _once(self, key: tuple[str, str, str], after_s: float, act: Callable[[], None]) -> None:
        if key in self._starting:
            return

        def run() -> None:
            self._starting.discard(key)
            act()

        self._starting.add(key)
        self._later(after_s, run)

    def _start(self, name: str, images: dict[str, str]) -> None:
        before = self._statuses(self._pod(name))
        self._report(
            name, {each: self._running(each, image, before.get(each)) for each, image in images.items()}
        )
        probed = [each for each, image in images.items() if each != "app" and image != self.never_ready]
        if self.probe_s and probed:
            self._later(self.probe_s, lambda: self._report(name, {each: {"ready": True} for each in probed}))

    def _running(self, container: str, image: str, before: Object | None) -> Object:
        if image == IMAGES["bad"]:
            return {**(before or {"name": container, "restartCount": 0}), "ready": False, "asked": image}
        return {
            "name": container,
            "image": f"docker.io/{image}",
            "imageID": image_id(image),
            "restartCount": before["restartCount"] + 1 if before else 0,
            "ready": container == "app" or not (self.probe_s or image == self.never_ready),
            "asked": image,
        }

    def _report(self, name: str, changes: dict[str, Object]) -> None:
        pod = self._pod(name)
        statuses = self._statuses(pod)
        for container, change in changes.items():
            statuses[container] = {**statuses.get(container, {}), **change}
        ready = all(each["ready"] for each in statuses.values())
        others = [each for each in pod.get("status", {}).get("conditions", []) if each["type"] != "Ready"]
        status = {
            "phase": "Running",
            "containerStatuses": list(statuses.values()),
            "conditions": [*others, {"type": "Ready", "status": "True" if ready else "False"}],
        }
        self.api.store("MODIFIED", paths.pod(pod), {**pod, "status": status})

    def _pod(self, name: str) -> Object:
        return self.api.objects[f"/api/v1/namespaces/{NAMESPACE}/pods/{name}"]

    @staticmethod
    def _statuses(pod: Object) -> dict[str, Object]:
        return {each["name"]: dict(each) for each in pod.get("status", {}).get("containerStatuses", [])}


def image_id(image: str) -> str:
    """What the runtime calls the image's content."""
    return f"docker.io/{image.partition(':')[0]}@sha256:{hashlib.sha256(image.encode()).hexdigest()}"


def sidecar(name: str = "mesh", image: str = "v1", *, hot: bool = True, **fields: Any) -> Object:
    """A container of a SidecarSet, as people write it."""
    container = {"name": name, "image": IMAGES.get(image, image), "imagePullPolicy": "IfNotPresent", **fields}
    if hot:
        container["upgradeStrategy"] = {"upgradeType": "HotUpgrade", "hotUpgradeEmptyImage": IMAGES["empty"]}
    return container
