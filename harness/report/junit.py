"""JUnit XML, for CI systems: a suite per scenario, a case per class and per gate. Knows nothing of HTML."""

from __future__ import annotations

import re
from collections.abc import Sequence

import junitparser
from junitparser import JUnitXml, TestCase, TestSuite

from harness.record.report import Failure, Outcome, Report, Scenario
from harness.report import words
from harness.report.figures import first

SHOWN_FAILURES = 20  # in a case's text; the rest is in report.json
FORBIDDEN = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")  # what XML 1.0 cannot hold
ELEMENTS = {"failed": junitparser.Failure, "skipped": junitparser.Skipped}


def xml(report: Report) -> str:
    """All scenarios; a run without any is one case of its own."""
    document = JUnitXml("hotupgrade")
    for scenario in report.scenarios:
        document.add_testsuite(_suite(scenario))
    if not report.scenarios:
        suite = TestSuite("run")
        suite.add_testcase(_case("run", "run", report.outcome, report.reason))
        document.add_testsuite(suite)
    document.update_statistics()  # type: ignore[no-untyped-call]
    text: bytes = document.tostring()  # type: ignore[no-untyped-call]
    return text.decode("utf-8")


def _suite(scenario: Scenario) -> TestSuite:
    name_of = words.name(scenario)
    suite = TestSuite(name_of)
    for name, result in scenario.classes.items():
        failures = [failure for failure in scenario.failures if failure.traffic_class == name]
        suite.add_testcase(_case(f"class {name}", name_of, result.outcome, result.reason, _listed(failures)))
    for gate in scenario.gates:
        observed = f"required {gate.required}; observed {gate.observed}"
        suite.add_testcase(_case(f"gate {gate.name}", name_of, gate.outcome, observed))
    told = [of_class.outcome for of_class in scenario.classes.values()]
    if scenario.outcome not in (
        *told,
        *(gate.outcome for gate in scenario.gates),
    ):  # no class and no gate says what came of the whole
        suite.add_testcase(_case("scenario", name_of, scenario.outcome, scenario.reason))
    return suite


def _listed(failures: Sequence[Failure]) -> str:
    lines = [
        f"{one.client}-{one.sequence} at {one.pod}, {one.phase}: {one.kind}: {one.detail}"
        + (f" (allowed: {one.allowed})" if one.allowed else "")
        for one in first(failures, SHOWN_FAILURES)
    ]
    if len(failures) > SHOWN_FAILURES:
        lines.append(f"and {len(failures) - SHOWN_FAILURES:,} more in report.json")
    return "\n".join(lines)


def _case(name: str, classname: str, outcome: Outcome, reason: str | None, text: str = "") -> TestCase:
    """A case; what was not decided is an error, so that no CI system takes it for a success."""
    case = TestCase(name, classname=classname)
    if outcome != "passed":
        message = f"{outcome}: {reason}" if reason else outcome
        result = ELEMENTS.get(outcome, junitparser.Error)(FORBIDDEN.sub("\ufffd", message))
        if text:
            result.text = FORBIDDEN.sub("\ufffd", text)
        case.result = [result]
    return case
