"""`hotupgrade run`."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import click

from harness.cli.clusters import ClusterOptions, cluster_of, cluster_options
from harness.errors import HotupgradeError, InputError

EXIT = {"passed": 0, "failed": 1, "inconclusive": 3, "skipped": 3, "interrupted": 130}


@click.command(
    "run",
    epilog="""\b
Examples:
  hotupgrade run -f e2e/manifests/hotupgrade-sidecarset.yaml
  hotupgrade run -f sidecarset.yaml --images my/images --to team/proxy:v1 --to team/proxy:v2 --upgrades 10
  hotupgrade run -f e2e/manifests/hotupgrade-sidecarset.yaml --upgrade cold --upgrades 1

Exit codes: 0 passed, 1 failed, 2 usage or input error, 3 inconclusive, 4 cluster, 130 interrupted.""",
)
@click.option(
    "-f",
    "--file",
    "manifest",
    required=True,
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="The SidecarSet, as you give it to Kruise.",
)
@click.option(
    "--upgrades", default=5, show_default=True, type=click.IntRange(1), help="Upgrades, one after the other."
)
@click.option(
    "--upgrades-per-pod",
    type=click.IntRange(1),
    help="Fresh pods after so many upgrades. Default: as many as the cluster's kubelet bears without a delay.",
)
@click.option("--pods", default=2, show_default=True, type=click.IntRange(1), help="Application pods.")
@click.option(
    "--upgrade",
    "mode",
    default="hot",
    show_default=True,
    type=click.Choice(["hot", "cold"]),
    help="cold sets upgradeType ColdUpgrade: the control that has to lose requests.",
)
@click.option(
    "--to",
    multiple=True,
    metavar="IMAGE",
    help="Image to upgrade to; repeat it to alternate. Default: v1 and v2 of the manifest's image.",
)
@click.option(
    "--service", is_flag=True, help="Send to a Service in front of the pods as well: class service."
)
@click.option("--container", metavar="NAME", help="Container to upgrade, where several are HotUpgrade.")
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
@click.option(
    "--port",
    type=click.IntRange(1, 65535),
    help="Port where the sidecar serves. Default: the hot container's first containerPort, else 9091.",
)
@click.option(
    "--version-header",
    default="x-sidecar-version",
    show_default=True,
    metavar="HEADER",
    help="Response header that names the sidecar's version; give '' if there is none.",
)
@click.option(
    "--reports",
    default=Path("reports"),
    show_default=True,
    metavar="DIR",
    type=click.Path(path_type=Path),
    help="Folder for reports; DIR/latest points at the newest.",
)
@cluster_options
def command(
    manifest: Path,
    cluster_options: ClusterOptions,
    upgrades: int,
    upgrades_per_pod: int | None,
    pods: int,
    mode: str,
    to: Sequence[str],
    service: bool,
    container: str | None,
    target: str | None,
    target_namespace: str,
    load_spec: Path | None,
    port: int | None,
    version_header: str,
    reports: Path,
) -> int:
    """Upgrade a sidecar under load and report whether a request was lost."""
    from rich.console import Console

    from harness.cli.display import display
    from harness.cli.interrupt import disarm
    from harness.cli.summary import print_summary
    from harness.loadspec import read_load_spec
    from harness.manifest import read_subject
    from harness.run import RunOptions, execute
    from harness.target import parse

    if target and mode == "cold":
        raise InputError(
            "--target and --upgrade cold: the upgradeType of your SidecarSet is yours; leave one out"
        )
    if target and upgrades_per_pod:
        raise InputError(
            "--target and --upgrades-per-pod: the pods are yours and stay the same; leave one out"
        )
    if bool(target) != bool(load_spec):
        raise InputError(
            "--target and --load-spec go together: say what to send to your workload, or give neither"
        )
    run_options = RunOptions(
        subject=read_subject(
            manifest,
            to=to,
            port=port,
            upgrade="cold" if mode == "cold" else "hot",
            container_name=container,
        ),
        upgrades=upgrades,
        upgrades_per_pod=upgrades_per_pod,
        pods=pods,
        version_header=version_header or None,
        reports=reports,
        command=["hotupgrade", *sys.argv[1:]],
        service=service,
        target=parse(target, target_namespace) if target else None,
        load_spec=read_load_spec(load_spec) if load_spec else None,
    )
    cluster = cluster_of(cluster_options)
    console = Console(highlight=False)
    with display(console) as progress:
        result = execute(run_options, cluster, progress, before_teardown=disarm)
    print_summary(console, result.report, result.folder)
    if isinstance(result.error, HotupgradeError) and result.report.outcome != "failed":
        return result.error.exit_code
    return EXIT[result.report.outcome]
