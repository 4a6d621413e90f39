"""`hotupgrade doctor`: what works on this machine, what does not, and what helps."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import click

ANSWER_WITHIN_S = 5.0  # a program that says its version takes far less
Grade = Literal["ok", "missing", "broken"]
MARK: dict[Grade, str] = {
    "ok": "[green]ok[/]",
    "missing": "[yellow]optional[/]",
    "broken": "[bold red]broken[/]",
}


@dataclass(frozen=True)
class Row:
    """One thing that was looked at; `broken` keeps the embedded cluster from working, `missing` does not."""

    name: str
    grade: Grade
    detail: str
    remedy: str = ""


@click.command("doctor", epilog="\b\nExample:\n  hotupgrade doctor")
def command() -> int:
    """Say what works on this machine. Exits with 2 when the embedded cluster cannot run here."""
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    for heading in ("", "", "what was seen", "what helps"):
        table.add_column(heading, overflow="fold")
    rows = list(_rows())
    for row in rows:
        table.add_row(MARK[row.grade], row.name, row.detail, row.remedy)
    Console(highlight=False).print(table)
    return 2 if any(row.grade == "broken" for row in rows) else 0


def _rows() -> Iterator[Row]:
    from harness.cluster.embedded import OWN_IMAGES
    from harness.embedded.machine.check import check

    version = ".".join(map(str, sys.version_info[:3]))
    yield Row("Python", "ok" if sys.version_info >= (3, 11) else "broken", version, "3.11 or newer is needed")
    for finding in check():
        yield Row(finding.name, "ok" if finding.ok else "broken", finding.detail, finding.remedy)
    yield _checkout(OWN_IMAGES)
    yield _cores(len(os.sched_getaffinity(0)))
    yield _program("kubectl", ["version", "--client"], "to look into an embedded cluster; 1.30 or newer")
    yield _program("docker", ["--version"], "for clusters of other kinds; the embedded one does without")


def _checkout(images: Path) -> Row:
    """Containers run as an ordinary user when root starts them, and read the checkout then."""
    if not images.is_dir():
        return Row("checkout", "broken", f"{images} is missing", "run it from a checkout of the repository")
    closed = [
        str(path) for path in (images, images.parent, Path(sys.prefix)) if not path.stat().st_mode & 0o005
    ]
    if os.geteuid() == 0 and closed:
        return Row(
            "checkout", "broken", f"{closed[0]} is closed to other users", f"chmod -R o+rX {closed[0]}"
        )
    return Row("checkout", "ok", str(images.parent))


def _cores(count: int) -> Row:
    if count < 2:
        return Row("cores", "missing", str(count), "with less than two, runs tend to be inconclusive")
    return Row("cores", "ok", str(count))


def _program(name: str, arguments: list[str], use: str) -> Row:
    path = shutil.which(name)
    if path is None:
        return Row(name, "missing", "not found", use)
    try:
        done = subprocess.run(
            [path, *arguments], capture_output=True, text=True, timeout=ANSWER_WITHIN_S, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return Row(name, "missing", str(error), use)
    return Row(name, "ok", (done.stdout.strip().splitlines() or [path])[0])
