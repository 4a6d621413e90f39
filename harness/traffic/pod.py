"""A pod of the load generator: made, waited for, asked, and quoted when it fails. Knows nothing of Locust."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from kubernetes.client import ApiClient, ApiException, CoreV1Api
from urllib3.exceptions import HTTPError

from harness.calls import calling
from harness.errors import ClusterError, Timeout
from harness.traffic.proxy import Method, PodPort, Unreachable

POLL_S = 0.1
LOG_LINES = 20
NOT_FOUND = 404
HOPELESS = frozenset(
    {"ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull"}
    | {"CreateContainerError", "CreateContainerConfigError", "RunContainerError", "CrashLoopBackOff"}
)
"""Reasons of a waiting container that waiting does not mend."""

ENDED = ("Failed", "Succeeded")
"""The phases of a pod that runs no more."""

T = TypeVar("T")


class Pod:
    """One pod, by name."""

    def __init__(self, client: ApiClient, namespace: str, name: str) -> None:
        self._client, self._core = client, CoreV1Api(client)
        self.namespace, self.name = namespace, name

    def create(self, manifest: dict[str, Any]) -> None:
        """Makes it; ClusterError."""
        api: Any = self._core  # its types refuse manifests that are plain dictionaries
        try:
            api.create_namespaced_pod(self.namespace, manifest)
        except ApiException as error:
            raise ClusterError(
                f"pod {self.name}: the cluster refused it: {error.reason}: {error.body}"
            ) from error

    def delete(self) -> None:
        """Deletes it; ClusterError. Nothing is waited for, and one that is gone already is no error."""
        with calling(f"delete pod {self.name}"):
            try:
                self._core.delete_namespaced_pod(self.name, self.namespace, grace_period_seconds=0)
            except ApiException as error:
                if error.status != NOT_FOUND:
                    raise

    def port(self, number: int) -> PodPort:
        """A port of it, behind the API server's proxy."""
        return PodPort(self._client, self.namespace, self.name, number)

    def ask(self, method: Method, port: int, path: str, timeout_s: float) -> bytes:
        """Calls one of its ports; ClusterError with its last log lines."""
        try:
            return self.port(port).call(method, path, timeout_s)
        except Unreachable as error:
            raise ClusterError(f"{error}{self._last_lines()}") from error

    def fate(self, error: ClusterError) -> str:
        """Why it did not answer: what became of it, with its last log lines; the error, where nothing did."""
        try:
            trouble = self._trouble()
        except HTTPError:
            trouble = None
        return f"pod {self.name} {trouble}{self._last_lines()}" if trouble else f"pod {self.name}: {error}"

    def running_ip(self) -> str | None:
        """Its address, once it runs."""
        status = self._status()
        return status.pod_ip if status and status.phase == "Running" and status.pod_ip else None

    def output(self, timeout_s: float) -> str:
        """What it wrote, once it has ended; ClusterError when it cannot start, fails, or takes too long."""
        self.wait("for it to end", timeout_s, self._ended_well, ends=("Failed",))
        with calling(f"read the log of pod {self.name}"):
            return str(self._core.read_namespaced_pod_log(self.name, self.namespace))

    def wait(
        self, what: str, timeout_s: float, check: Callable[[], T | None], *, ends: Sequence[str] = ENDED
    ) -> T:
        """Polls until `check` returns something; gives up early on a pod in a phase of `ends`, or that cannot start.

        ClusterError with the pod's last log lines; Timeout when it was only too slow.
        """
        deadline, seen = time.monotonic() + timeout_s, ""
        while True:
            try:
                result = check()
                if result is not None:
                    return result
                trouble = self._trouble(ends)
            except (Unreachable, ApiException) as error:
                seen = f"; last answer: {error}"
                trouble = self._trouble(ends)
            if trouble:
                raise ClusterError(f"pod {self.name} {trouble}{self._last_lines()}")
            if time.monotonic() > deadline:
                raise Timeout(f"pod {self.name}: waited {timeout_s:g} s {what}{seen}{self._last_lines()}")
            time.sleep(POLL_S)

    def _ended_well(self) -> bool | None:
        status = self._status()
        return (status is not None and status.phase == "Succeeded") or None

    def _status(self) -> Any:
        return self._core.read_namespaced_pod(self.name, self.namespace).status

    def _trouble(self, ends: Sequence[str] = ENDED) -> str | None:
        """Why it will never work, if so; `ends` are the phases that are no good news."""
        try:
            status = self._status()
        except ApiException as error:
            return "is gone" if error.status == NOT_FOUND else None
        if status is None:
            return None
        if status.phase in ends:
            return f"has ended ({status.phase})"
        for container in status.container_statuses or []:
            waiting = container.state.waiting if container.state else None
            if waiting and waiting.reason in HOPELESS:
                return f"cannot start: {waiting.reason}: {waiting.message or 'no message'}"
        return None

    def _last_lines(self) -> str:
        try:
            log = self._core.read_namespaced_pod_log(self.name, self.namespace, tail_lines=LOG_LINES)
        except (ApiException, HTTPError):
            return "; its log cannot be read"
        return f"; its last log lines:\n{log.rstrip()}" if log else "; its log is empty"
