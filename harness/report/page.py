"""report.html: one file that needs no network. Fills the template; knows nothing of files and of verdicts."""

from __future__ import annotations

import json
from importlib import resources
from typing import Any

from jinja2 import Environment, StrictUndefined
from markupsafe import Markup
from plotly.offline import get_plotlyjs

from harness.record.report import Report
from harness.record.upgrade import PhaseName
from harness.report import charts, words

TEMPLATE = "template.html"
SHOWN_FAILURES = 500  # rows that a browser lays out at once; the rest is in report.json
PHASES: tuple[PhaseName, ...] = ("steady", "upgrade", "back-off", "migration", "reset", "settled")
COUNTS = {
    "sent": "sent",
    "answered": "answered",
    "failed": "failed",
    "lost": "lost",
    "executed_unanswered": "executed, unanswered",
    "errors": "errors",
    "corrupted": "corrupted",
    "duplicated": "duplicated",
    "closed_connections": "idle closed",
}
"""Columns of the table of classes: field -> heading."""


def html(report: Report) -> str:
    """The page of a report."""
    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters |= {
        "clock": words.clock,
        "moment": words.moment,
        "ms": words.milliseconds,
        "duration": words.duration,
    }
    template = environment.from_string(
        resources.files("harness.report").joinpath(TEMPLATE).read_text(encoding="utf-8")
    )
    figures = [charts.timeline(scenario) for scenario in report.scenarios]
    return template.render(
        report=report,
        words=words,
        phases=PHASES,
        counts=COUNTS,
        shown_failures=SHOWN_FAILURES,
        phase_colours=charts.PHASE_COLOURS,
        bins=[charts.bin_seconds(scenario.timeline) for scenario in report.scenarios],
        figures=[_json(figure) if figure else None for figure in figures],
        plotly=Markup(get_plotlyjs()) if any(figures) else None,
    )


def _json(figure: dict[str, Any]) -> Markup:
    """JSON that cannot end the script element which holds it."""
    text = json.dumps(figure, separators=(",", ":")).replace("<", "\\u003c")
    return Markup(text)
