"""`hotupgrade selftest`."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from harness.errors import InputError

if TYPE_CHECKING:
    from harness.selftest import Stage, Verdict

MANIFEST = Path(__file__).resolve().parents[2] / "e2e" / "manifests" / "reference-sidecarset.yaml"
RUNS, FEW_RUNS = 20, 2


@click.command(
    "selftest",
    epilog="""\b
Examples:
  hotupgrade selftest
  hotupgrade selftest --short
  hotupgrade selftest --mutant no-drain --mutant stall

Exit codes: 0 all as it must be, 1 a fault was not caught, the reference failed, or a clean run did.""",
)
@click.option("--short", is_flag=True, help="Some of the mutants and two clean runs: two minutes.")
@click.option("--mutant", "names", multiple=True, metavar="NAME", help="Only these mutants; repeatable.")
@click.option(
    "--reports",
    default=Path("reports/selftest"),
    show_default=True,
    metavar="DIR",
    type=click.Path(path_type=Path),
    help="Folder for the runs' reports.",
)
def command(short: bool, names: Sequence[str], reports: Path) -> int:
    """Show that faults are caught: every mutant, the whole catalogue, and clean runs on a busy machine.

    On the embedded cluster; takes about half an hour, most of it the catalogue and twenty clean runs.
    """
    from rich.console import Console
    from rich.table import Table

    console = Console(highlight=False)
    table = Table("what", "came out as it must", "shown by", "seconds", box=None, pad_edge=False)
    held = True
    for verdict in _verdicts(_stage(reports), short=short, names=names):
        held = held and verdict.held
        row = (verdict.what, "yes" if verdict.held else "NO", verdict.shown, f"{verdict.seconds:.0f}")
        table.add_row(*row)
        console.print("  ".join(row), soft_wrap=True)
    console.print(table)
    console.print("all came out as it must" if held else "NOT all came out as it must")
    return 0 if held else 1


def _verdicts(stage: Stage, *, short: bool, names: Sequence[str]) -> Iterator[Verdict]:
    from harness.scenarios.controls import CONTROLS
    from harness.selftest import catch, conform, stay_calm

    known = {control.mutant: control for control in CONTROLS}
    for name in names:
        if name not in known:
            raise InputError(f"--mutant {name}: there is none of that name; known: {', '.join(known)}")
    chosen = [known[name] for name in names] or [c for c in CONTROLS if c.short or not short]
    for control in chosen:
        yield catch(control, stage)
    if not names:
        if not short:
            yield from conform(stage)
        yield stay_calm(FEW_RUNS if short else RUNS, stage)


def _stage(reports: Path) -> Stage:
    from harness.cli.interrupt import arm, disarm
    from harness.cluster.embedded import EmbeddedCluster
    from harness.manifest import read_subject
    from harness.progress import Silent
    from harness.scenarios.controls import MUTANTS
    from harness.selftest import Stage

    return Stage(
        subject=lambda to: read_subject(MANIFEST, to=to, port=None, upgrade="hot"),
        cluster=lambda images: EmbeddedCluster(images=images),
        mutants=MUTANTS,
        reports=reports,
        command=["hotupgrade", *sys.argv[1:]],
        progress=Silent(),
        before_run=arm,
        before_teardown=disarm,
    )
