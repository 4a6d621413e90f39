"""One run: a cluster, a SidecarSet, scenarios one after the other, a verdict, a report. Knows nothing of which cluster.

    cluster up -> namespace -> for each scenario: SidecarSet -> laps: application pods with their pairs, traffic,
    steps, ledgers -> everything gone -> verdict -> report

Whatever happens on the way, what was started is taken down and a report of what was seen is written.
"""

from __future__ import annotations

import os
import secrets
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

from kubernetes.client import ApiClient
from kubernetes.client.exceptions import ApiException
from urllib3.exceptions import HTTPError

from harness import rules, target
from harness.account import Account
from harness.act import Act
from harness.calls import reason_of
from harness.cluster.protocol import Cluster
from harness.errors import ClusterError, HotupgradeError, InputError
from harness.lap import Lap
from harness.loadspec import LoadSpec
from harness.manifest import Subject, canonical_image
from harness.progress import Progress
from harness.pulls import resolve
from harness.record.classes import KEPT, THROUGH_SERVICE
from harness.record.report import Report
from harness.removal import marked, remove
from harness.report import files
from harness.scenarios.catalogue import Turn
from harness.scenarios.scenario import Scenario
from harness.scenarios.steps import Step, Upgrade
from harness.site import Site, new_site
from harness.target import UserWorkload
from harness.traffic.demand import Demand
from harness.traffic.dialect import Dialect
from harness.traffic.ui import Ui
from harness.traffic.workload import APP_IMAGE, LOADGEN_IMAGE, trial_pods
from harness.upgrade import sidecarset
from harness.upgrade.evidence import Evidence, told
from harness.verdict.requirements import Requirements
from harness.workload import OwnApplication, Workload

ROOM = 64 * 2**20  # bytes; the largest reports have some tens of millions
REFERENCE = "sidecar"  # the repository of the kit's own sidecar, for which it has releases with faults


@dataclass(frozen=True)
class RunOptions:
    """What a run is asked for. `upgrades_per_pod` None leaves it to the cluster; `target` needs a `load_spec`."""

    subject: Subject
    turns: Sequence[Turn]
    version_header: str | None
    reports: Path
    command: Sequence[str]
    upgrades_per_pod: int | None = None
    target: UserWorkload | None = None
    load_spec: LoadSpec | None = None
    workers: int = 1
    ui: int | None = None
    """Port of Locust's own pages, 0 for any; None: they are not shown."""
    seed: int = field(default_factory=lambda: secrets.randbits(32))
    then: Callable[[Act], Turn | None] | None = None
    """Another scenario at the end, made of what was seen of the last one, which it may add checks to."""

    @property
    def single(self) -> bool:
        """There is one scenario, and what ends it ends the run."""
        return len(self.turns) == 1 and self.then is None


@dataclass(frozen=True)
class Result:
    """A finished run: its report, where it lies, what ended it early, if anything did, and what it was made of."""

    report: Report
    folder: Path
    error: BaseException | None
    acts: Sequence[Act]


def images_needed(options: RunOptions, cluster: Cluster) -> list[str]:
    """Every image that a run starts."""
    subject = options.subject
    empty = [subject.empty_image] if subject.empty_image else []
    app = [APP_IMAGE] if options.target is None else []
    played = [turn.scenario for turn in options.turns if not lacks(turn.scenario, subject, cluster)]
    named = [image for scenario in played for image in scenario.images]
    return list(dict.fromkeys([subject.image, *subject.images, *empty, *app, LOADGEN_IMAGE, *named]))


def lacks(scenario: Scenario, subject: Subject, cluster: Cluster) -> str:
    """Why a scenario cannot be played with this subject on this cluster; empty if it can."""
    repository = canonical_image(subject.image).rpartition(":")[0].rpartition("/")[2]
    if "reference" in scenario.needs and repository != REFERENCE:
        return (
            f"it needs releases with faults, which the kit has for its own sidecar only, not for {repository}"
        )
    for need in ("restart-controller", "restart-agent"):
        if need in scenario.needs and need not in cluster.features:
            return f"the {cluster.kind} cluster's {need.partition('-')[2]} is not the run's to restart"
    return ""


def execute(
    options: RunOptions, cluster: Cluster, progress: Progress, before_teardown: Callable[[], None]
) -> Result:
    """Runs it all and writes the report, whatever happens on the way.

    InputError is raised, since nothing was found out; everything else that ends the run early is in the result.
    `before_teardown` is called when taking down begins, which must not be interrupted any more.
    """
    spec = options.load_spec.document() if options.load_spec else ""
    account = Account(
        options.subject, cluster.kind, options.command, options.seed, time.time(), load_spec=spec
    )
    site = new_site(account.started)
    folder = _reserve(options, account.started)
    try:
        cluster.preflight(images_needed(options, cluster))
        asked = {name for turn in options.turns for name in turn.scenario.classes}
        if THROUGH_SERVICE in asked and "services" not in cluster.features:
            raise InputError(
                f"--service: the {cluster.kind} cluster has no Services; leave it out, or use kind"
            )
        begin = time.monotonic()
        cluster.up(site)
        account.cluster = cluster.info()
        progress.note(f"{cluster.kind} cluster is up after {time.monotonic() - begin:.1f} s")
        with Ui(options.ui) if options.ui is not None else nullcontext() as ui:
            _Run(options, cluster, site, account, progress, ui).play()
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
    return Result(report, folder, account.error, account.acts)


def _reserve(options: RunOptions, started: float) -> Path:
    """The run's folder, made before anything starts: a report that cannot be written is an error of the input."""
    stamp = time.strftime("%Y%m%d-%H%M%S", time.gmtime(started))
    folder = options.reports / f"{stamp}-{options.subject.mode}-{os.getpid()}"
    try:
        folder.mkdir(parents=True)
        free = shutil.disk_usage(folder).free
    except OSError as error:
        raise InputError(
            f"--reports {options.reports}: {error.strerror}; name a folder that you can write to"
        ) from error
    if free < ROOM:
        folder.rmdir()
        raise InputError(
            f"--reports {options.reports}: {free / 2**20:.0f} MiB are left there, a report may need "
            f"{ROOM / 2**20:.0f}; make room, or name another folder"
        )
    return folder


class _Run:
    """Everything between cluster up and taking down."""

    def __init__(
        self,
        options: RunOptions,
        cluster: Cluster,
        site: Site,
        account: Account,
        progress: Progress,
        ui: Ui | None,
    ) -> None:
        self._ui = ui
        self._options, self._cluster, self._site = options, cluster, site
        self._account, self._progress = account, progress
        self._api: ApiClient = cluster.client()
        self._workload: Workload = options.target or OwnApplication(site)
        self._dialect = Dialect(self._last_words)
        self._laps = 0

    def play(self) -> None:
        """All scenarios. One that halts is put down as that, and the next one is played."""
        self._prepare()
        single, count = self._options.single, len(self._options.turns)
        for number, turn in enumerate(self._turns(), 1):
            act = self._act(turn)
            self._account.acts.append(act)
            act.skipped = lacks(turn.scenario, self._account.subject, self._cluster)
            if not single:
                why = f" is skipped: {act.skipped}" if act.skipped else ""
                self._progress.note(f"scenario {number} of {max(number, count)}: {turn.scenario.name}{why}")
            if not act.skipped:
                self._play(act)
            if act.error is not None and single:
                raise act.error

    def _turns(self) -> Iterator[Turn]:
        yield from self._options.turns
        then, acts = self._options.then, self._account.acts
        if then and (turn := then(acts[-1])):
            yield turn

    def _last_words(self, pod: str) -> str:
        """What the sidecars of a pod wrote last, on lines of their own."""
        containers = self._account.subject.containers
        said = Evidence(self._api, self._workload.namespace).all(pod, containers, time.time())
        return "".join(f"\n{line}" for line in told(said, pod, containers))

    def _prepare(self) -> None:
        options, account, cluster, api = self._options, self._account, self._cluster, self._api
        self._site.create(api)
        rules.admit(api, self._site, trial_pods(self._site, application=options.target is None))
        if options.target:
            account.subject = target.find(api, options.target, options.subject).subject
        account.images = resolve(
            api, self._site, images_needed(options, cluster), images_loaded=cluster.images_loaded
        )
        rules.talk(api, self._site)

    def _act(self, turn: Turn) -> Act:
        subject, scenario, options = self._account.subject, turn.scenario, self._options
        classes = options.load_spec.classes if options.load_spec else scenario.classes
        pods = scenario.pods
        if options.target:
            pods = target.find(self._api, options.target, options.subject).pods
        requirements = Requirements(
            min_requests=scenario.requests_per_upgrade * max(1, scenario.upgrades),
            upgrades=scenario.upgrades,
            pods=pods,
            classes=classes,
            version_header=options.version_header,
            alternates=(subject.image, *subject.images),
            mode=subject.mode,
            app_ledger=options.target is None,
            profile=scenario.profile,
            description=scenario.description,
            expects=scenario.expects,
            keeps_connections=KEPT if scenario.profile == "extended" else (),
            to_the_limit=scenario.to_the_limit,
        )
        return Act(turn, requirements, image=subject.image)

    def _play(self, act: Act) -> None:
        """One scenario, with a SidecarSet of its own unless it is the user's."""
        subject, own = self._account.subject, self._options.target is None
        try:
            if own:
                sidecarset.create(self._api, subject, self._site, images_loaded=self._cluster.images_loaded)
            sidecarset.wait_observed(self._api, subject)
            for steps in self._laps_of(act.turn.scenario):
                self._lap(act, steps)
            if own and not self._options.single:
                sidecarset.delete(self._api, subject)
        except (InputError, ApiException, HTTPError):
            raise
        except BaseException as error:
            act.error = error
            if not isinstance(error, HotupgradeError) or self._options.single:
                raise
            self._progress.note(str(error).splitlines()[0])
            if own:
                sidecarset.delete(self._api, subject)

    def _lap(self, act: Act, steps: Sequence[Step]) -> None:
        self._laps += 1
        scenario, options = act.turn.scenario, self._options
        demand = Demand(
            classes=act.requirements.classes,
            version_header=options.version_header,
            shape=scenario.shape,
            clients=scenario.clients,
            workers=options.workers,
            load_spec=self._account.load_spec,
        )
        lap = Lap(
            self._laps,
            steps,
            act,
            self._account.subject,
            self._cluster,
            self._site,
            self._workload,
            demand,
            self._dialect,
            self._progress,
            self._ui,
        )
        try:
            lap.run()
        except HotupgradeError:
            lap.clear()
            raise

    def _laps_of(self, scenario: Scenario) -> list[Sequence[Step]]:
        """The steps in laps of as many upgrades as a pod bears, each for pods of its own; all in one otherwise."""
        options = self._options
        per_pod = options.upgrades_per_pod or (None if options.target else self._cluster.upgrades_per_pod)
        if per_pod is None or not scenario.plain or scenario.upgrades <= per_pod:
            return [scenario.steps]
        upgrades = [step for step in scenario.steps if isinstance(step, Upgrade)]
        single = [replace(step, count=1) for step in upgrades for _ in range(step.count)]
        return [single[start : start + per_pod] for start in range(0, len(single), per_pod)]


def _down(cluster: Cluster, site: Site, account: Account, progress: Progress) -> ClusterError | None:
    """Removes what the run made and ends what it started; says what could not be removed."""
    failed: ClusterError | None = None
    up = account.cluster is not None
    try:
        if cluster.outlives_run and up:
            api = cluster.client()
            if any(act.upgrades for act in account.acts):
                sidecarset.set_back(api, account.subject, site)
            remove(api, marked(api, site.run))
    except HotupgradeError as error:
        failed = ClusterError(str(error))
        progress.note(account.redaction().text(str(error)))
    finally:
        with suppress(ApiException, HTTPError):
            cluster.down()
    return failed
