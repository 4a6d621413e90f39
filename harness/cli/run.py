"""`hotupgrade run`."""

from __future__ import annotations

import secrets
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from harness.cli import options
from harness.cli.clusters import ClusterOptions, cluster_of, cluster_options
from harness.errors import HotupgradeError, InputError

if TYPE_CHECKING:
    from harness.scenarios.catalogue import Choice
    from harness.scenarios.scenario import Scenario

STEADY_S = 2.0  # before the first upgrade and after the last
EXIT = {"passed": 0, "failed": 1, "inconclusive": 3, "skipped": 3, "interrupted": 130}


@click.command(
    "run",
    epilog="""\b
Examples:
  hotupgrade run -f e2e/manifests/hotupgrade-sidecarset.yaml
  hotupgrade run -f sidecarset.yaml --images my/images --to team/proxy:v1 --to team/proxy:v2 --upgrades 10
  hotupgrade run -f e2e/manifests/hotupgrade-sidecarset.yaml --upgrade cold --upgrades 1
  hotupgrade run -f e2e/manifests/hotupgrade-sidecarset.yaml --profile core
  hotupgrade run -f e2e/manifests/hotupgrade-sidecarset.yaml --scenario pause --scenario roll-back --repeat 3

Exit codes: 0 passed, 1 failed, 2 usage or input error, 3 inconclusive, 4 cluster, 130 interrupted.""",
)
@options.manifest
@click.option(
    "--scenario",
    "names",
    multiple=True,
    metavar="NAME",
    help="Play this one of the catalogue (hotupgrade scenarios list); repeatable.",
)
@click.option(
    "--profile",
    type=click.Choice(["core", "extended", "resilience", "all"]),
    help="Play all scenarios of a profile.",
)
@click.option(
    "--repeat", default=1, show_default=True, type=click.IntRange(1), help="Play all of them so often."
)
@click.option("--shuffle", is_flag=True, help="Play them in an order by lot; --seed fixes the lot.")
@click.option("--seed", type=click.IntRange(0), help="Seed of the order. Default: by lot; the report has it.")
@click.option(
    "--upgrades",
    type=click.IntRange(1),
    help="Without --scenario and --profile: upgrades, one after the other. Default: 5.",
)
@click.option(
    "--upgrades-per-pod",
    type=click.IntRange(1),
    help="Fresh pods after so many upgrades. Default: as many as the cluster's kubelet bears without a delay.",
)
@click.option(
    "--pods",
    type=click.IntRange(1),
    help="Without --scenario and --profile: application pods. Default: 2.",
)
@click.option(
    "--upgrade",
    "mode",
    default="hot",
    show_default=True,
    type=click.Choice(["hot", "cold"]),
    help="cold sets upgradeType ColdUpgrade: the control that has to lose requests.",
)
@options.to
@click.option(
    "--service", is_flag=True, help="Send to a Service in front of the pods as well: class service."
)
@click.option(
    "--shape",
    metavar="SHAPE",
    help="Without --scenario and --profile: how the rate goes over time, such as constant:0.5, ramp:0.2..2/30, "
    "steps:0.5,1,2/10 or spike:4@10+5. Default: constant.",
)
@click.option("--workers", default=1, show_default=True, type=click.IntRange(1, 64), help="Locust workers.")
@click.option(
    "--ui",
    is_flag=False,
    flag_value=0,
    type=click.IntRange(0, 65535),
    metavar="[PORT]",
    help="Show Locust's own pages on 127.0.0.1 while the run lasts; any free port unless one is given.",
)
@options.container
@click.option(
    "--target",
    metavar="KIND/NAME",
    help="A workload of your own that has its sidecars already: deployment/NAME, statefulset/NAME or pod/NAME.",
)
@click.option(
    "--target-namespace", default="default", show_default=True, metavar="NAME", help="Where --target is."
)
@click.option(
    "--load-spec",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="Requests for --target and what has to come back; YAML.",
)
@options.port
@options.version_header
@options.reports
@cluster_options
def command(
    manifest: Path,
    cluster_options: ClusterOptions,
    names: Sequence[str],
    profile: Choice | None,
    repeat: int,
    shuffle: bool,
    seed: int | None,
    upgrades: int | None,
    upgrades_per_pod: int | None,
    pods: int | None,
    mode: str,
    to: Sequence[str],
    service: bool,
    shape: str | None,
    workers: int,
    ui: int | None,
    container: str | None,
    target: str | None,
    target_namespace: str,
    load_spec: Path | None,
    port: int | None,
    version_header: str,
    reports: Path,
) -> int:
    """Upgrade a sidecar under load and report whether a request was lost."""
    given = {
        "--upgrades": upgrades,
        "--pods": pods,
        "--upgrade cold": mode == "cold",
        "--service": service,
        "--shape": shape,
        "--target": target,
    }
    _refuse_contradictions(given, upgrades_per_pod, load_spec, chosen=bool(names or profile))

    from harness.loadspec import read_load_spec
    from harness.manifest import read_subject
    from harness.scenarios.catalogue import programme
    from harness.scenarios.controls import MUTANTS

    seed = secrets.randbits(32) if seed is None else seed
    subject = read_subject(
        manifest,
        to=to,
        port=port,
        upgrade="cold" if mode == "cold" else "hot",
        container_name=container,
    )
    turns = programme(
        _chosen(names, profile)
        or [_own(mode, upgrades or 5, pods or 2, shape or "constant", service=service)],
        repeat,
        seed if shuffle else None,
    )

    # A second of libraries, that nobody waits for whose input is wrong.
    from rich.console import Console

    from harness.cli.display import display
    from harness.cli.interrupt import disarm
    from harness.cli.summary import print_summary
    from harness.run import RunOptions, execute
    from harness.target import parse

    run_options = RunOptions(
        subject=subject,
        turns=turns,
        upgrades_per_pod=upgrades_per_pod,
        version_header=version_header or None,
        reports=reports,
        command=["hotupgrade", *sys.argv[1:]],
        target=parse(target, target_namespace) if target else None,
        load_spec=read_load_spec(load_spec) if load_spec else None,
        seed=seed,
        workers=workers,
        ui=ui,
    )
    faulty = any(turn.scenario.images for turn in turns)
    cluster = cluster_of(cluster_options, more_images=[MUTANTS] if faulty else [])
    console = Console(highlight=False)
    with display(console) as progress:
        result = execute(run_options, cluster, progress, before_teardown=disarm)
    print_summary(console, result.report, result.folder)
    if isinstance(result.error, HotupgradeError) and result.report.outcome != "failed":
        return result.error.exit_code
    return EXIT[result.report.outcome]


def _refuse_contradictions(
    given: Mapping[str, object], upgrades_per_pod: int | None, load_spec: Path | None, *, chosen: bool
) -> None:
    """InputError for options that say two things at once."""
    if chosen:
        for option in (name for name, value in given.items() if value):
            raise InputError(f"{option}: scenarios of the catalogue say that themselves; leave it out")
    if given["--target"] and given["--upgrade cold"]:
        raise InputError(
            "--target and --upgrade cold: the upgradeType of your SidecarSet is yours; leave one out"
        )
    if given["--target"] and upgrades_per_pod:
        raise InputError(
            "--target and --upgrades-per-pod: the pods are yours and stay the same; leave one out"
        )
    if bool(given["--target"]) != bool(load_spec):
        raise InputError(
            "--target and --load-spec go together: say what to send to your workload, or give neither"
        )


def _chosen(names: Sequence[str], profile: Choice | None) -> list[Scenario]:
    """The catalogue's scenarios that were asked for, each once."""
    from harness.scenarios.catalogue import named, of_profile

    found = [named(name) for name in names] + (of_profile(profile) if profile else [])
    return list({scenario.name: scenario for scenario in found}.values())


def _own(mode: str, upgrades: int, pods: int, shape: str, *, service: bool) -> Scenario:
    """The scenario that the options alone describe: upgrades, one after the other."""
    from harness.record.classes import THROUGH_SERVICE, USUAL
    from harness.scenarios.scenario import Scenario
    from harness.scenarios.steps import Steady, Upgrade
    from harness.traffic.workload import check_shape

    check_shape(shape)
    return Scenario(
        name=f"{mode}-upgrade",
        profile="core",
        description=f"{mode.capitalize()} upgrades, one after the other.",
        # Before: what flips are compared with. After: what shows late. And five upgrades make the 20,000 requests that
        # bound the failure rate at 1.5 in 10,000, also where a machine is done with them in no time.
        steps=(Steady(STEADY_S), Upgrade(count=upgrades), Steady(STEADY_S)),
        classes=(*USUAL, THROUGH_SERVICE) if service else USUAL,
        pods=pods,
        shape=shape,
    )
