"""One run: a cluster, a SidecarSet, traffic, upgrades, a verdict, a report. Knows nothing of which cluster it is on.

    cluster up -> namespace, SidecarSet -> laps: application pods with their pairs, traffic, upgrades, ledgers
    -> everything gone -> verdict -> report

Whatever happens on the way, what was started is taken down and a report of what was seen is written.
"""

from __future__ import annotations

import os
import secrets
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

from kubernetes.client.exceptions import ApiException
from urllib3.exceptions import HTTPError

from harness import rules, target
from harness.account import Account
from harness.calls import reason_of
from harness.cluster.protocol import Cluster
from harness.errors import ClusterError, HotupgradeError, InputError
from harness.lap import Lap
from harness.loadspec import LoadSpec
from harness.manifest import Subject
from harness.progress import Progress
from harness.pulls import resolve
from harness.record.report import Report
from harness.removal import marked, remove
from harness.report import files
from harness.site import Site, new_site
from harness.target import UserWorkload
from harness.traffic.load import CLASSES, SERVICE_CLASS
from harness.traffic.workload import APP_IMAGE, LOADGEN_IMAGE, trial_pods
from harness.upgrade import sidecarset
from harness.upgrade.plan import laps, plan
from harness.verdict.gates import Requirements
from harness.workload import OwnApplication, Workload

MIN_REQUESTS_PER_UPGRADE = 4000  # five upgrades make the 20,000 that bound the failure rate at 1.5 in 10,000


@dataclass(frozen=True)
class RunOptions:
    """What a run is asked for. `upgrades_per_pod` None leaves it to the cluster; `target` needs a `load_spec`."""

    subject: Subject
    upgrades: int
    pods: int
    version_header: str | None
    reports: Path
    command: Sequence[str]
    upgrades_per_pod: int | None = None
    target: UserWorkload | None = None
    service: bool = False
    load_spec: LoadSpec | None = None
    seed: int = field(default_factory=lambda: secrets.randbits(32))


@dataclass(frozen=True)
class Result:
    """A finished run: its report, where it lies, and what ended the run early, if anything did."""

    report: Report
    folder: Path
    error: BaseException | None


def images_needed(options: RunOptions) -> list[str]:
    """Every image that a run starts."""
    subject = options.subject
    empty = [subject.empty_image] if subject.empty_image else []
    app = [APP_IMAGE] if options.target is None else []
    return list(dict.fromkeys([subject.image, *subject.images, *empty, *app, LOADGEN_IMAGE]))


def execute(
    options: RunOptions, cluster: Cluster, progress: Progress, before_teardown: Callable[[], None]
) -> Result:
    """Runs it all and writes the report, whatever happens on the way.

    InputError is raised, since nothing was found out; everything else that ends the run early is in the result.
    `before_teardown` is called when taking down begins, which must not be interrupted any more.
    """
    account = _account(options, cluster)
    site = new_site(account.started)
    folder = _reserve(options, account.started)
    try:
        cluster.preflight(images_needed(options))
        if options.service and "services" not in cluster.features:
            raise InputError(
                f"--service: the {cluster.kind} cluster has no Services; leave it out, or use kind"
            )
        begin = time.monotonic()
        cluster.up(site)
        account.cluster = cluster.info()
        progress.note(f"{cluster.kind} cluster is up after {time.monotonic() - begin:.1f} s")
        _on_cluster(options, cluster, site, progress, account)
    except InputError as error:
        before_teardown()
        _down(cluster, site, account, progress)
        folder.rmdir()
        raise InputError(account.redaction().text(str(error))) from error
    except (ApiException, HTTPError) as error:
        account.error = ClusterError(f"the cluster's API failed: {reason_of(error)}")
    except BaseException as error:
        account.error = error
    before_teardown()
    failed = _down(cluster, site, account, progress)  # what ended the run is told first
    account.error = account.error or failed
    report = account.report()
    files.write(report, folder)
    return Result(report, folder, account.error)


def _account(options: RunOptions, cluster: Cluster) -> Account:
    subject = options.subject
    classes: Sequence[str] = options.load_spec.classes if options.load_spec else CLASSES
    requirements = Requirements(
        min_requests=MIN_REQUESTS_PER_UPGRADE * options.upgrades,
        upgrades=options.upgrades,
        pods=options.pods,
        classes=[*classes, SERVICE_CLASS] if options.service else classes,
        version_header=options.version_header,
        alternates=(subject.image, *subject.images),
        mode=subject.mode,
        app_ledger=options.target is None,
    )
    spec = options.load_spec.document() if options.load_spec else ""
    return Account(
        subject, cluster.kind, options.command, options.seed, requirements, time.time(), load_spec=spec
    )


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


def _on_cluster(
    options: RunOptions, cluster: Cluster, site: Site, progress: Progress, account: Account
) -> None:
    """Everything between cluster up and taking down."""
    api = cluster.client()
    site.create(api)
    rules.admit(api, site, trial_pods(site, application=options.target is None))
    workload: Workload = options.target or OwnApplication(site, options.pods)
    if options.target:
        found = target.find(api, options.target, options.subject)
        account.subject = found.subject
        account.requirements = replace(account.requirements, pods=found.pods)
    account.images = resolve(api, site, images_needed(options), images_loaded=cluster.images_loaded)
    rules.talk(api, site)
    if not options.target:
        sidecarset.create(api, account.subject, site, images_loaded=cluster.images_loaded)
    sidecarset.wait_observed(api, account.subject)
    per_pod = options.upgrades_per_pod or (None if options.target else cluster.upgrades_per_pod)
    for number, steps in enumerate(laps(plan(account.subject, options.upgrades, cluster.alias), per_pod), 1):
        Lap(number, steps, cluster, site, workload, account, progress).run()


def _down(cluster: Cluster, site: Site, account: Account, progress: Progress) -> ClusterError | None:
    """Removes what the run made and ends what it started; says what could not be removed."""
    failed: ClusterError | None = None
    up = account.cluster is not None
    try:
        if cluster.outlives_run and up:
            api = cluster.client()
            if account.upgrades:
                sidecarset.set_back(api, account.subject, site)
            remove(api, marked(api, site.run))
    except HotupgradeError as error:
        failed = ClusterError(str(error))
        progress.note(account.redaction().text(str(error)))
    finally:
        with suppress(ApiException, HTTPError):
            cluster.down()
    return failed
