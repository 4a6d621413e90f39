"""The table that ends a run on the terminal. Drawn from the report alone."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from harness.record.report import Outcome, Report
from harness.report.words import name, upgrades

STYLE: dict[Outcome, str] = {
    "passed": "bold green",
    "failed": "bold red",
    "inconclusive": "bold yellow",
    "skipped": "dim",
    "interrupted": "bold yellow",
}
SHOWN_FAILURES = 5  # the rest is in the report


def print_summary(console: Console, report: Report, folder: Path) -> None:
    """Classes, gates that did not pass, first failures, the outcome in one line, and where the report is."""
    for scenario in report.scenarios:
        table = Table(title=f"{name(scenario)}: {upgrades(scenario)}", title_justify="left", box=None)
        for heading in ("class", "sent", "answered", "failed", "closed", "outcome"):
            table.add_column(heading, justify="left" if heading in ("class", "outcome") else "right")
        for of_class, result in scenario.classes.items():
            table.add_row(
                of_class,
                f"{result.sent:,}",
                f"{result.answered:,}",
                f"{result.failed:,}",
                f"{result.closed_connections:,}",
                f"[{STYLE[result.outcome]}]{result.outcome}[/]",
            )
        if scenario.traffic.sent:
            console.print(table)
        for gate in scenario.gates if scenario.traffic.sent else []:  # without traffic each says just that
            if gate.outcome not in ("passed", "skipped"):
                observed = escape(gate.observed)
                console.print(
                    f"[{STYLE[gate.outcome]}]{gate.name}[/]: required {gate.required}; observed {observed}",
                    soft_wrap=True,
                )
        failures = [failure for failure in scenario.failures if not failure.allowed]
        for failure in failures[:SHOWN_FAILURES]:
            console.print(
                f"  {failure.kind}: {failure.client}-{failure.sequence} at {failure.pod}, phase {failure.phase}: "
                f"{failure.detail}",
                highlight=False,
                markup=False,
                soft_wrap=True,
            )
        if len(failures) > SHOWN_FAILURES:
            console.print(f"  … {len(failures) - SHOWN_FAILURES:,} more in the report")
        if allowed := len(scenario.failures) - len(failures):
            console.print(
                f"  {allowed:,} failed as the scenario allows: {scenario.allowance}",
                highlight=False,
                markup=False,
            )
    reason = f": {escape(report.reason)}" if report.reason else ""  # log lines have brackets of their own
    console.print(f"[{STYLE[report.outcome]}]{report.outcome}[/]{reason}", highlight=False, soft_wrap=True)
    console.print(f"report: {folder / 'report.html'}", highlight=False, soft_wrap=True)
