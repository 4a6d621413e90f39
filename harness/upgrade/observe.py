"""Pods as they change, each with the time at which the news arrived. Knows nothing of upgrades.

A thread lists the pods and watches from there. A watch that ends is taken up where it was; one whose place is
gone (410) begins with a list again. What arrives after a gap carries its length: it may be as old as that.
"""

from __future__ import annotations

import json
import queue
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol, Self

from kubernetes import watch
from kubernetes.client import ApiClient, CoreV1Api
from kubernetes.client.exceptions import ApiException
from urllib3.exceptions import HTTPError

from harness.calls import REQUEST_S, raw, reason_of
from harness.errors import ClusterError
from harness.upgrade.view import PodView, view_of
from harness.upgrade.waits import CLOCK, TIMEOUTS, Clock, Timeouts

WATCH_S = 30  # the server ends a watch after this; also bounds how long a dead connection goes unnoticed
BACKLOG_S = 0.2  # what arrives so soon after a watch was taken up again may have waited through the gap
RETRY_S = 0.1  # pause before a watch that broke, or ended at once, is taken up again
GONE = 410
NEW_WATCH: Callable[..., Any] = watch.Watch  # the client's watch has no types


@dataclass(frozen=True)
class Sighting:
    """A pod as it was delivered at `at`; it may have waited `slack_s` for that."""

    view: PodView
    at: float
    gone: bool = False
    slack_s: float = 0.0


class Source(Protocol):
    """Where sightings come from."""

    def next(self, timeout_s: float) -> Sighting | None:
        """The next one, or None after that time; ClusterError when the API has been out of reach too long."""

    def __enter__(self) -> Self: ...

    def __exit__(self, *_: object) -> None: ...


class Watcher:
    """A Source: watches the pods that have these labels, in a thread with a client of its own."""

    def __init__(
        self,
        client_factory: Callable[[], ApiClient],
        namespace: str,
        labels: Mapping[str, str],
        *,
        timeouts: Timeouts = TIMEOUTS,
        clock: Clock = CLOCK,
    ) -> None:
        self._client_factory, self._namespace = client_factory, namespace
        self._timeouts, self._clock = timeouts, clock
        self._selector = ",".join(f"{key}={value}" for key, value in labels.items())
        self._news: queue.SimpleQueue[Sighting | ClusterError] = queue.SimpleQueue()
        self._ended = threading.Event()
        self._watch = NEW_WATCH(return_type="object")  # dictionaries; a watch without a type drops its errors
        self._version: str | None = None
        self._heard: float | None = None
        self._failing: float | None = None
        self._thread = threading.Thread(target=self._run, name="pod-watch", daemon=True)

    def __enter__(self) -> Self:
        try:
            self._thread.start()
        except BaseException:  # a signal, say: it can be raised out of there with the thread running
            self._ended.set()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._watch.stop()
        self._thread.join(
            timeout=1.0
        )  # it is a daemon: one that hangs in a dead connection ends with the process

    def next(self, timeout_s: float) -> Sighting | None:
        """The next sighting, or None after that time."""
        try:
            news = self._news.get(timeout=max(0.0, timeout_s))
        except queue.Empty:
            return None
        if isinstance(news, ClusterError):
            raise news
        return news

    def _run(self) -> None:
        try:
            core = CoreV1Api(self._client_factory())
            while not self._ended.is_set():
                self._round(core)
        except (
            Exception
        ) as error:  # a thread that dies silently would look like a cluster where nothing happens
            self._news.put(ClusterError(f"cannot watch pods: {reason_of(error)}"))

    def _round(self, core: CoreV1Api) -> None:
        """One watch, after a list where there is no place to take it up."""
        try:
            if self._version is None:
                self._version = self._list(core)
            began = self._clock.now()
            self._follow(core, self._version)
            self._hears()
            if (
                self._clock.now() - began < RETRY_S
            ):  # a server that ends every watch at once is not to be flooded
                self._ended.wait(RETRY_S)
        except ApiException as error:
            if error.status == GONE:
                self._version = None
            else:
                self._failed(error)
        except (HTTPError, OSError, ValueError) as error:
            self._failed(error)

    def _hears(self) -> float:
        """The API has spoken; returns for how long it had not."""
        now = self._clock.now()
        silence = now - self._heard if self._heard is not None else 0.0
        self._heard, self._failing = now, None
        return silence

    def _failed(self, error: Exception) -> None:
        """Gives up when it has failed for too long, else pauses."""
        now = self._clock.now()
        self._failing = self._failing if self._failing is not None else now
        if now - self._failing >= self._timeouts.unreachable_s:
            lost = f"{now - self._failing:.0f} s"
            self._news.put(ClusterError(f"cannot watch pods since {lost}: {reason_of(error)}"))
            self._ended.set()
        self._ended.wait(RETRY_S)

    def _list(self, core: CoreV1Api) -> str:
        """All pods as sightings; returns the version from which to watch."""
        body = json.loads(raw(core.list_namespaced_pod, self._namespace, label_selector=self._selector))
        silence = self._hears()
        for pod in body["items"]:
            self._news.put(Sighting(view_of(pod), self._clock.now(), slack_s=silence))
        return str(body["metadata"]["resourceVersion"])

    def _follow(self, core: CoreV1Api, version: str) -> None:
        """Sightings from that version on, until the watch ends."""
        resumed, heard = self._clock.now(), self._heard
        for event in self._watch.stream(
            core.list_namespaced_pod,
            self._namespace,
            label_selector=self._selector,
            resource_version=version,
            timeout_seconds=WATCH_S,
            _request_timeout=(REQUEST_S, WATCH_S + REQUEST_S),
        ):
            if not event:  # a line that was cut off
                continue
            self._hears()
            now = self._clock.now()
            pod: dict[str, Any] = event["object"]
            self._version = pod["metadata"]["resourceVersion"]
            if event["type"] != "BOOKMARK":
                slack = now - heard if heard is not None and now - resumed < BACKLOG_S else 0.0
                self._news.put(Sighting(view_of(pod), now, gone=event["type"] == "DELETED", slack_s=slack))
            if self._ended.is_set():
                return
