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
from dataclasses import dataclass, field
from pathlib import Path

from kubernetes.client.exceptions import ApiException
from urllib3.exceptions import HTTPError

from harness.account import Account
from harness.calls import reason_of
from harness.cluster.protocol import Cluster
from harness.errors import ClusterError, HotupgradeError, InputError
from harness.lap import Lap
from harness.manifest import Subject
from harness.progress import Progress
from harness.pulls import resolve
from harness.record.report import Report
from harness.report import files
from harness.site import Site, new_site
from harness.traffic.load import CLASSES
from harness.traffic.workload import APP_IMAGE, LOADGEN_IMAGE
from harness.upgrade import sidecarset
from harness.upgrade.plan import laps, plan
from harness.verdict.gates import Requirements

MIN_REQUESTS_PER_UPGRADE = 4000  # five upgrades make the 20,000 that bound the failure rate at 1.5 in 10,000


@dataclass(frozen=True)
class RunOptions:
    """What a run is asked for. `upgrades_per_pod` None leaves it to the cluster."""

    subject: Subject
    upgrades: int
    pods: int
    version_header: str | None
    reports: Path
    command: Sequence[str]
    upgrades_per_pod: int | None = None
    seed: int = field(default_factory=lambda: secrets.randbits(32))


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
    account = _account(options, cluster)
    site = new_site(account.started)
    folder = _reserve(options, account.started)
    try:
        cluster.preflight(images_needed(options.subject))
        begin = time.monotonic()
        cluster.up()
        account.cluster = cluster.info()
        progress.note(f"{cluster.kind} cluster is up after {time.monotonic() - begin:.1f} s")
        _on_cluster(options, cluster, site, progress, account)
    except InputError:
        before_teardown()
        _down(cluster, site, account, progress)
        folder.rmdir()
        raise
    except (ApiException, HTTPError) as error:
        account.error = ClusterError(f"the cluster's API failed: {reason_of(error)}")
    except BaseException as error:
        account.error = error
    before_teardown()
    account.error = _down(cluster, site, account, progress) or account.error
    report = account.report()
    files.write(report, folder)
    return Result(report, folder, account.error)


def _account(options: RunOptions, cluster: Cluster) -> Account:
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
    return Account(subject, cluster.kind, options.command, options.seed, requirements, time.time())


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
    subject, api = options.subject, cluster.client()
    site.create(api)
    account.images = resolve(api, site, images_needed(subject), images_loaded=cluster.images_loaded)
    sidecarset.create(api, subject, site, images_loaded=cluster.images_loaded)
    sidecarset.wait_observed(api, subject)
    per_pod = options.upgrades_per_pod or cluster.upgrades_per_pod
    for number, steps in enumerate(laps(plan(subject, options.upgrades), per_pod), 1):
        Lap(number, steps, cluster, site, account, progress).run()


def _down(cluster: Cluster, site: Site, account: Account, progress: Progress) -> ClusterError | None:
    """Removes what the run made and ends what it started; says what could not be removed."""
    failed: ClusterError | None = None
    up = account.cluster is not None
    try:
        if cluster.outlives_run and up:
            api = cluster.client()
            sidecarset.delete(api, account.subject, site)
            site.remove(api)
    except HotupgradeError as error:
        failed = ClusterError(str(error))
        progress.note(str(error))
    finally:
        with suppress(ApiException, HTTPError):
            cluster.down()
    return failed
