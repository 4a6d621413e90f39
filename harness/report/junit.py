"""JUnit XML, for CI systems: a suite per scenario, a case per class and per gate. Knows nothing of HTML."""

from __future__ import annotations

from junitparser import Error, Failure, JUnitXml, Skipped, TestCase, TestSuite

from harness.record.report import Outcome, Report, Scenario

SHOWN_FAILURES = 20  # in a case's text; the rest is in report.json


def xml(report: Report) -> str:
    """All scenarios; a run without any is one case of its own."""
    document = JUnitXml("hotupgrade")
    for scenario in report.scenarios:
        document.add_testsuite(_suite(scenario))
    if not report.scenarios:
        suite = TestSuite("run")
        suite.add_testcase(_case("run", "run", report.outcome, report.reason))
        document.add_testsuite(suite)
    document.update_statistics()
    text: bytes = document.tostring()
    return text.decode("utf-8")


def _suite(scenario: Scenario) -> TestSuite:
    suite = TestSuite(scenario.name)
    for name, result in scenario.classes.items():
        failures = [failure for failure in scenario.failures if failure.traffic_class == name]
        shown = [
            f"{failure.client}-{failure.sequence} at {failure.pod}, {failure.phase}: {failure.kind}: {failure.detail}"
            for failure in failures[:SHOWN_FAILURES]
        ]
        if len(failures) > SHOWN_FAILURES:
            shown.append(f"and {len(failures) - SHOWN_FAILURES:,} more in report.json")
        suite.add_testcase(_case(f"class {name}", scenario.name, result.outcome, result.reason, "\n".join(shown)))
    for gate in scenario.gates:
        observed = f"required {gate.required}; observed {gate.observed}"
        suite.add_testcase(_case(f"gate {gate.name}", scenario.name, gate.outcome, observed))
    if not (scenario.classes or scenario.gates):
        suite.add_testcase(_case("scenario", scenario.name, scenario.outcome, scenario.reason))
    return suite


def _case(name: str, classname: str, outcome: Outcome, reason: str | None, text: str = "") -> TestCase:
    """A case; what was not decided is an error, so that no CI system takes it for a success."""
    case = TestCase(name, classname=classname)
    message = f"{outcome}: {reason}" if reason else outcome
    if outcome == "failed":
        result = Failure(message)
    elif outcome == "skipped":
        result = Skipped(message)
    elif outcome == "passed":
        return case
    else:
        result = Error(message, outcome)
    if text:
        result.text = text
    case.result = [result]
    return case
