"""load-test.json, which is the record, and what is drawn of it. Knows nothing of how it came about."""

from __future__ import annotations

from pathlib import Path

from harness.loadtest import page, summary
from harness.record.loadtest import LoadTest
from harness.record.report import Report
from harness.report.files import put

RECORD = "load-test.json"
PAGE = "load-test.html"
SUMMARY = "load-test.md"


def write(test: LoadTest, report: Report, folder: Path) -> None:
    """Into the folder of the run's report; the record first."""
    put(folder / RECORD, test.model_dump_json(indent=1) + "\n")
    put(folder / SUMMARY, summary.markdown(test))
    put(folder / PAGE, page.html(test, report))
