"""`hotupgrade report`: what can be done with a report.json when its run is over."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from harness.errors import InputError

if TYPE_CHECKING:
    from harness.report.comparison import Finding

STYLE = {"worse": "bold red", "better": "bold green", "open": "bold yellow", "same": "dim"}

record = click.Path(path_type=Path)


@click.group("report", context_settings={"help_option_names": ["-h", "--help"]})
def command() -> None:
    """Draw a report anew, or compare two.

    \b
    Example:
      hotupgrade report render reports/latest
      hotupgrade report diff reports/before reports/latest
    """


@command.command(epilog="\b\nExample:\n  hotupgrade report render reports/latest --out site")
@click.argument("report", type=record)
@click.option(
    "--out",
    metavar="DIR",
    type=click.Path(path_type=Path),
    help="Where to. Default: the folder of the report.json.",
)
def render(report: Path, out: Path | None) -> None:
    """Draw page, summary, JUnit and badge from a report.json, or from the folder that holds one."""
    from harness.report import files

    read = files.read(report)
    folder = out or (report if report.is_dir() else report.parent)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        drawn = files.draw(read, folder)
    except OSError as error:
        raise InputError(f"--out {folder}: {error.strerror}; name a folder that you can write to") from error
    for path in drawn:
        click.echo(path)


@command.command(epilog="\b\nExample:\n  hotupgrade report badge reports/latest > badge.svg")
@click.argument("report", type=record)
def badge(report: Path) -> None:
    """Print the badge of a report.json as SVG."""
    from harness.report import badge, files

    click.echo(badge.svg(files.read(report)), nl=False)


@command.command(
    epilog="""\b
Example:
  hotupgrade report diff reports/before reports/latest

Exit codes: 0 no regression, 1 a regression, 2 not two reports of the same scenarios.""",
)
@click.argument("old", type=record)
@click.argument("new", type=record)
def diff(old: Path, new: Path) -> int:
    """Say what became worse from OLD to NEW: outcomes, failures, latency in each phase."""
    from rich.console import Console

    from harness.report import files
    from harness.report.comparison import compare, in_common

    before, after = files.read(old), files.read(new)
    if not in_common(before, after):
        raise InputError(f"{old}, {new}: no scenario is in both; give reports of runs of the same scenarios")
    found = compare(before, after)
    console = Console(highlight=False)
    console.print(_table(found))
    counts = {change: sum(one.change == change for one in found) for change in STYLE}
    worse = counts["worse"]
    verdict = f"[{STYLE['worse']}]regression[/]" if worse else f"[{STYLE['better']}]no regression[/]"
    rest = f"{counts['better']:,} better, {counts['same']:,} the same, {counts['open']:,} open"
    console.print(f"{verdict}: {worse:,} of {len(found):,} comparisons are worse, {rest}", soft_wrap=True)
    return 1 if worse else 0


def _table(found: list[Finding]) -> object:
    """Each scenario's outcome, and whatever is not the same."""
    from rich.markup import escape
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    for heading in ("scenario", "class", "compared", "old", "new", "change", "why"):
        table.add_column(heading, overflow="fold")
    for one in found:
        if one.change != "same" or (one.what == "outcome" and not one.traffic_class):
            cells = (one.scenario, one.traffic_class or "all", one.what, one.old, one.new)
            table.add_row(*map(escape, cells), f"[{STYLE[one.change]}]{one.change}[/]", escape(one.note))
    return table
