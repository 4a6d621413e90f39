"""The load of one run: Locust's master and workers as pods, the test started and stopped, the ledgers fetched.

Everything goes through the Kubernetes API, also what is said to Locust (the pod proxy). Knows nothing of
upgrades.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

from kubernetes.client import ApiClient, ApiException, CoreV1Api
from pydantic import ValidationError

from harness.errors import ClusterError
from harness.record.ledger import AppLedger, LoadLedger
from harness.traffic import workload
from harness.traffic.pod import Pod
from harness.traffic.proxy import PodPort
from harness.traffic.workload import Target

__all__ = ["CLASSES", "Load", "LocustStats", "Target", "Timeouts", "app_ledger"]

CLASSES = ("new-connection", "keep-alive", "idle-keep-alive", "post", "stream")
"""Every traffic class that the Locust files know."""

LedgerT = TypeVar("LedgerT", LoadLedger, AppLedger)


@dataclass(frozen=True)
class Timeouts:
    """How long each step may take, in seconds."""

    pod: float = 120.0  # a real cluster may have to pull the image
    locust: float = 30.0  # Python and Locust start, the workers find the master
    flow: float = 15.0  # from the start of the test to the first request
    stop: float = 30.0  # users finish their request within 12 s
    call: float = 10.0  # one call through the pod proxy
    ledger: float = 60.0  # a ledger of ten million requests is some megabytes


@dataclass(frozen=True)
class LocustStats:
    """Totals as Locust's master counts them, to compare with the ledger."""

    requests: int
    failures: int


class Load:
    """Load on some pods' sidecars. Use: `start` … `progress` … `stop`, `ledgers`. For one thread."""

    def __init__(
        self,
        client: ApiClient,
        namespace: str,
        targets: Sequence[Target],
        *,
        version_header: str | None = None,
        classes: Sequence[str] = CLASSES,
        image: str = workload.LOADGEN_IMAGE,
        pace: float = 1.0,
        workers: int = 1,
        timeouts: Timeouts | None = None,
    ) -> None:
        """`pace` is how many times faster than usual the paced classes send; 1 makes 1,200 requests a second."""
        self._client, self._namespace, self._image = client, namespace, image
        self._variables = workload.environment(targets, classes, version_header, pace)
        self._timeouts = timeouts or Timeouts()
        self._master = Pod(client, namespace, workload.MASTER)
        self._workers = [Pod(client, namespace, workload.worker_name(index)) for index in range(workers)]

    def start(self) -> None:
        """Starts the pods and the test, and returns when requests flow; ClusterError."""
        self._create_config_map()
        self._master.create(workload.master_pod(self._namespace, self._image, self._variables))
        address = self._master.wait("for it to run", self._timeouts.pod, self._master.running_ip)
        for index, worker in enumerate(self._workers):
            manifest = workload.worker_pod(index, self._namespace, self._image, self._variables, address)
            worker.create(manifest)
        for worker in self._workers:
            worker.wait("for it to run", self._timeouts.pod, worker.running_ip)
        self._master.wait("for its workers", self._timeouts.locust, self._is_complete)
        answer = json.loads(self._web().call("POST", "/swarm", self._timeouts.call))
        if not answer.get("success"):
            raise ClusterError(f"Locust's master did not start the test: {answer.get('message')}")
        for worker in self._workers:
            worker.wait("for its first request", self._timeouts.flow, partial(self._flows, worker))

    def progress(self) -> tuple[int, int]:
        """Requests sent and failed so far."""
        states = [self._state(worker) for worker in self._workers]
        return sum(state["sent"] for state in states), sum(state["failed"] for state in states)

    def stop(self) -> None:
        """Ends the test: users finish the request that they are in. Returns when none is left; ClusterError."""
        self._web().call("POST", "/stop", self._timeouts.stop)
        for worker in self._workers:
            worker.wait("for its users to end", self._timeouts.stop, partial(self._is_stopped, worker))

    def ledgers(self) -> list[LoadLedger]:
        """Each worker's ledger; complete after `stop`."""
        return [
            _ledger(LoadLedger, worker.port(workload.LEDGER_PORT), self._timeouts) for worker in self._workers
        ]

    def locust_stats(self) -> LocustStats:
        """What Locust counted. Its master caches the answer for 2 s: ask once, after `stop`."""
        answer = json.loads(self._web().call("GET", "/stats/requests", self._timeouts.call))
        total = next(entry for entry in answer["stats"] if entry["name"] == "Aggregated")
        return LocustStats(total["num_requests"], total["num_failures"])

    def _create_config_map(self) -> None:
        api: Any = CoreV1Api(self._client)  # its types refuse manifests that are plain dictionaries
        try:
            api.create_namespaced_config_map(self._namespace, workload.config_map(self._namespace))
        except ApiException as error:
            raise ClusterError(
                f"the cluster refused the Locust files: {error.reason}: {error.body}"
            ) from error

    def _web(self) -> PodPort:
        return self._master.port(workload.MASTER_WEB_PORT)

    def _state(self, worker: Pod) -> dict[str, Any]:
        body = worker.port(workload.LEDGER_PORT).call("GET", "/progress", self._timeouts.call)
        state: dict[str, Any] = json.loads(body)
        return state

    def _flows(self, worker: Pod) -> bool | None:
        return self._state(worker)["sent"] > 0 or None

    def _is_stopped(self, worker: Pod) -> bool | None:
        return not self._state(worker)["running"] or None

    def _is_complete(self) -> bool | None:
        answer = json.loads(self._web().call("GET", "/worker-count", self._timeouts.call))
        return answer["worker_count"] >= len(self._workers) or None


def app_ledger(client: ApiClient, namespace: str, pod: str, timeouts: Timeouts | None = None) -> AppLedger:
    """What the application in a pod executed so far; ClusterError."""
    port = PodPort(client, namespace, pod, workload.APP_ADMIN_PORT)
    return _ledger(AppLedger, port, timeouts or Timeouts())


def _ledger(model: type[LedgerT], port: PodPort, timeouts: Timeouts) -> LedgerT:
    try:
        return model.model_validate_json(port.call("GET", "/ledger", timeouts.ledger))
    except ValidationError as error:
        first = error.errors()[0]
        raise ClusterError(f"pod {port.pod} served something else than a ledger: {first['msg']}") from error
