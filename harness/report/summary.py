"""summary.md: the run in Markdown, for a CI system's job page. Knows nothing of HTML.

A job page of GitHub holds 1,024 KiB, so everything that grows with the run is cut, and says that it was.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from harness.record.report import Report, Scenario
from harness.record.upgrade import Upgrade
from harness.report import words

SHOWN_FAILURES = 50
SHOWN_BARS = 400  # phases in a time line; Mermaid draws no more than some hundreds legibly
SHOWN_CELL = 300  # characters; a failure's detail or an image's name may be as long as anybody likes

SIGN = {"passed": "✅", "failed": "❌", "inconclusive": "⚠️", "skipped": "⏭️", "interrupted": "⏹️"}
BAR = {"upgrade": "active, ", "back-off": "done, ", "migration": "crit, ", "reset": "done, "}


def markdown(report: Report) -> str:
    """The whole summary."""
    lines = [f"# {SIGN[report.outcome]} {words.HEADLINE[report.outcome]}", "", words.claim(report), ""]
    if report.reason:
        lines += [_line(report.reason), ""]
    lines += [f"Cluster: {_line(_cluster(report))}. {_note(report)}".rstrip(), ""]
    for scenario in report.scenarios:
        lines += _scenario(scenario, report.reason)
    command = words.command(report)
    fence = "`" * max(3, 1 + max(map(len, re.findall("`+", command)), default=0))
    lines += ["## Reproduce", "", f"{fence}sh", command, fence, ""]
    lines += [f"Seed {report.seed}, hotupgrade {report.version}, {words.moment(report.started)}.", ""]
    return "\n".join(lines)


def _cluster(report: Report) -> str:
    cluster = report.cluster
    controller = f"{cluster.controller.name} {cluster.controller.version}"
    return f"{cluster.kind}, Kubernetes {cluster.kubernetes}, {controller}"


def _note(report: Report) -> str:
    return words.EMBEDDED if report.cluster.kind == "embedded" else ""


def _scenario(scenario: Scenario, report_reason: str | None) -> list[str]:
    lines = [f"## {SIGN[scenario.outcome]} {_line(scenario.name)}: {words.upgrades(scenario)}", ""]
    if scenario.reason and scenario.reason != report_reason:
        lines += [_line(scenario.reason), ""]
    lines += _classes(scenario) + _gates(scenario) + _failures(scenario) + _timeline(scenario.upgrades)
    return lines


def _classes(scenario: Scenario) -> list[str]:
    rows = [
        (
            name,
            f"{SIGN[result.outcome]} {result.outcome}",
            f"{result.sent:,}",
            f"{result.answered:,}",
            f"{result.failed:,}",
            f"{result.closed_connections:,}",
            words.milliseconds(max(latency.p99 for latency in result.latency.values()))
            if result.latency
            else "",
        )
        for name, result in scenario.classes.items()
    ]
    return _table(
        ("class", "outcome", "sent", "answered", "failed", "idle closed", "p99, worst phase"), "llrrrrr", rows
    )


def _gates(scenario: Scenario) -> list[str]:
    rows = [
        (gate.name, f"{SIGN[gate.outcome]} {gate.outcome}", gate.required, gate.observed)
        for gate in scenario.gates
    ]
    return _table(("gate", "outcome", "required", "observed"), "llll", rows)


def _failures(scenario: Scenario) -> list[str]:
    shown = scenario.failures[:SHOWN_FAILURES]
    rows = [
        (
            words.clock(failure.at),
            failure.traffic_class,
            f"{failure.client}-{failure.sequence}",
            failure.pod,
            f"{failure.phase}{'' if failure.upgrade is None else f' {failure.upgrade}'}",
            failure.kind,
            failure.detail,
        )
        for failure in shown
    ]
    table = _table(("sent at, UTC", "class", "request", "pod", "phase", "kind", "detail"), "lllllll", rows)
    if len(scenario.failures) > len(shown):
        table += [
            f"{len(shown)} of {len(scenario.failures):,} failures are shown; all are in report.json.",
            "",
        ]
    return table


def _timeline(upgrades: Sequence[Upgrade]) -> list[str]:
    """The phases as a Mermaid chart: a section per pod, a bar per phase that was seen to end."""
    bars: dict[str, list[str]] = {}
    total = 0
    for upgrade in upgrades:
        for pod in upgrade.pods:
            for phase in pod.phases:
                if phase.end is None or phase.name not in BAR:
                    continue
                total += 1
                if total <= SHOWN_BARS:
                    start, end = (
                        int(phase.start * 1000),
                        max(int(phase.end * 1000), int(phase.start * 1000) + 1),
                    )
                    bar = f"{phase.name} {upgrade.index} :{BAR[phase.name]}{start}, {end}"
                    bars.setdefault(pod.name, []).append(bar)
    if not bars:
        return []
    lines = ["```mermaid", "gantt", "  dateFormat x", "  axisFormat %H:%M:%S"]
    for name, of_pod in bars.items():
        lines += [f"  section {name}", *(f"  {bar}" for bar in of_pod)]
    lines += ["```", ""]
    if total > SHOWN_BARS:
        lines += [f"{SHOWN_BARS} of {total:,} phases are shown; all are in report.json.", ""]
    return lines


def _table(headings: Sequence[str], align: str, rows: Sequence[Sequence[str]]) -> list[str]:
    if not rows:
        return []
    rule = ["---:" if side == "r" else "---" for side in align]
    return [_row(headings), _row(rule), *(_row(map(_line, row)) for row in rows), ""]


def _row(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _line(text: str) -> str:
    """Text that cannot leave its line or its cell, nor be taken for markup."""
    flat = " ".join(text.split())
    cut = flat if len(flat) <= SHOWN_CELL else flat[: SHOWN_CELL - 1] + "…"
    for character in "\\`*_|<[$":
        cut = cut.replace(character, f"\\{character}")
    return cut
