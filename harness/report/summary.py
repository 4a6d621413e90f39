"""summary.md: the run in Markdown, for a CI system's job page. Knows nothing of HTML.

A job page of GitHub holds 1,024 KiB and shows nothing of a longer one, so everything that grows with the run is cut,
and says that it was: first what each scenario shows, then the scenarios themselves.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from harness.record.report import ProfileResult, Report, Scenario
from harness.record.upgrade import Upgrade
from harness.report import tables, words
from harness.report.figures import first
from harness.report.markup import SHOWN_CELL, fenced, line, table

MOST_BYTES = 1000 * 1024  # of 1,024 KiB: a job's other steps write to the same page
SHOWN_SCENARIOS, SHOWN_CASES = 200, 20
SHOWN_FAILURES = 50  # of all scenarios together, but one of each at least
SHOWN_BARS = 400  # the same of phases in time lines; Mermaid draws no more than some hundreds legibly
SHOWN_COMMAND = 16_000

SIGN = {"passed": "✅", "failed": "❌", "inconclusive": "⚠️", "skipped": "⏭️", "interrupted": "⏹️"}
BAR = {"upgrade": "active, ", "back-off": "done, ", "migration": "crit, ", "reset": "done, "}


def markdown(report: Report) -> str:
    """The whole summary."""
    end = _reproduce(report)
    lines = [*_verdict(report), *_profile(report), *_list(report)]
    left = MOST_BYTES - _size(lines) - _size(end)
    for place, scenario in enumerate(report.scenarios):
        part = _scenario(scenario, report)
        if _size(part) > left:
            rest = words.number(len(report.scenarios) - place, "scenario")
            lines += [f"The details of {rest} did not fit here; all are in report.html.", ""]
            break
        left -= _size(part)
        lines += part
    return "\n".join([*lines, *end])


def _size(lines: Sequence[str]) -> int:
    return sum(len(line.encode()) + 1 for line in lines)


def _verdict(report: Report) -> list[str]:
    lines = [f"# {SIGN[report.outcome]} {words.HEADLINE[report.outcome]}", "", words.claim(report), ""]
    if report.reason:
        lines += [line(report.reason), ""]
    cluster = report.cluster
    controller = f"{cluster.controller.name} {cluster.controller.version}"
    ran_on = line(f"{cluster.kind}, Kubernetes {cluster.kubernetes}, {controller}")
    note = f" {words.EMBEDDED}" if cluster.kind == "embedded" else ""
    return [*lines, f"Cluster: {ran_on}.{note}", ""]


def _profile(report: Report) -> list[str]:
    of_report = report.profile
    rows = [
        (
            name,
            f"{SIGN[part.result]} {part.result}",
            *(f"{part.statistics.get(what, 0):,}" for what in ("passed", "failed", "skipped")),
            "; ".join(_cases(part)) or "none",
        )
        for name, part in words.profiles(report)
    ]
    implementation = f"{report.implementation.name} {report.implementation.version}"
    lines = [f"## {line(implementation)}: {words.conformance(report)}", ""]
    headings = ("profile", "result", "passed", "failed", "skipped", "failed and skipped cases")
    lines += table(headings, "llrrrl", rows)
    if of_report.supported:
        lines += [f"Features that it was seen to have: {line(', '.join(of_report.supported))}.", ""]
    if of_report.unsupported:
        lacking = [f"- {line(name)}: {line(why)}" for name, why in of_report.unsupported.items()]
        lines += ["Features that it lacks:", "", *lacking[:SHOWN_CASES], ""]
    return lines


def _cases(part: ProfileResult) -> Iterator[str]:
    for what, cases in (("failed", part.failed), ("skipped", part.skipped)):
        if cases:
            more = f" and {len(cases) - SHOWN_CASES:,} more" if len(cases) > SHOWN_CASES else ""
            yield f"{what}: {', '.join(cases[:SHOWN_CASES])}{more}"


def _list(report: Report) -> list[str]:
    if len(report.scenarios) < 2:
        return []
    rows = [
        (
            words.name(scenario),
            f"{SIGN[scenario.outcome]} {scenario.outcome}",
            scenario.profile,
            f"{len(scenario.upgrades):,}",
            f"{scenario.traffic.sent:,}",
            f"{scenario.traffic.failed:,}",
            f"{tables.allowed(scenario):,}",
        )
        for scenario in report.scenarios[:SHOWN_SCENARIOS]
    ]
    headings = ("scenario", "outcome", "profile", "upgrades", "requests", "failed", "of them allowed")
    lines = ["## Scenarios", "", *table(headings, "lllrrrr", rows)]
    if len(report.scenarios) > len(rows):
        lines += [
            f"{len(rows)} of {len(report.scenarios):,} scenarios are shown; all are in report.html.",
            "",
        ]
    return lines


def _reproduce(report: Report) -> list[str]:
    command = words.command(report)
    if len(command) > SHOWN_COMMAND:
        command = f"{command[:SHOWN_COMMAND]}\n# … cut; the whole command is in report.json"
    said = f"Seed {report.seed}, hotupgrade {report.version}, {words.moment(report.started)}."
    return ["## Reproduce", "", *fenced(command), "", said, ""]


def _scenario(scenario: Scenario, report: Report) -> list[str]:
    """The details; a scenario among several that passed is folded."""
    title = f"{SIGN[scenario.outcome]} {line(words.name(scenario))}: {words.upgrades(scenario)}"
    lines = [f"## {title}", ""]
    folded = len(report.scenarios) > 1 and scenario.outcome == "passed"
    if folded:
        lines = ["<details>", f"<summary>{title}</summary>", ""]
    if scenario.description:
        lines += [line(scenario.description), ""]
    if scenario.reason and scenario.reason != report.reason:
        lines += [line(scenario.reason), ""]
    if scenario.allowance:
        lines += [f"Allowed to be lost: {line(scenario.allowance)}", ""]
    lines += _classes(scenario) + _gates(scenario)
    lines += _failures(scenario, max(1, SHOWN_FAILURES // len(report.scenarios)))
    lines += _timeline(scenario, max(8, SHOWN_BARS // len(report.scenarios)))
    return [*lines, "</details>", ""] if folded else lines


def _classes(scenario: Scenario) -> list[str]:
    rows = [
        (
            name,
            f"{SIGN[result.outcome]} {result.outcome}",
            f"{result.sent:,}",
            f"{result.answered:,}",
            f"{result.failed:,}",
            f"{result.allowed:,}",
            f"{result.closed_connections:,}",
            words.milliseconds(max(latency.p99 for latency in result.latency.values()))
            if result.latency
            else "",
        )
        for name, result in scenario.classes.items()
    ]
    headings = (
        "class",
        "outcome",
        "sent",
        "answered",
        "failed",
        "allowed",
        "idle closed",
        "p99, worst phase",
    )
    return table(headings, "llrrrrrr", rows)


def _gates(scenario: Scenario) -> list[str]:
    rows = [
        (gate.name, f"{SIGN[gate.outcome]} {gate.outcome}", gate.required, gate.observed)
        for gate in scenario.gates
    ]
    return table(("gate", "outcome", "required", "observed"), "llll", rows)


def _failures(scenario: Scenario, most: int) -> list[str]:
    shown = first(scenario.failures, most)
    rows = [
        (
            words.clock(failure.at),
            failure.traffic_class,
            f"{failure.client}-{failure.sequence}",
            failure.pod,
            f"{failure.phase}{'' if failure.upgrade is None else f' {failure.upgrade}'}",
            failure.kind,
            f"{failure.detail}{f' (allowed: {failure.allowed})' if failure.allowed else ''}",
        )
        for failure in shown
    ]
    lines = table(("sent at, UTC", "class", "request", "pod", "phase", "kind", "detail"), "lllllll", rows)
    if len(scenario.failures) > len(shown):
        lines += [
            f"{len(shown)} of {len(scenario.failures):,} failures are shown; all are in report.json.",
            "",
        ]
    return lines


def _timeline(scenario: Scenario, most: int) -> list[str]:
    """The phases as a Mermaid chart: a section per pod, a bar per phase that was seen to end; faults on top."""
    bars: dict[str, list[str]] = {}
    total = 0
    for name, bar in _bars(scenario.upgrades):
        total += 1
        if total <= most:
            bars.setdefault(name, []).append(bar)
    if not bars:
        return []
    lines = ["```mermaid", "gantt", "  dateFormat x", "  axisFormat %H:%M:%S"]
    faults = [f"  {_label(one.name)} :milestone, {int(one.at * 1000)}, 1ms" for one in scenario.faults[:most]]
    lines += ["  section faults", *faults] if faults else []
    for name, of_pod in bars.items():
        lines += [f"  section {_label(name)}", *(f"  {bar}" for bar in of_pod)]
    lines += ["```", ""]
    if total > most:
        lines += [f"{most} of {total:,} phases are shown; all are in report.json.", ""]
    return lines


def _bars(upgrades: Sequence[Upgrade]) -> Iterator[tuple[str, str]]:
    """A pod's name, and a bar of its section."""
    for upgrade in upgrades:
        for pod in upgrade.pods:
            for phase in pod.phases:
                if phase.end is not None and phase.name in BAR:
                    start = int(phase.start * 1000)
                    end = max(int(phase.end * 1000), start + 1)
                    yield pod.name, f"{phase.name} {upgrade.index} :{BAR[phase.name]}{start}, {end}"


def _label(text: str) -> str:
    """Text that Mermaid takes for nothing else."""
    return re.sub(r"[^\w .-]+", " ", text)[:SHOWN_CELL].strip() or "unnamed"
