"""`python -m tests.controller`: plays sequences on a cluster, writes recordings, compares them with the stored ones."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Sequence as Many
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import click

from harness.cli.clusters import ClusterOptions, cluster_of, cluster_options
from harness.cli.interrupt import arm
from harness.errors import HotupgradeError, InputError
from harness.removal import marked, remove
from harness.site import new_site
from tests.controller import compare, record
from tests.controller.sequences import ALL, Sequence
from tests.controller.stage import IMAGES

AT_ONCE = 6  # sequences mostly wait; more would only wait for the processor


@click.command()
@click.argument("names", nargs=-1)
@click.option(
    "--out", type=click.Path(path_type=Path), help="Folder for the recordings. Default: none is kept."
)
@cluster_options
def main(names: Many[str], out: Path | None, cluster_options: ClusterOptions) -> None:
    """Play the named sequences, or all."""
    chosen = _chosen(names)
    folder = out or Path(tempfile.mkdtemp(prefix="recordings-"))
    folder.mkdir(parents=True, exist_ok=True)
    cluster, site = cluster_of(cluster_options), new_site(0.0)
    cluster.preflight([ref for name, ref in IMAGES.items() if name != "bad"])
    try:
        cluster.up(site)
        with ThreadPoolExecutor(AT_ONCE) as pool:
            recordings = list(pool.map(lambda one: one.play(cluster.client()), chosen))
    finally:
        if cluster.outlives_run:
            remove(cluster.client(), marked(cluster.client(), site.run))
        cluster.down()
    wrong = 0
    for recording in recordings:
        recording.write(folder)
        found = compare.differences(record.read(recording.sequence), recording)
        click.echo(f"{recording.sequence}: {'same' if not found else f'{len(found)} differences'}")
        click.echo("".join(f"    {one}\n" for one in found), nl=False)
        wrong += bool(found)
    click.echo(f"{len(recordings) - wrong} of {len(recordings)} as recorded; written to {folder}")
    sys.exit(bool(wrong))


def _chosen(names: Many[str]) -> list[Sequence]:
    known = {one.name: one for one in ALL}
    unknown = [name for name in names if name not in known]
    if unknown:
        raise InputError(f"there is no sequence {', '.join(unknown)}; there are {', '.join(known)}")
    return [known[name] for name in names] or list(ALL)


if __name__ == "__main__":
    arm()
    try:
        main(standalone_mode=True)
    except HotupgradeError as error:
        sys.exit(f"{error}")
