"""The command: checks what it needs, measures part by part, prints the table, writes the file.

Exit code 0: everything held; 1: something did not; 2: something is missing; 130: interrupted.
"""

from __future__ import annotations

import asyncio
import os
import platform
import resource
import signal
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path

import click
from rich.console import Console

from benchmarks.handover import accept_pause, crash, http1_row, http2_row, idle_move, loads
from benchmarks.handover.children import NotSeen
from benchmarks.handover.results import Row, all_held, markdown, table
from benchmarks.handover.scene import Tell

RESULTS = Path(__file__).parents[1] / "handover-results.md"
SPARE_DESCRIPTORS = 500  # beyond the connections: those towards the application, listeners, files

Part = Callable[[int, int, Tell], Awaitable[list[Row]]]
PARTS: dict[str, Part] = {
    "idle": lambda handovers, connections, tell: idle_move.measure(connections, tell),
    "http1": lambda handovers, connections, tell: http1_row.measure(handovers, tell),
    "http2": lambda handovers, connections, tell: http2_row.measure(handovers, tell),
    "accept": lambda handovers, connections, tell: accept_pause.measure(handovers, tell),
    "crash": lambda handovers, connections, tell: crash.measure(tell),
}


async def _measure(names: tuple[str, ...], handovers: int, connections: int, tell: Tell) -> list[Row]:
    rows = []
    for name in names:
        tell(f"{name} begins")
        try:
            rows += await PARTS[name](handovers, connections, tell)
        except NotSeen as error:
            rows.append(Row(name, "came to its end", str(error), "yes", held=False))
    return rows


async def _interruptibly(names: tuple[str, ...], handovers: int, connections: int, tell: Tell) -> list[Row]:
    """Both signals cancel, so that every block ends what it started."""
    task = asyncio.current_task()
    assert task is not None
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, task.cancel)
    return await _measure(names, handovers, connections, tell)


def _room(connections: int) -> int:
    """How many connections fit the limit of descriptors, which is raised as far as it goes."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return connections if hard == resource.RLIM_INFINITY else min(connections, hard - SPARE_DESCRIPTORS)


@click.command()
@click.option("--handovers", default=100, show_default=True, type=click.IntRange(1), help="In each row.")
@click.option("--connections", default=10_000, show_default=True, type=click.IntRange(1), help="Idle ones.")
@click.option(
    "--part", "names", multiple=True, type=click.Choice(list(PARTS)), help="Only these; several times."
)
@click.option(
    "--results", default=RESULTS, show_default=True, type=click.Path(dir_okay=False, path_type=Path)
)
def main(handovers: int, connections: int, names: tuple[str, ...], results: Path) -> None:
    """Counts what strict clients see of hot hand-overs of the reference sidecar."""
    console = Console(width=None if sys.stdout.isatty() else 160)
    if missing := loads.missing():
        sys.stderr.write(f"bench-handover: not installed: {', '.join(missing)}; apt-get install them\n")
        sys.exit(2)
    fitting = _room(connections)
    conditions = [
        f"{handovers} hand-overs in each row, {fitting:,} idle connections"
        + (
            ""
            if fitting == connections
            else f" of {connections:,}: the hard limit of descriptors has no room for more"
        ),
        f"Linux {platform.release()}, {os.cpu_count()} processors, Python {platform.python_version()}; all on loopback",
        f"Load average when it began: {os.getloadavg()[0]:.1f}",
        "Absolute times are those of this machine and of what else it did; clients, application and sidecars share it.",
    ]
    try:
        rows = asyncio.run(_interruptibly(names or tuple(PARTS), handovers, fitting, console.print))
    except asyncio.CancelledError:
        sys.exit(130)
    console.print(table(rows))
    results.write_text(markdown(rows, conditions))
    console.print(f"written to {results}")
    sys.exit(0 if all_held(rows) else 1)


if __name__ == "__main__":
    main()
