"""load-test.html: one file that needs no network, in the dress of the report's page. Knows nothing of files."""

from __future__ import annotations

import shlex
from importlib import resources

from harness.loadtest import words
from harness.loadtest.chart import chart
from harness.record.loadtest import LoadTest
from harness.record.report import Report, Scenario
from harness.report import page
from harness.report.figures import figures

TEMPLATE = "load-test.html"


def html(test: LoadTest, report: Report) -> str:
    """The page; the report has the time line of the soak."""
    soak = next((place for place, one in enumerate(report.scenarios) if one.name == "soak"), None)
    drawn: Scenario | None = None if soak is None else report.scenarios[soak]
    return page.render(
        resources.files("harness.loadtest").joinpath(TEMPLATE).read_text(encoding="utf-8"),
        [] if soak is None else [figures(report)[soak]],
        test=test,
        said=words,
        chart=chart(test.ramp, test.knee, test.limits),
        timeline=bool(drawn and drawn.timeline),
        command=shlex.join(test.command),
    )
