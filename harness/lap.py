"""One lap of a scenario: fresh application pods with their pairs, traffic, some steps, ledgers.

A pod bears only so many upgrades before its kubelet delays them, so a long scenario is shared out over laps. Knows
nothing of what else a run does.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from functools import partial
from typing import Any

from kubernetes.client import ApiClient, CoreV1Api
from kubernetes.client.exceptions import ApiException
from urllib3.exceptions import HTTPError

from harness.act import Act
from harness.calls import REQUEST_S, calling
from harness.cluster.protocol import Cluster
from harness.errors import ClusterError, HotupgradeError
from harness.manifest import Subject
from harness.play import Player, Stage
from harness.progress import Progress
from harness.record.classes import THROUGH_SERVICE
from harness.record.report import LogLine
from harness.scenarios.steps import Step
from harness.shown import Shown
from harness.site import Site
from harness.traffic import clocks
from harness.traffic.demand import Demand
from harness.traffic.dialect import Dialect
from harness.traffic.load import Load, PodsOf, Target, Timeouts, app_ledger
from harness.traffic.ui import Ui
from harness.traffic.workload import service, service_name
from harness.upgrade import pods
from harness.upgrade.driver import Driver
from harness.upgrade.evidence import Evidence
from harness.upgrade.waits import TIMEOUTS
from harness.workload import Workload

WARM_UP_S = (
    1.0  # steady traffic before the first patch: connections are open and every class has been round once
)
COOL_DOWN_S = 1.0  # steady traffic after the last reset, so that a late failure is still seen
PROGRESS_S = 0.5  # how often totals are asked for
INTERRUPTED_WAIT = Timeouts(call=2.0, stop=3.0, ledger=5.0)  # whoever presses Ctrl-C does not want to wait


class Lap:
    """Lap `number` of a run, from 1, with some of a scenario's steps. What it sees goes into the act at once."""

    def __init__(
        self,
        number: int,
        steps: Sequence[Step],
        act: Act,
        subject: Subject,
        cluster: Cluster,
        site: Site,
        workload: Workload,
        demand: Demand,
        dialect: Dialect,
        progress: Progress,
        ui: Ui | None,
    ) -> None:
        self._number, self._steps, self._act = number, steps, act
        self._cluster, self._site, self._workload = cluster, site, workload
        self._demand, self._dialect = demand, dialect
        self._progress, self._ui = progress, ui
        labels = workload.labels(subject.labels, number)
        self._subject: Subject = replace(subject, image=act.image, labels=labels)
        self._api: ApiClient = cluster.client()
        self._service = ""

    def run(self) -> None:
        """All of it; InputError, ClusterError. The pods of the lap go when it returns without an error."""
        targets = self._deploy()
        if THROUGH_SERVICE in self._demand.classes:
            self._create_service()
        self._act.unspoken |= self._dialect.learn(self._load(targets, self._demand.classes), targets)
        load = self._load(targets, [name for name in self._demand.classes if name not in self._act.unspoken])
        load.start()
        self._show(load)
        self._progress.note("requests flow")
        names = [target.pod for target in targets]
        try:
            self._act.clocks += clocks.measure(load.worker_ports)
            with self._totals(load):
                time.sleep(WARM_UP_S)
                self._play(names, load)
                time.sleep(COOL_DOWN_S)
        except BaseException:
            load.timeouts = INTERRUPTED_WAIT
            with suppress(HotupgradeError, ApiException, HTTPError):
                self._collect(load, names)
            raise
        self._collect(load, names)
        self._progress.note("traffic stopped, ledgers read")
        if self._service:
            self._delete_service()
        self._workload.stop(self._api, self._number)
        load.remove()

    def clear(self) -> None:
        """Takes away what an error left of it, before the next lap; what is not there is no trouble."""
        leavings: list[Callable[[], None]] = [
            self._load([], []).remove,
            partial(self._workload.stop, self._api, self._number),
        ]
        for leave in [*leavings, *([self._delete_service] if self._service else [])]:
            with suppress(HotupgradeError, ApiException, HTTPError):
                leave()

    def _deploy(self) -> list[Target]:
        """The pods under test, once each has its sidecars."""
        count, namespace, subject = self._act.requirements.pods, self._workload.namespace, self._subject
        core: Any = CoreV1Api(self._api)
        self._workload.start(self._api, subject.labels, self._number, count)
        names = pods.wait_for_pairs(self._api, namespace, subject, count)
        self._progress.pods(names)
        with calling("read the addresses of the pods"):
            addresses = {name: core.read_namespaced_pod(name, namespace).status.pod_ip for name in names}
        return [Target(pod, ip, subject.port) for pod, ip in addresses.items()]

    def _create_service(self) -> None:
        """A Service in front of the pods, and its address."""
        namespace, subject = self._workload.namespace, self._subject
        core: Any = CoreV1Api(self._api)
        body = service(self._site, self._number, namespace, subject.labels, subject.port)
        with calling("create a Service in front of the pods"):
            made = core.create_namespaced_service(namespace, body, _request_timeout=REQUEST_S)
        host = made.spec.cluster_ip
        self._service = f"[{host}]:{subject.port}" if ":" in host else f"{host}:{subject.port}"

    def _delete_service(self) -> None:
        core: Any = CoreV1Api(self._api)
        with calling("delete the Service in front of the pods"):
            core.delete_namespaced_service(
                service_name(self._site, self._number), self._workload.namespace, _request_timeout=REQUEST_S
            )

    def _show(self, load: Load) -> None:
        """Locust's own pages follow the lap's master."""
        if self._ui is not None:
            self._progress.note(f"Locust's own pages: {self._ui.start(load.web(self._cluster.client()))}")

    def _load(self, targets: Sequence[Target], classes: Sequence[str]) -> Load:
        return Load(
            self._api,
            self._site,
            targets,
            PodsOf(self._workload.namespace, self._subject.labels),
            lap=self._number,
            version_header=self._demand.version_header,
            classes=classes,
            clients=self._demand.clients,
            shape=self._demand.shape,
            workers=self._demand.workers,
            load_spec=self._demand.load_spec,
            service=self._service,
        )

    def _play(self, names: Sequence[str], load: Load) -> None:
        waits = replace(TIMEOUTS, step_s=self._act.turn.scenario.waits.step_s)
        driver = Driver(
            self._cluster.client,
            self._workload.namespace,
            self._subject,
            names,
            progress=Shown(self._progress, self._ui) if self._ui else self._progress,
            records=self._act.upgrades,
            timeouts=waits,
        )
        with driver:
            stage = Stage(
                self._cluster,
                self._workload,
                self._subject,
                self._number,
                driver,
                self._progress,
                behind_s=lambda: load.behind_s,
            )
            Player(self._act, stage).play(self._steps)

    @contextmanager
    def _totals(self, load: Load) -> Iterator[None]:
        """Tells the totals while the body runs, from a thread of its own; nobody else uses `load` meanwhile."""
        over = threading.Event()

        def tell() -> None:
            while not over.wait(PROGRESS_S):
                with suppress(
                    HotupgradeError, ApiException, HTTPError
                ):  # a missed total is told half a second later
                    self._progress.traffic(*load.progress())

        teller = threading.Thread(target=tell, name="totals", daemon=True)
        try:
            teller.start()  # a signal can be raised out of it, with the thread running
            yield
        finally:
            over.set()
            if teller.is_alive():
                teller.join()

    def _collect(self, load: Load, names: Sequence[str]) -> None:
        """Stops the traffic, then reads what both sides saw. A missing ledger is None, and the verdict says so."""
        act = self._act
        act.locust_requests.append(None)
        load.stop()
        act.loads += load.ledgers()
        act.problems += load.problems
        for name in names if self._workload.keeps_ledger else ():
            try:
                act.apps[name] = app_ledger(self._api, self._site.namespace, name, load.timeouts)
            except ClusterError:
                act.apps[name] = None
        if any(client.failures for ledger in act.loads for client in ledger.clients):
            self._read_logs(names)
        if not load.problems:
            act.locust_requests[-1] = load.locust_stats().requests

    def _read_logs(self, names: Sequence[str]) -> None:
        """What the pods' containers wrote: a failure is shown with the lines around it."""
        evidence, now = Evidence(self._api, self._workload.namespace), time.time()
        for name in names:
            self._act.logs += [
                LogLine(
                    at=event.at,
                    pod=name,
                    source=event.container or event.source,
                    text=event.message
                    if event.reason == "log"
                    else f"{event.reason} {event.message}".rstrip(),
                )
                for event in evidence.all(name, self._subject.containers, now)
            ]
