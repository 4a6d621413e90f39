import json
import re
from html.parser import HTMLParser
from itertools import pairwise

import plotly.graph_objects as go
import pytest

from harness.record.report import Report, Scenario
from harness.report import charts, page
from tests.report import example
from tests.verdict import synthetic

LARGEST_BYTES = 8_000_000
EMPTY = {"area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "source", "track", "wbr"}


class Outline(HTMLParser):
    """Checks that elements nest; keeps headings, counts of tables and captions, and what is loaded."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.headings: list[int] = []
        self.tables = self.captions = 0
        self.loads: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in EMPTY:
            self.open.append(tag)
        if re.fullmatch("h[1-6]", tag):
            self.headings.append(int(tag[1]))
        self.tables += tag == "table"
        self.captions += tag == "caption"
        self.loads += [value or "" for name, value in attrs if name in ("src", "href", "srcset")]

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def outline(text: str) -> Outline:
    parsed = Outline()
    parsed.feed(text)
    assert parsed.open == []
    return parsed


def body(text: str) -> str:
    """The page without its scripts and styles."""
    return re.sub(r"<(script|style).*?</\1>", "", text, flags=re.S)


REPORTS = {
    "hot": example.report([example.hot()]),
    "cold": example.report([example.cold(failures=1200)]),
    "both": example.report([example.hot(upgrades=1), example.cold()]),
    "interrupted": example.interrupted(),
    "nothing": example.report([], "interrupted", "SIGTERM"),
    "no traffic": example.report(
        [Scenario(name="hot", outcome="interrupted", upgrades=synthetic.run(1).upgrades)]
    ),
}


@pytest.mark.parametrize("report", REPORTS.values(), ids=REPORTS.keys())
def test_page_is_one_well_formed_file_that_loads_nothing(report: Report) -> None:
    text = page.html(report)
    found = outline(text)
    assert found.loads == []
    assert found.headings[0] == 1
    assert found.headings.count(1) == 1
    assert all(after - before <= 1 for before, after in pairwise(found.headings))
    assert found.captions == found.tables
    assert len(text.encode()) < LARGEST_BYTES


@pytest.mark.parametrize("report", REPORTS.values(), ids=REPORTS.keys())
def test_verdict_and_kind_of_cluster_come_first(report: Report) -> None:
    head = body(page.html(report)).partition("<main>")[0]
    assert f"<h1>{report.outcome.title()}</h1>" in head
    assert "<strong>embedded</strong>" in head
    assert "never a cluster" in head


def test_other_clusters_are_not_called_embedded() -> None:
    report = example.report([example.hot(upgrades=1)])
    report.cluster.kind = "kind"
    assert "never a cluster" not in page.html(report)


def test_first_failures_are_shown_and_all_are_counted() -> None:
    text = body(page.html(REPORTS["cold"]))
    assert "1,200 in all; the first 500 are shown, all are in report.json" in text
    assert text.count("connection refused") <= 500


def test_page_says_how_to_reproduce_the_run() -> None:
    text = body(page.html(REPORTS["hot"]))
    assert "Seed 1234567" in text
    assert "hotUpgradeEmptyImage: hotupgrade/sidecar:empty" in text
    assert "sha256:" + "2" * 64 in text


def test_text_from_outside_is_only_text() -> None:
    scenario = example.cold()
    evil = "</script><script>alert(1)</script>"
    scenario.failures[0].detail = scenario.upgrades[0].pods[0].name = evil
    scenario.timeline[0].versions = {evil: 1}
    text = page.html(example.report([scenario]))
    assert evil not in text
    outline(text)


@pytest.mark.parametrize(
    "scenario", [report.scenarios[0] for name, report in REPORTS.items() if report.scenarios]
)
def test_figure_is_one_that_plotly_knows(scenario: Scenario) -> None:
    figure = charts.timeline(scenario)
    if figure is not None:
        go.Figure(figure)  # raises on a property that it does not know
        json.dumps(figure, allow_nan=False)


def test_figure_of_nothing_is_none() -> None:
    assert charts.timeline(Scenario(name="hot", outcome="interrupted")) is None


def test_every_request_and_failure_is_on_the_time_line() -> None:
    scenario = example.cold()
    figure = charts.timeline(scenario)
    assert figure is not None
    traces = {trace["name"]: trace for trace in figure["data"]}
    width_s = charts.bin_seconds(scenario.timeline)
    assert sum(traces["sent"]["y"]) * width_s == pytest.approx(scenario.traffic.sent)
    assert sum(count or 0 for count in traces["failed"]["y"]) == scenario.traffic.failed
    assert {"answered by v1", "answered by v2", "upgrade"} <= set(traces)


def test_long_run_is_drawn_in_wider_bins_that_lose_nothing() -> None:
    scenario = example.hot(upgrades=1, per_slot=1)
    point = scenario.timeline[0]
    scenario.timeline = [
        point.model_copy(update={"at": point.at + n / 10, "failed": 1, "p99": float(n)})
        for n in range(36_000)
    ]
    binned = list(charts.bins(scenario.timeline))
    assert len(binned) <= charts.MAX_BINS
    assert sum(one.failed for one in binned) == 36_000
    assert binned[-1].p99 == 35_999
    assert charts.bin_seconds(scenario.timeline) == 2.4
    assert len(page.html(example.report([scenario])).encode()) < LARGEST_BYTES


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["app-c6d-flv69", "app-c6d-ngsnd"], ["flv69", "ngsnd"]),
        (["app-c6d-flv69"], ["flv69"]),
        (["one", "two"], ["one", "two"]),
        (["app", "app-1"], ["app", "app-1"]),
        ([], []),
    ],
)
def test_rows_of_the_time_line_are_named_by_what_tells_them_apart(
    names: list[str], expected: list[str]
) -> None:
    assert charts.short(names) == expected
