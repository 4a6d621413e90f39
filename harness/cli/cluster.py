"""`hotupgrade cluster`: keeps an embedded cluster alive for hand work."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

import click

from harness.cli import options


@click.group("cluster", context_settings={"help_option_names": ["-h", "--help"]})
def command() -> None:
    """Keep an embedded cluster alive for hand work.

    \b
    Example:
      hotupgrade cluster up && hotupgrade cluster kubeconfig > kubeconfig
      kubectl --kubeconfig kubeconfig get pods --all-namespaces
      hotupgrade cluster down
    """


@command.command(epilog="\b\nExample:\n  hotupgrade cluster up --images my/images --kubelet-backoff")
@options.name
@options.images
@options.kubelet_backoff
@options.api_port
def up(name: str, images: Sequence[Path], kubelet_backoff: bool, api_port: int) -> None:
    """Start a cluster that stays until `cluster down`."""
    from harness.cluster.embedded import EmbeddedCluster

    begin = time.monotonic()
    cluster = EmbeddedCluster(images=images, api_port=api_port, kubelet_backoff=kubelet_backoff, keep_as=name)
    cluster.preflight([])
    try:
        cluster.up()
        cluster.keep()
    except BaseException:
        cluster.down()
        raise
    click.echo(
        f"cluster {name} is up after {time.monotonic() - begin:.1f} s; its kubeconfig: hotupgrade cluster kubeconfig"
    )


@command.command(epilog="\b\nExample:\n  hotupgrade cluster down --name lab")
@options.name
def down(name: str) -> None:
    """End a cluster and everything in it."""
    from harness.embedded import cluster

    if cluster.end(name):
        click.echo(f"cluster {name} is gone")
    else:
        click.echo(f"there is no cluster {name}")


@command.command(epilog="\b\nExample:\n  hotupgrade cluster status")
@options.name
def status(name: str) -> None:
    """Say whether a cluster is up, and what runs in it. Exits with 1 when there is none."""
    from harness.embedded import cluster

    found = cluster.find(name)
    if found is None:
        click.echo(f"there is no cluster {name}; start one: hotupgrade cluster up")
        raise click.exceptions.Exit(1)
    from rich.console import Console
    from rich.table import Table

    click.echo(
        f"cluster {name}: up for {time.time() - found.started:.0f} s, process {found.pid}, API {found.server}"
    )
    table = Table(box=None)
    for heading in ("namespace", "pod", "phase", "ready", "address"):
        table.add_column(heading)
    for pod in cluster.pods(found):
        table.add_row(*pod)
    Console().print(table)


@command.command(
    epilog="\b\nExample:\n  hotupgrade cluster kubeconfig > kubeconfig && export KUBECONFIG=$PWD/kubeconfig"
)
@options.name
def kubeconfig(name: str) -> None:
    """Print a cluster's kubeconfig."""
    import yaml

    from harness.embedded import cluster
    from harness.errors import InputError

    found = cluster.find(name)
    if found is None:
        raise InputError(f"there is no cluster {name}; start one: hotupgrade cluster up --name {name}")
    click.echo(yaml.safe_dump(found.kubeconfig, sort_keys=False), nl=False)
