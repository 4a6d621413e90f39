"""report.html: one file that needs no network. Fills the template; knows nothing of files and of verdicts.

Without JavaScript everything but the time line and the filters is there: the script adds, it does not make.
"""

from __future__ import annotations

import json
from importlib import resources
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from harness.record.report import Outcome, Report
from harness.report import tables, words
from harness.report.figures import figures, first

SCRIPTS = ("timeline.js", "failures.js", "page.js")
SHOWN_FAILURES = 50  # rows of a scenario in the page's own text; the script shows more
SHOWN_UPGRADES = 30
SOUGHT: tuple[Outcome, ...] = ("failed", "interrupted", "inconclusive")
COUNTS = {
    "sent": "sent",
    "answered": "answered",
    "failed": "failed",
    "lost": "lost",
    "executed_unanswered": "unanswered",
    "errors": "errors",
    "corrupted": "corrupted",
    "duplicated": "duplicated",
}
"""Columns of the table of classes: field -> heading."""
SOCKETS = {
    "opened": "opened",
    "reused": "reused",
    "told": "told",
    "goaway": "GOAWAY",
    "closed": "idle closed",
    "broken": "broken",
}
"""The same of its connections."""


def html(report: Report) -> str:
    """The page of a report."""
    return render(
        _text("template.html"),
        figures(report),
        report=report,
        counts=COUNTS,
        sockets=SOCKETS,
        shown_failures=SHOWN_FAILURES,
        shown_upgrades=SHOWN_UPGRADES,
        first=first,
        opened=_opened(report),
    )


def render(template: str, drawn: list[dict[str, Any]], **values: Any) -> str:
    """A page that extends base.html, with what `drawn` has for each `details.scenario` of it."""
    environment = Environment(
        loader=PackageLoader("harness.report", "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "clock": words.clock,
        "moment": words.moment,
        "ms": words.milliseconds,
        "seconds": words.seconds,
        "count": "{:,}".format,
    }
    return environment.from_string(template).render(
        words=words,
        tables=tables,
        style=Markup(_text("page.css")),
        script=Markup("\n".join(map(_text, SCRIPTS))),
        data=_json(drawn),
        **values,
    )


def _opened(report: Report) -> int:
    """Which scenario a reader wants to see: the first that failed, else that was not decided, else the first."""
    outcomes = [scenario.outcome for scenario in report.scenarios]
    return next((outcomes.index(sought) for sought in SOUGHT if sought in outcomes), 0)


def _text(name: str) -> str:
    return resources.files("harness.report").joinpath(name).read_text(encoding="utf-8")


def _json(data: list[dict[str, Any]]) -> Markup:
    """JSON that cannot end the script element which holds it."""
    text = json.dumps(data, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return Markup(text.replace("<", "\\u003c"))
