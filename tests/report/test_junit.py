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


def test_repetitions_are_suites_of_their_own() -> None:
    made = [Scenario(name="hot", outcome="passed", repetition=number) for number in (1, 2)]
    assert [suite.name for suite in suites(junit.xml(example.report(made)))] == ["hot", "hot #2"]


def test_outcome_that_no_class_and_no_gate_has_is_a_case_of_its_own() -> None:
    scenario = example.scenario("hot", 1, outcome="interrupted", reason="SIGINT")
    found = suites(junit.xml(example.report([scenario])))
    assert (found.failures, found.errors) == (0, 1)
    assert "interrupted: SIGINT" in junit.xml(example.report([scenario]))


def test_allowed_failures_do_not_fail_a_case() -> None:
    scenario = example.scenario("crash", 1, allowance="what was in flight")
    example.fail(scenario, 8, allowed="in flight")
    assert suites(junit.xml(example.report([scenario]))).failures == 0


def test_run_without_a_scenario_is_no_success() -> None:
    found = suites(junit.xml(example.report([], "interrupted", "SIGINT")))
    assert (found.tests, found.errors) == (1, 1)


def test_failures_beyond_the_first_are_counted() -> None:
    text = junit.xml(example.report([example.cold(failures=300)]))
    assert "and 55 more in report.json" in text


def test_characters_that_xml_forbids_do_not_spoil_the_file() -> None:
    scenario = example.cold()
    scenario.failures[0].detail = "eof: \x00\x1b[31m\ufffe after 3 bytes"
    assert suites(junit.xml(example.report([scenario]))).failures > 0
