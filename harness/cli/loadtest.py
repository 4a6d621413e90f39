"""`hotupgrade load-test`."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import click

from harness.cli import options
from harness.cli.clusters import ClusterOptions, cluster_of, cluster_options
from harness.errors import HotupgradeError


@click.command(
    "load-test",
    epilog="""\b
Examples:
  hotupgrade load-test -f e2e/manifests/reference-sidecarset.yaml
  hotupgrade load-test -f sidecarset.yaml --to team/proxy:v1 --to team/proxy:v2 --duration 30 --cluster current

Exit codes: 0 passed, 1 failed, 2 usage or input error, 3 inconclusive, 4 cluster, 130 interrupted.""",
)
@options.manifest
@options.to
@click.option(
    "--duration",
    "minutes",
    default=5.0,
    show_default=True,
    metavar="MINUTES",
    type=click.FloatRange(0.2, 600),
    help="Of the soak. The ramp before it takes one or two.",
)
@click.option(
    "--ramp-to",
    default=6.0,
    show_default=True,
    metavar="FACTOR",
    type=click.FloatRange(1, 100),
    help="Where the ramp ends at the latest, times the load of a usual run, which is about 1,100 requests a second.",
)
@click.option("--workers", default=2, show_default=True, type=click.IntRange(1, 64), help="Locust workers.")
@click.option("--pods", default=1, show_default=True, type=click.IntRange(1), help="Application pods.")
@options.container
@options.port
@options.version_header
@options.reports
@cluster_options
def command(
    manifest: Path,
    cluster_options: ClusterOptions,
    to: Sequence[str],
    minutes: float,
    ramp_to: float,
    workers: int,
    pods: int,
    container: str | None,
    port: int | None,
    version_header: str,
    reports: Path,
) -> int:
    """Find the rate at which a sidecar still keeps up, then upgrade it again and again at 70 % of that rate.

    For comparing versions: the report has throughput and latency by phase for each pair of them.
    """
    from harness.manifest import read_subject

    subject = read_subject(manifest, to=to, port=port, upgrade="hot", container_name=container)

    # A second of libraries, that nobody waits for whose input is wrong.
    from rich.console import Console

    from harness.cli.display import display
    from harness.cli.interrupt import disarm
    from harness.cli.run import EXIT
    from harness.cli.summary import print_summary
    from harness.loadtest import files, trial, words
    from harness.loadtest.plan import Plan
    from harness.run import RunOptions

    run_options = RunOptions(
        subject=subject,
        turns=(),
        version_header=version_header or None,
        reports=reports,
        command=["hotupgrade", *sys.argv[1:]],
    )
    cluster = cluster_of(cluster_options)
    console = Console(highlight=False)
    plan = Plan(pods=pods, workers=workers, minutes=minutes, ramp_to=ramp_to)
    with display(console) as progress:
        test, result = trial.play(plan, run_options, cluster, progress, before_teardown=disarm)
    print_summary(console, result.report, result.folder)
    if test.knee:
        console.print(words.knee(test.ramp, test.knee), words.soak(test), sep="\n", soft_wrap=True)
    console.print(f"load test: {result.folder / files.PAGE}", soft_wrap=True)
    if isinstance(result.error, HotupgradeError) and test.outcome != "failed":
        return result.error.exit_code
    return EXIT[test.outcome]
