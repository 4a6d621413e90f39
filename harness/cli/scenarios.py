"""`hotupgrade scenarios`."""

from __future__ import annotations

import click


@click.group("scenarios")
def command() -> None:
    """What can be played: hotupgrade run --scenario NAME, or --profile for all of one kind."""


@command.command("list")
def list_() -> None:
    """All scenarios: profile, name, description."""
    from rich.console import Console
    from rich.table import Table

    from harness.scenarios.catalogue import SCENARIOS

    table = Table("profile", "scenario", "what happens", box=None, pad_edge=False)
    for scenario in SCENARIOS.values():
        table.add_row(scenario.profile, scenario.name, scenario.description)
    Console(highlight=False).print(table)


@command.command("show")
@click.argument("name")
def show(name: str) -> None:
    """Steps, traffic, needs, and what may be lost."""
    from rich.console import Console

    from harness.scenarios.catalogue import named
    from harness.scenarios.words import lines

    console = Console(highlight=False, soft_wrap=True)
    for line in lines(named(name)):
        console.print(line, markup=False)
