import re
from html.parser import HTMLParser
from itertools import pairwise

import pytest

from harness.record.report import Report, Scenario
from harness.report import page
from tests.report import example

LARGEST_BYTES = 8_000_000
EMPTY = {"area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "source", "track", "wbr"}


class Outline(HTMLParser):
    """Checks that elements nest; keeps headings, identifiers, targets of links, and what is loaded."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.headings: list[int] = []
        self.ids: list[str] = []
        self.targets: list[str] = []
        self.loads: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in EMPTY:
            self.open.append(tag)
        if re.fullmatch("h[1-6]", tag):
            self.headings.append(int(tag[1]))
        for name, value in attrs:
            if name == "id":
                self.ids.append(value or "")
            elif name == "href" and value and value.startswith("#"):
                self.targets.append(value[1:])
            elif name in ("src", "href", "srcset"):
                self.loads.append(value or "")

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def outline(text: str) -> Outline:
    parsed = Outline()
    parsed.feed(text)
    assert parsed.open == []
    return parsed


def body(text: str) -> str:
    """The page without its scripts and styles: what is read without JavaScript."""
    return re.sub(r"<(script|style).*?</\1>", "", text, flags=re.S)


REPORTS = {
    "hot": example.report([example.hot()]),
    "cold": example.report([example.cold(failures=1200)]),
    "several": example.several(),
    "interrupted": example.interrupted(),
    "crashed": example.crashed(),
    "no traffic": example.report(
        [Scenario(name="hot", outcome="interrupted", upgrades=[example.upgrade(1, example.START)])]
    ),
    "no upgrade": example.report([example.scenario("idle", 0)]),
}
every_report = pytest.mark.parametrize("report", REPORTS.values(), ids=REPORTS.keys())


@every_report
def test_page_is_one_well_formed_file_that_loads_nothing(report: Report) -> None:
    text = page.html(report)
    found = outline(text)
    assert found.loads == []
    assert found.headings[0] == 1
    assert found.headings.count(1) == 1
    assert all(after - before <= 1 for before, after in pairwise(found.headings))
    assert len(text.encode()) < LARGEST_BYTES


@every_report
def test_links_lead_somewhere(report: Report) -> None:
    found = outline(page.html(report))
    assert len(set(found.ids)) == len(found.ids)
    assert set(found.targets) <= set(found.ids)


@every_report
def test_verdict_and_kind_of_cluster_come_first(report: Report) -> None:
    head = body(page.html(report)).partition("<main")[0]
    assert f"<h1>{report.outcome.title()}</h1>" in head
    assert f"<strong>{report.cluster.kind}</strong>" in head
    assert ("never a cluster" in head) == (report.cluster.kind == "embedded")


def test_claim_profiles_and_scenarios_are_read_without_javascript() -> None:
    text = body(page.html(REPORTS["several"]))
    for said in ("240 of 86,424 requests failed", "resilience", "Example Mesh", "501 Not Implemented"):
        assert said in text
    for scenario in REPORTS["several"].scenarios:
        assert f">{scenario.name}</a>" in text
        assert f"<h3>{scenario.name}</h3>" in text
    assert "in flight in the killed process" in text
    assert "kill successor" in text


def test_scenario_that_failed_is_the_one_that_is_open() -> None:
    opened = re.findall(
        r'<details class="scenario" id="(\S+)" data-place="\d+" open>', page.html(REPORTS["several"])
    )
    assert opened == ["scenario-6"]


def test_first_failures_are_shown_and_all_are_counted() -> None:
    text = body(page.html(REPORTS["cold"]))
    assert "1,200 in all; 50 are shown, all are in report.json" in text


def test_page_says_how_to_reproduce_the_run() -> None:
    text = body(page.html(REPORTS["hot"]))
    assert "Seed 1234567" in text
    assert "hotUpgradeEmptyImage: hotupgrade/sidecar:empty" in text
    assert "sha256:" + "2" * 64 in text


def test_text_from_outside_is_only_text() -> None:
    scenario = example.cold()
    evil = "</script><script>alert(1)</script>"
    scenario.failures[0].detail = scenario.upgrades[0].pods[0].name = scenario.name = evil
    scenario.description = scenario.allowance = evil
    scenario.timeline[0].versions = {evil: 1}
    text = page.html(example.report([scenario]))
    assert evil not in text
    outline(text)


@pytest.mark.parametrize("report", [example.many(), example.long()], ids=["many scenarios", "long"])
def test_page_of_a_large_run_stays_small(report: Report) -> None:
    assert len(page.html(report).encode()) < LARGEST_BYTES
