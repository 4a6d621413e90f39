"""One run: a cluster, a SidecarSet, traffic, upgrades, a verdict, a report. Knows nothing of which cluster it is on.

    cluster up -> namespace, SidecarSet, application pods with their pairs -> traffic flows
    -> upgrades -> traffic stops -> ledgers -> verdict -> report -> everything gone

Whatever happens on the way, what was started is taken down and a report of what was seen is written.
"""

from __future__ import annotations

import os
import platform
import secrets
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

from kubernetes.client import ApiClient, AppsV1Api, CoreV1Api
from kubernetes.client.exceptions import ApiException
from urllib3.exceptions import HTTPError

from harness import __version__
from harness.cluster.protocol import Cluster
from harness.errors import ClusterError, HotupgradeError, InputError
from harness.manifest import Subject, canonical_image
from harness.progress import Progress
from harness.record.ledger import AppLedger, LoadLedger
from harness.record.report import (
    ClusterInfo,
    Controller,
    Environment,
    ImageInfo,
    Implementation,
    Outcome,
    Report,
)
from harness.record.upgrade import Upgrade
from harness.report import files
from harness.traffic.load import CLASSES, Load, Target, Timeouts, app_ledger
from harness.traffic.workload import APP_IMAGE, LOADGEN_IMAGE, app_deployment
from harness.upgrade import driver, pods, sidecarset
from harness.upgrade.calls import calling, reason_of
from harness.verdict import judge
from harness.verdict.gates import Requirements

NAMESPACE = "hotupgrade"  # unless the manifest names one
APP = "application"
WARM_UP_S = (
    1.0  # steady traffic before the first patch: connections are open and every class has been round once
)
COOL_DOWN_S = 1.0  # steady traffic after the last reset, so that a late failure is still seen
PROGRESS_S = 0.5  # how often totals are asked for
MIN_REQUESTS_PER_UPGRADE = 4000  # five upgrades make the 20,000 that bound the failure rate at 1.5 in 10,000
ALREADY_THERE = 409
UNKNOWN = Controller(name="unknown", version="unknown")  # the run ended before the cluster was up
INTERRUPTED_WAIT = Timeouts(call=2.0, stop=3.0, ledger=5.0)  # whoever presses Ctrl-C does not want to wait


@dataclass(frozen=True)
class RunOptions:
    """What a run is asked for."""

    subject: Subject
    upgrades: int
    pods: int
    version_header: str | None
    reports: Path
    command: Sequence[str]
    seed: int = field(default_factory=lambda: secrets.randbits(32))


@dataclass
class Seen:
    """What has been seen so far; complete or not, the report is made of it."""

    started: float
    cluster: ClusterInfo | None = None
    images: dict[str, ImageInfo] = field(default_factory=dict)
    upgrades: list[Upgrade] = field(default_factory=list)
    loads: list[LoadLedger] = field(default_factory=list)
    apps: dict[str, AppLedger | None] = field(default_factory=dict)
    locust_requests: int | None = None
    error: BaseException | None = None


@dataclass(frozen=True)
class Result:
    """A finished run: its report, where it lies, and what ended the run early, if anything did."""

    report: Report
    folder: Path
    error: BaseException | None


def images_needed(subject: Subject) -> list[str]:
    """Every image that a run with this subject starts."""
    empty = [subject.empty_image] if subject.empty_image else []
    return list(dict.fromkeys([subject.image, *subject.images, *empty, APP_IMAGE, LOADGEN_IMAGE]))


def execute(
    options: RunOptions, cluster: Cluster, progress: Progress, before_teardown: Callable[[], None]
) -> Result:
    """Runs it all and writes the report, whatever happens on the way.

    InputError is raised, since nothing was found out; everything else that ends the run early is in the result.
    `before_teardown` is called when taking down begins, which must not be interrupted any more.
    """
    seen = Seen(started=time.time())
    folder = _reserve(options, seen.started)
    try:
        cluster.preflight(images_needed(options.subject))
        begin = time.monotonic()
        cluster.up()
        seen.cluster = cluster.info()
        progress.note(f"{cluster.kind} cluster is up after {time.monotonic() - begin:.1f} s")
        _on_cluster(options, cluster, progress, seen)
    except InputError:
        before_teardown()
        folder.rmdir()
        raise
    except (ApiException, HTTPError) as error:
        seen.error = ClusterError(f"the cluster's API failed: {reason_of(error)}")
    except BaseException as error:
        seen.error = error
    finally:
        before_teardown()
        cluster.down()
    report = _report(options, cluster.kind, seen)
    files.write(report, folder)
    return Result(report, folder, seen.error)


def _reserve(options: RunOptions, started: float) -> Path:
    """The run's folder, made before anything starts: a report that cannot be written is an error of the input."""
    stamp = time.strftime("%Y%m%d-%H%M%S", time.gmtime(started))
    folder = options.reports / f"{stamp}-{options.subject.mode}-{os.getpid()}"
    try:
        folder.mkdir(parents=True)
    except OSError as error:
        raise InputError(
            f"--reports {options.reports}: {error.strerror}; name a folder that you can write to"
        ) from error
    return folder


def _namespace(subject: Subject) -> str:
    return subject.namespace or NAMESPACE


def _on_cluster(options: RunOptions, cluster: Cluster, progress: Progress, seen: Seen) -> None:
    """Everything between cluster up and cluster down."""
    subject, api = options.subject, cluster.client()
    namespace = _namespace(subject)
    addresses = _deploy(options, api)
    progress.pods(list(addresses))
    seen.images = {ref: cluster.image(ref) for ref in images_needed(subject)}
    targets = [Target(pod, ip, subject.port) for pod, ip in addresses.items()]
    load = Load(api, namespace, targets, version_header=options.version_header)
    load.start()
    progress.note("requests flow")
    try:
        with _totals(load, progress):
            time.sleep(WARM_UP_S)
            driver.run_upgrades(
                cluster.client,
                namespace,
                subject,
                list(addresses),
                options.upgrades,
                progress=progress,
                stop=threading.Event(),
                records=seen.upgrades,
            )
            time.sleep(COOL_DOWN_S)
    except BaseException:
        hasty = Load(
            api, namespace, targets, version_header=options.version_header, timeouts=INTERRUPTED_WAIT
        )
        with suppress(HotupgradeError, ApiException, HTTPError):
            _collect(api, namespace, hasty, list(addresses), seen, INTERRUPTED_WAIT)
        raise
    _collect(api, namespace, load, list(addresses), seen, Timeouts())
    progress.note("traffic stopped, ledgers read")


def _deploy(options: RunOptions, api: ApiClient) -> dict[str, str]:
    """Namespace, SidecarSet, application pods; returns the pods' addresses once each has its sidecars."""
    subject = options.subject
    core: Any = CoreV1Api(api)
    apps: Any = AppsV1Api(api)
    namespace = _namespace(subject)
    with calling(f"create namespace {namespace}"):
        try:
            core.create_namespace({"metadata": {"name": namespace}})
        except ApiException as error:
            if error.status != ALREADY_THERE or subject.namespace is None:
                raise
    sidecarset.create(api, subject, namespace)
    sidecarset.wait_observed(api, subject)
    with calling("create the application's Deployment"):
        apps.create_namespaced_deployment(
            namespace, app_deployment(APP, namespace, subject.labels, replicas=options.pods)
        )
    names = pods.wait_for_pairs(api, namespace, subject, options.pods)
    with calling("read the application's pods"):
        return {name: core.read_namespaced_pod(name, namespace).status.pod_ip for name in names}


@contextmanager
def _totals(load: Load, progress: Progress) -> Iterator[None]:
    """Tells the totals while the body runs, from a thread of its own; nobody else uses `load` meanwhile."""
    over = threading.Event()

    def tell() -> None:
        while not over.wait(PROGRESS_S):
            with suppress(
                HotupgradeError, ApiException, HTTPError
            ):  # a missed total is told half a second later
                progress.traffic(*load.progress())

    teller = threading.Thread(target=tell, name="totals", daemon=True)
    teller.start()
    try:
        yield
    finally:
        over.set()
        teller.join()


def _collect(
    api: ApiClient, namespace: str, load: Load, names: Sequence[str], seen: Seen, timeouts: Timeouts
) -> None:
    """Stops the traffic, then reads what both sides saw. A ledger that is missing is None, and the verdict says so."""
    load.stop()
    seen.loads = load.ledgers()
    for name in names:
        try:
            seen.apps[name] = app_ledger(api, namespace, name, timeouts)
        except ClusterError:
            seen.apps[name] = None
    seen.locust_requests = load.locust_stats().requests


def _report(options: RunOptions, kind: str, seen: Seen) -> Report:
    subject = options.subject
    requirements = Requirements(
        min_requests=MIN_REQUESTS_PER_UPGRADE * options.upgrades,
        upgrades=options.upgrades,
        pods=options.pods,
        classes=CLASSES,
        version_header=options.version_header,
        alternates=(subject.image, *subject.images),
        mode=subject.mode,
    )
    name = f"{subject.mode}-upgrade"
    scenario = judge.judge(name, seen.upgrades, seen.loads, seen.apps, requirements, seen.locust_requests)
    outcome, reason = _outcome(judge.overall([scenario]), scenario.reason, seen.error)
    repository, _, _ = canonical_image(subject.image).rpartition(":")
    own = dict.fromkeys(
        [subject.image, *subject.images, *([subject.empty_image] if subject.empty_image else [])]
    )
    return Report(
        outcome=outcome,
        reason=reason,
        started=seen.started,
        finished=time.time(),
        command=list(options.command),
        seed=options.seed,
        version=__version__,
        cluster=seen.cluster
        or ClusterInfo(
            kind=kind,
            kubernetes="unknown",
            controller=Controller(name="unknown", version="unknown"),
            nodes=[],
        ),
        implementation=Implementation(
            name=repository,
            version=", ".join(
                dict.fromkeys(canonical_image(image).rpartition(":")[2] for image in subject.images)
            ),
            images={
                canonical_image(ref).rpartition(":")[2]: seen.images[ref] for ref in own if ref in seen.images
            },
        ),
        manifest=subject.text,
        scenarios=[scenario],
        claim=judge.claim([scenario]),
        profile=judge.profile([scenario]),
        environment=Environment(
            host=f"{socket.gethostname()}, {platform.system()} {platform.release()}",
            cores=os.cpu_count() or 1,
            python=sys.version.split()[0],
            load_generator=f"locust {version('locust')}",
            saturation=[ledger.saturation for ledger in seen.loads],
        ),
    )


def _outcome(judged: Outcome, reason: str | None, error: BaseException | None) -> tuple[Outcome, str | None]:
    """What the run comes to when something ended it early; failures that were seen by then stay in the record."""
    if error is None:
        return judged, reason
    if isinstance(error, HotupgradeError):
        return "failed" if judged == "failed" else "inconclusive", str(error)  # all lines: events and logs
    if isinstance(error, Exception):
        return "inconclusive", f"{type(error).__name__}: {error}"
    return "interrupted", "ended by a signal"
