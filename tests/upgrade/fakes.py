"""A client of an API that is a function, a clock that nobody waits for, and pods that play recordings."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Self
from urllib.parse import parse_qs, urlsplit

from kubernetes.client import ApiClient, Configuration
from kubernetes.client.rest import RESTResponse
from urllib3 import HTTPResponse

from harness.manifest import Subject
from harness.record.upgrade import PhaseName
from harness.upgrade.observe import Sighting
from harness.upgrade.sidecarset import desired
from harness.upgrade.view import PodView
from harness.upgrade.waits import Clock
from tests.site import SITE
from tests.upgrade.recordings import EPOCH, views

Answer = tuple[int, object]
SET = "/apis/apps.kruise.io/v1alpha1/sidecarsets"


class FakeTime:
    """Passes only when somebody sleeps."""

    def __init__(self) -> None:
        self.now = EPOCH
        self.clock = Clock(now=lambda: self.now, sleep=self.sleep)

    def sleep(self, seconds: float) -> None:
        self.now += seconds


class Body(io.BytesIO):
    """An answer that ends as a connection does: closed once it was read."""

    def read(self, size: int | None = -1, /) -> bytes:
        data = super().read(size)
        if not data:
            self.close()
        return data


class FakeApi(ApiClient):  # type: ignore[misc,unused-ignore]
    """The official client; instead of a connection it asks `answer(method, path, query, body)`."""

    def __init__(self, answer: Callable[[str, str, dict[str, str], Any], Answer]) -> None:
        super().__init__(Configuration(host="http://fake"))
        self.answer = answer
        self.asked: list[tuple[str, str, dict[str, str]]] = []

    def call_api(  # type: ignore[no-untyped-def]
        self, method, url, header_params=None, body=None, post_params=None, _request_timeout=None
    ) -> RESTResponse:
        parts = urlsplit(url)
        query = {key: values[0] for key, values in parse_qs(parts.query).items()}
        self.asked.append((method, parts.path, query))
        status, answer = self.answer(method, parts.path, query, body)
        text = answer if isinstance(answer, str) else json.dumps(answer)
        return RESTResponse(
            HTTPResponse(
                Body(text.encode()),
                headers={"content-type": "application/json"},
                status=status,
                preload_content=False,
            )
        )


def refusal(code: int, message: str = "", reason: str = "") -> Answer:
    """A Status as the API sends it."""
    return code, {"kind": "Status", "status": "Failure", "code": code, "message": message, "reason": reason}


def pod(view: PodView, version: int = 1) -> dict[str, Any]:
    """The pod that looks like a view."""
    states: dict[str, dict[str, Any]] = {
        name: {"running": {}} if c.state == "running" else {"waiting": {"reason": c.reason}}
        for name, c in view.containers.items()
    }
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": view.name, "resourceVersion": str(version)},
        "spec": {"containers": [{"name": name, "image": c.image} for name, c in view.containers.items()]},
        "status": {
            "conditions": [{"type": "Ready", "status": "True" if view.ready else "False"}],
            "containerStatuses": [
                {
                    "name": name,
                    "image": c.running_image,
                    "ready": c.ready,
                    "restartCount": c.restarts,
                    "state": states[name],
                }
                for name, c in view.containers.items()
            ],
        },
    }


class FakeCluster:
    """One SidecarSet, and pods that play a recording when its image changes; the Source of their sightings.

    `script` maps an image to the recording that its patch starts. The first lines of a recording, at 0 ms,
    are the state before.
    """

    def __init__(self, subject: Subject, script: Mapping[str, str], begin: str) -> None:
        self.time = FakeTime()
        self.subject, self.script = subject, script
        self.set = {**desired(subject, SITE, images_loaded=False), "status": {"observedGeneration": 1}}
        self.set["metadata"] |= {"resourceVersion": "1", "generation": 1}
        self.coming = [Sighting(view, at) for at, view in views(begin) if at == EPOCH]
        self.conflicts = 0
        self.logs: dict[tuple[str, str, bool], str] = {}
        self.events: list[dict[str, Any]] = []
        self.on_idle: Callable[[], None] = lambda: None
        self.api = FakeApi(self.answer)

    # -- the API ---------------------------------------------------------------------------------------------

    def answer(self, method: str, path: str, query: dict[str, str], body: Any) -> Answer:
        if path == f"{SET}/{self.subject.name}":
            return (200, self.set) if method == "GET" else self._replace(body)
        if path.endswith("/events"):
            return 200, {"items": self.events}
        if log := re.fullmatch(r".*/pods/([^/]+)/log", path):
            key = (log.group(1), query["container"], query.get("previous", "").lower() == "true")
            return (200, self.logs[key]) if key in self.logs else refusal(400, f"no log of {key}")
        return refusal(404, f"{method} {path}")

    def _replace(self, body: dict[str, Any]) -> Answer:
        if self.conflicts:
            self.conflicts -= 1
            return refusal(409, "the object has been modified", "Conflict")
        self.set = body
        recording = views(self.script[body["spec"]["containers"][0]["image"]])
        self.coming += [Sighting(view, self.time.now + at - EPOCH) for at, view in recording if at > EPOCH]
        return 200, body

    # -- the watch -------------------------------------------------------------------------------------------

    def next(self, timeout_s: float) -> Sighting | None:
        if self.coming and self.coming[0].at <= self.time.now + timeout_s:
            sighting = self.coming.pop(0)
            self.time.now = max(self.time.now, sighting.at)
            return sighting
        self.time.now += timeout_s
        if not self.coming and timeout_s > 0:
            self.on_idle()
        return None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        return None


class Told:
    """A Progress that remembers."""

    def __init__(self) -> None:
        self.phases: list[tuple[int, str, PhaseName]] = []

    def note(self, text: str) -> None: ...

    def pods(self, names: Sequence[str]) -> None: ...

    def traffic(self, sent: int, failed: int) -> None: ...

    def phase(self, upgrade: int, pod: str, phase: PhaseName, at: float) -> None:
        self.phases.append((upgrade, pod, phase))
