"""The load of one lap: Locust's pods are made, the test is started and stopped, the ledgers are fetched.

Everything goes through the Kubernetes API, also what is said to Locust (the pod proxy). A master or a worker that is
lost on the way is a problem, told in words; what else there is, is kept. Knows nothing of upgrades.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Any

from kubernetes.client import ApiClient, ApiException, CoreV1Api

from harness.calls import calling
from harness.errors import ClusterError
from harness.record.classes import USUAL
from harness.record.ledger import AppLedger, LoadLedger
from harness.site import Site
from harness.traffic import workload
from harness.traffic.pod import Pod
from harness.traffic.proxy import Method, PodPort, Unreachable
from harness.traffic.worker import Worker, parse
from harness.traffic.workload import Generator, PodsOf, Target

__all__ = [
    "Load",
    "LocustStats",
    "PodsOf",
    "Target",
    "Timeouts",
    "app_ledger",
]

CONFLICT = 409

Found = Mapping[str, Mapping[str, str | None]]
"""By class and pod: None where the answer was right, else what was wrong with it."""


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
    """Load on some pods' sidecars. Use: `start` … `progress` … `stop`, `ledgers`, `problems`. For one thread."""

    def __init__(
        self,
        client: ApiClient,
        site: Site,
        targets: Sequence[Target],
        subject: PodsOf,
        *,
        lap: int = 1,
        version_header: str | None = None,
        classes: Sequence[str] = USUAL,
        image: str = workload.LOADGEN_IMAGE,
        pace: float = 1.0,
        workers: int = 1,
        load_spec: str = "",
        service: str = "",
        shape: str = workload.CONSTANT,
        clients: Mapping[str, tuple[int, float]] | None = None,
        timeouts: Timeouts | None = None,
    ) -> None:
        """`pace` multiplies the rate of the paced classes; 1 makes about 1,200 requests a second in all."""
        self._client, self._site, self._lap = client, site, lap
        variables = workload.environment(
            targets, classes, version_header, pace, load_spec, service, shape, clients
        )
        self._generator = Generator(site, lap, image, variables, subject)
        self._master = Pod(client, site.namespace, workload.master_name(lap))
        names = [workload.worker_name(lap, index) for index in range(workers)]
        self._workers = [Worker(Pod(client, site.namespace, name)) for name in names]
        self.classes = tuple(classes)
        self.own_requests = bool(load_spec)
        """The requests are the user's own."""
        self.timeouts = timeouts or Timeouts()
        """May be made shorter on the way by whoever cannot wait any more."""
        self.problems: list[str] = []
        """What the load generator lost on its way, in words; a run that has any proves nothing."""

    @property
    def worker_ports(self) -> list[PodPort]:
        """Where each worker serves its ledger, and its clock."""
        return [worker.port for worker in self._workers]

    @property
    def behind_s(self) -> float:
        """How far the worst worker is behind its schedule, when it was asked last; from any thread."""
        return max(worker.behind_s for worker in self._workers)

    def web(self, client: ApiClient) -> PodPort:
        """Locust's web UI, to be asked by `client`, from another thread than this one's."""
        return PodPort(client, self._site.namespace, self._master.name, workload.MASTER_WEB_PORT)

    def probe(self) -> Found:
        """Tries one request of each class at each target, before `start`; ClusterError."""
        self._create_config_map()
        pod = Pod(self._client, self._site.namespace, workload.probe_name(self._lap))
        pod.create(self._generator.probe())
        try:
            found: Found = json.loads(pod.output(self.timeouts.pod))
        except ValueError as error:
            raise ClusterError(f"pod {pod.name} wrote something else than what it found: {error}") from error
        finally:
            with suppress(ClusterError):
                pod.delete()
        return found

    def start(self) -> None:
        """Starts the pods and the test, and returns when requests flow; ClusterError."""
        self._create_config_map()
        self._master.create(self._generator.master())
        address = self._master.wait("for it to run", self.timeouts.pod, self._master.running_ip)
        pods = [worker.pod for worker in self._workers]
        for index, pod in enumerate(pods):
            pod.create(self._generator.worker(index, address))
        for pod in pods:
            pod.wait("for it to run", self.timeouts.pod, pod.running_ip)
        self._master.wait("for its web API", self.timeouts.locust, self._joined)
        for pod in pods:
            pod.wait("for the master to know it", self.timeouts.locust, self._is_complete)
        answer = json.loads(self._ask_master("POST", "/swarm", self.timeouts.call))
        if not answer.get("success"):
            raise ClusterError(f"Locust's master did not start the test: {answer.get('message')}")
        for worker in self._workers:
            worker.pod.wait("for its first request", self.timeouts.flow, partial(self._flows, worker))

    def progress(self) -> tuple[int, int]:
        """Requests sent and failed so far; those of a worker that does not answer, when it last did.

        To be asked again and again: this is also when the workers' records are kept.
        """
        for worker in self._workers:
            with suppress(Unreachable):
                worker.look(self.timeouts.call)
                worker.keep(self.timeouts.call)
        sent, failed = zip(*(worker.totals for worker in self._workers), strict=True)
        return sum(sent), sum(failed)

    def stop(self) -> None:
        """Ends the test: users finish the request that they are in. Returns when all have, but for those that are lost.

        Each worker is told by itself: that needs no master, and Locust's master would wait more than a minute for a
        worker that is gone.
        """
        for worker in self._workers:
            worker.tell_to_stop(self.timeouts.call)
        for worker in self._workers:
            if not worker.lost:
                worker.await_stop(self.timeouts.stop, self.timeouts.call)
        try:
            if any(worker.lost for worker in self._workers):
                self._ask_master("GET", "/worker-count", self.timeouts.call)
            else:
                self._ask_master("POST", "/stop", self.timeouts.stop)
        except ClusterError as error:
            self.problems.append(self._master.fate(error))

    def remove(self) -> None:
        """Deletes its pods and its files; ClusterError. What is gone already is no error."""
        for pod in (self._master, *(worker.pod for worker in self._workers)):
            pod.delete()
        api: Any = CoreV1Api(self._client)
        with calling(f"delete the Locust files of lap {self._lap}"):
            api.delete_namespaced_config_map(workload.config_map_name(self._lap), self._site.namespace)

    def ledgers(self) -> list[LoadLedger]:
        """Each worker's ledger, complete after `stop`; of a worker that was lost what was kept of it, not stopped."""
        found = [worker.ledger(self.timeouts.ledger) for worker in self._workers]
        self.problems += [problem for _, problem in found if problem]
        return [ledger for ledger, _ in found if ledger]

    def locust_stats(self) -> LocustStats:
        """What Locust counted, after `stop`; ClusterError where its master is lost."""
        return LocustStats(**json.loads(self._ask_master("GET", "/totals", self.timeouts.call)))

    def _create_config_map(self) -> None:
        api: Any = CoreV1Api(self._client)  # its types refuse manifests that are plain dictionaries
        try:
            files = workload.config_map(self._site, self._lap)
            api.create_namespaced_config_map(self._site.namespace, files)
        except ApiException as error:
            if error.status == CONFLICT:  # a probe came first
                return
            raise ClusterError(
                f"the cluster refused the Locust files: {error.reason}: {error.body}"
            ) from error

    def _ask_master(self, method: Method, path: str, timeout_s: float) -> bytes:
        return self._master.ask(method, workload.MASTER_WEB_PORT, path, timeout_s)

    def _flows(self, worker: Worker) -> bool | None:
        return worker.look(self.timeouts.call)["sent"] > 0 or None

    def _joined(self) -> int:
        """Workers that the master knows."""
        body = self._master.port(workload.MASTER_WEB_PORT).call("GET", "/worker-count", self.timeouts.call)
        count: int = json.loads(body)["worker_count"]
        return count

    def _is_complete(self) -> bool | None:
        return self._joined() >= len(self._workers) or None


def app_ledger(client: ApiClient, namespace: str, pod: str, timeouts: Timeouts | None = None) -> AppLedger:
    """What the application in a pod executed so far; ClusterError."""
    port = PodPort(client, namespace, pod, workload.APP_ADMIN_PORT)
    return parse(AppLedger, pod, port.call("GET", "/ledger", (timeouts or Timeouts()).ledger))
