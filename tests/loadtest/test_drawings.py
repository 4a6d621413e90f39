"""What is drawn of a load test: page, chart, Markdown, sentences."""

import json
import re
from pathlib import Path
from xml.etree import ElementTree

import jsonschema
import pytest

from harness.loadtest import files, page, summary, words
from harness.loadtest.chart import chart
from harness.record.loadtest import LoadTest
from harness.report import schema
from tests.loadtest import example
from tests.report.test_page import body, outline

SCHEMA = Path(__file__).parents[2] / "docs" / "load-test.schema.json"
LARGEST_BYTES = 2_000_000
TESTS = {"whole": example.test(), "interrupted": example.interrupted()}
every_test = pytest.mark.parametrize("test", TESTS.values(), ids=TESTS.keys())


@every_test
def test_the_page_is_one_well_formed_file_that_loads_nothing_but_on_a_click(test: LoadTest) -> None:
    text = page.html(test, example.report())
    found = outline(text)
    assert set(found.loads) <= {"report.html"}
    assert set(found.targets) <= set(found.ids)
    assert found.headings.count(1) == 1
    assert len(text.encode()) < LARGEST_BYTES


def test_the_page_says_the_knee_the_soak_and_the_phases_without_javascript() -> None:
    text = body(page.html(TESTS["whole"], example.report()))
    for said in (
        "The knee is 860 requests a second (p99 9.0 ms)",
        "3 hot upgrades",
        "<strong>the knee</strong>",
        "many never came to an end",
        "migration",
        "hotupgrade load-test -f &#39;side car.yaml&#39;",
    ):
        assert said in text


def test_the_time_line_of_the_soak_is_on_the_page_and_not_that_of_the_ramp() -> None:
    text = page.html(TESTS["whole"], example.report())
    (drawn,) = json.loads(re.findall(r'id="data">(.*?)</script>', text, flags=re.S)[0])
    assert len(drawn["upgrades"]) == 3


def test_an_interrupted_test_says_what_it_lacks() -> None:
    text = body(page.html(TESTS["interrupted"], example.report().model_copy(update={"scenarios": []})))
    for said in ("<h1>Interrupted</h1>", "No knee was found", "No soak was played", "None was played"):
        assert said in text


def test_text_from_outside_is_only_text() -> None:
    evil = "</script><script>alert(1)</script>"
    test = TESTS["whole"].model_copy(deep=True, update={"reason": evil, "command": [evil]})
    assert test.soak is not None
    test.soak.pairs[0].to = evil
    text = page.html(test, example.report())
    assert evil not in text
    outline(text)
    assert re.findall(r"(?<!\\)<script", re.sub(r"```.*?```", "", summary.markdown(test), flags=re.S)) == []


def test_the_chart_has_a_bar_for_each_step_and_nothing_outside_of_itself() -> None:
    test = TESTS["whole"]
    svg = ElementTree.fromstring(chart(test.ramp, test.knee, test.limits))
    classes = [one.get("class") for one in svg]
    assert (classes.count("kept"), classes.count("lost"), classes.count("knee")) == (3, 2, 1)
    _, _, wide, high = map(float, svg.attrib["viewBox"].split())
    for one in svg.iter("rect"):
        left, top, width, height = (float(one.attrib[name]) for name in ("x", "y", "width", "height"))
        assert 0 <= left <= left + width <= wide
        assert 0 <= top <= top + height <= high
    assert len(svg.findall("circle")) == 2 * 4  # the last step has no latency


def test_there_is_no_chart_of_nothing() -> None:
    assert chart([], None, example.LIMITS) == ""


@every_test
def test_the_markdown_has_every_step_and_phase_in_rows_of_equal_width(test: LoadTest) -> None:
    text = summary.markdown(test)
    for table in re.findall(r"(?:^\|.*\n)+", text, flags=re.M):
        assert len({row.count(" | ") for row in table.splitlines()}) == 1
    assert text.count("\n| migration ") == (2 if test.soak else 0)
    assert text.count("| yes |") == (3 if test.ramp else 0)


@pytest.mark.parametrize(
    ("limit", "said"),
    [
        ("sidecar", "though the load generator did"),
        ("load generator", "at least 860 requests a second"),
        ("ramp", "the ramp ended there"),
    ],
)
def test_the_sentence_on_the_knee_says_whose_limit_it_is(limit: str, said: str) -> None:
    test = TESTS["whole"]
    assert test.knee is not None
    knee = test.knee.model_copy(update={"limit": limit, "at_least": limit != "sidecar"})
    assert said in words.knee(test.ramp, knee)
    assert ("at least" in words.knee(test.ramp, knee)) == knee.at_least


def test_where_no_step_kept_up_the_sentence_says_what_the_first_one_lacked() -> None:
    assert "400 ms" in words.knee(TESTS["whole"].ramp[3:], None)


def test_published_schema_is_the_models() -> None:
    """Made anew by `python -m harness.report.schema docs/load-test.schema.json`."""
    assert SCHEMA.read_text(encoding="utf-8") == schema.text(LoadTest)


@every_test
def test_records_meet_the_schema_and_one_of_an_unknown_limit_does_not(test: LoadTest) -> None:
    document = json.loads(test.model_dump_json())
    jsonschema.validate(document, schema.schema(LoadTest))
    document["outcome"] = "nearly"
    with pytest.raises(jsonschema.ValidationError, match="'nearly' is not one of"):
        jsonschema.validate(document, schema.schema(LoadTest))


def test_all_files_are_written_and_the_record_reads_back(tmp_path: Path) -> None:
    files.write(TESTS["whole"], example.report(), tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "load-test.html",
        "load-test.json",
        "load-test.md",
    ]
    read = LoadTest.model_validate_json((tmp_path / files.RECORD).read_text())
    assert read.ramp == TESTS["whole"].ramp
