"""load-test.md: the load test in Markdown, short enough for any job page. Knows nothing of HTML."""

from __future__ import annotations

import shlex

from harness.loadtest import words
from harness.record.loadtest import LoadTest, PhaseFigures, RampStep
from harness.record.report import Latency
from harness.report.markup import fenced, line, table
from harness.report.summary import SIGN
from harness.report.words import EMBEDDED, HEADLINE, milliseconds, moment

LATENCIES = ("p50", "p90", "p99", "p99.9", "longest")


def markdown(test: LoadTest) -> str:
    """All of it."""
    implementation = f"{test.implementation.name} {test.implementation.version}"
    lines = [f"# {SIGN[test.outcome]} Load test of {line(implementation)}: {HEADLINE[test.outcome]}", ""]
    lines += [words.knee(test.ramp, test.knee), "", words.soak(test), ""]
    if test.reason:
        lines += [line(test.reason), ""]
    if test.cluster.kind == "embedded":
        lines += [EMBEDDED, ""]
    lines += _ramp(test) + _soak(test)
    started = f"hotupgrade {test.version}, {moment(test.started)}, {test.environment.host}, "
    lines += ["## Reproduce", "", *fenced(shlex.join(test.command)), ""]
    return "\n".join([*lines, line(f"{started}{test.environment.cores} cores, {test.workers} workers."), ""])


def _ramp(test: LoadTest) -> list[str]:
    headings = ("times the usual", "asked/s", "reached/s", *LATENCIES, "failed", "late", "busy", "kept up")
    rows = table(headings, "r" * 11 + "l", [_step(step) for step in test.ramp])
    return ["## Ramp", "", f"To keep up takes {words.limits(test.limits)}.", "", *rows] if rows else []


def _step(step: RampStep) -> tuple[str, ...]:
    return (
        f"{step.factor:.2f}",
        f"{step.asked:,.0f}",
        f"{step.reached:,.0f}",
        *_latencies(step.latency),
        f"{step.failed:,}",
        f"{step.late:.1%}",
        f"{step.busy:.0%}",
        words.reasons(step) or "yes",
    )


def _soak(test: LoadTest) -> list[str]:
    lines: list[str] = []
    for pair in test.soak.pairs if test.soak else []:
        headings = ("phase", "seconds", "answers/s and pod", *LATENCIES, "failed")
        lines += [f"## {line(pair.from_)} to {line(pair.to)}, {pair.upgrades:,} times", ""]
        lines += table(headings, "l" + "r" * 8, [_phase(one) for one in pair.phases])
    return lines


def _phase(one: PhaseFigures) -> tuple[str, ...]:
    figures = (f"{one.seconds:,.1f}", f"{one.rate:,.0f}", *_latencies(one.latency))
    return (one.phase, *figures, f"{one.failed:,}")


def _latencies(latency: Latency | None) -> list[str]:
    if latency is None:
        return [""] * len(LATENCIES)
    return [
        milliseconds(value) for value in (latency.p50, latency.p90, latency.p99, latency.p999, latency.max)
    ]
