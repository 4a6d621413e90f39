from junitparser import JUnitXml

from harness.record.report import Outcome, Scenario
from harness.report import junit
from tests.report import example


def suites(text: str) -> JUnitXml:
    return JUnitXml.fromstring(text.encode())


def test_each_class_and_gate_is_a_case() -> None:
    scenario = example.hot()
    found = suites(junit.xml(example.report([scenario])))
    assert (found.tests, found.failures, found.errors) == (len(scenario.classes) + len(scenario.gates), 0, 0)


def test_outcomes_are_told_apart() -> None:
    def one(outcome: Outcome) -> Scenario:
        return Scenario(name=outcome, outcome=outcome, reason="because")

    text = junit.xml(example.report([one("passed"), one("failed"), one("inconclusive"), one("skipped")]))
    found = suites(text)
    assert (found.tests, found.failures, found.errors, found.skipped) == (4, 1, 1, 1)


def test_run_without_a_scenario_is_no_success() -> None:
    found = suites(junit.xml(example.report([], "interrupted", "SIGINT")))
    assert (found.tests, found.errors) == (1, 1)


def test_failures_beyond_the_first_are_counted() -> None:
    text = junit.xml(example.report([example.cold(failures=300)]))
    assert "and 40 more in report.json" in text


def test_characters_that_xml_forbids_do_not_spoil_the_file() -> None:
    scenario = example.cold()
    scenario.failures[0].detail = "eof: \x00\x1b[31m\ufffe after 3 bytes"
    assert suites(junit.xml(example.report([scenario]))).failures > 0
