"""`hotupgrade clean`: removes what killed runs left."""

from __future__ import annotations

from pathlib import Path

import click

from harness.cli import options
from harness.errors import InputError


@click.command("clean", epilog="\b\nExample:\n  hotupgrade clean --context staging")
@options.kubeconfig
@options.context
@click.option("--run", "run_id", metavar="ID", help="Remove that run's, also if it was another machine's.")
def command(kubeconfig: Path | None, context: str | None, run_id: str | None) -> None:
    """Remove what killed runs left, and say what: on the cluster that a kubeconfig leads to, and kind clusters here.

    Only what carries the marks of a run is touched, and only if that run's process is gone. Runs of other
    machines are named and left; remove one with --run.
    """
    from harness.cluster.kruise import execute
    from harness.cluster.orphans import orphans
    from harness.cluster.remote import reach, version_of
    from harness.leftovers import sort_out
    from harness.removal import marked, remove

    removed = [one.remove(execute) for one in orphans()]
    try:
        remote = reach(kubeconfig, context)
        version_of(remote)
        api = remote.client()
        found = sort_out(marked(api, run_id), named=run_id)
        for line in found.left:
            click.echo(line)
        remove(api, found.dead)
        removed += map(str, found.dead)
    except InputError:
        if not removed or kubeconfig or context:  # without a cluster there was something to do all the same
            raise
    finally:
        for one in removed:
            click.echo(f"removed {one}")
    if not removed:
        click.echo("nothing to remove")
