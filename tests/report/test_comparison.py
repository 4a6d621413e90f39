from collections.abc import Sequence

import pytest

from harness.record.report import Outcome, Scenario
from harness.record.upgrade import PhaseName
from harness.report.comparison import Change, Finding, compare, in_common
from tests.report import example


def findings(old: Scenario, new: Scenario) -> list[Finding]:
    return compare(example.report([old]), example.report([new]))


def changed(found: Sequence[Finding], change: Change) -> set[tuple[str | None, str]]:
    return {(one.traffic_class, one.what) for one in found if one.change == change}


def slower(scenario: Scenario, phases: Sequence[PhaseName], times: float, classes: Sequence[str]) -> Scenario:
    for name in classes:
        for phase in phases:
            scenario.classes[name].latency[phase].p99 *= times
    return scenario


TYPICAL = ("new-connection", "keep-alive", "post", "idle-keep-alive", "pipelined", "websocket", "h2")


def test_report_is_the_same_as_itself() -> None:
    found = compare(example.several(), example.several())
    assert {one.change for one in found} == {"same", "open"}  # open: what was inconclusive stays so


@pytest.mark.parametrize(
    ("old", "new", "change"),
    [
        ("passed", "failed", "worse"),
        ("passed", "skipped", "worse"),
        ("passed", "inconclusive", "open"),
        ("inconclusive", "failed", "open"),
        ("failed", "passed", "better"),
        ("skipped", "passed", "better"),
        ("failed", "failed", "same"),
        ("inconclusive", "inconclusive", "open"),
    ],
)
def test_outcomes_are_compared(old: Outcome, new: Outcome, change: Change) -> None:
    found = findings(Scenario(name="hot", outcome=old), Scenario(name="hot", outcome=new))
    assert [one.change for one in found] == [change]


def test_worst_of_the_repetitions_counts() -> None:
    new = [Scenario(name="hot", outcome="passed"), Scenario(name="hot", outcome="failed", repetition=2)]
    found = compare(example.report([Scenario(name="hot", outcome="passed")]), example.report(new))
    assert [(one.new, one.change) for one in found] == [("failed", "worse")]


def test_what_is_in_one_report_only_stays_open() -> None:
    old, new = example.hot(1), example.hot(1)
    del new.classes["h2"]
    assert changed(findings(old, new), "open") == {("h2", "outcome")}
    assert not in_common(example.report([old]), example.report([example.cold()]))


def test_many_more_failures_are_a_regression_and_a_few_more_are_chance() -> None:
    some, few_more, many_more = example.cold(240), example.cold(320), example.cold(480)
    assert changed(findings(some, few_more), "worse") == set()
    assert (("post", "failed")) in changed(findings(some, many_more), "worse")
    assert (("post", "failed")) in changed(findings(many_more, some), "better")


def test_failures_that_a_scenario_allows_are_compared_too() -> None:
    old, new = example.hot(1), example.hot(1)
    example.fail(new, 300, allowed="in flight")
    found = findings(old, new)
    assert changed(found, "worse") == {(name, "failed") for name in new.classes}


def test_connections_closed_while_idle_are_compared() -> None:
    old, new = example.hot(1), example.hot(1)
    new.classes["keep-alive"].closed_connections = 40
    assert changed(findings(old, new), "worse") == {("keep-alive", "idle closed")}


def test_slower_in_most_classes_is_a_regression() -> None:
    old, new = example.hot(), slower(example.hot(), ["migration"], 4, TYPICAL[:4])
    assert changed(findings(old, new), "worse") == {(None, "p99 in migration")}
    assert changed(findings(new, old), "better") == {(None, "p99 in migration")}


def test_slower_in_a_few_classes_is_noise() -> None:
    assert (
        changed(findings(example.hot(), slower(example.hot(), ["migration"], 9, TYPICAL[:3])), "worse")
        == set()
    )


def test_some_milliseconds_are_no_regression_whatever_the_factor() -> None:
    old, new = example.hot(), slower(example.hot(), ["settled"], 2, TYPICAL)
    assert changed(findings(old, new), "worse") == set()


def test_a_factor_below_the_bound_is_noise_whatever_the_milliseconds() -> None:
    old = slower(example.hot(), ["migration"], 100, TYPICAL)
    new = slower(example.hot(), ["migration"], 140, TYPICAL)
    assert changed(findings(old, new), "worse") == set()


def test_a_machine_that_is_slower_all_the_time_is_told_once() -> None:
    phases: Sequence[PhaseName] = ("steady", "upgrade", "migration", "reset", "settled")
    found = findings(example.hot(), slower(example.hot(), phases, 8, TYPICAL))
    assert changed(found, "worse") == {(None, "p99 in steady")}


def test_latency_on_another_machine_stays_open() -> None:
    old, new = (
        example.report([example.hot()]),
        example.report([slower(example.hot(), ["migration"], 9, TYPICAL)]),
    )
    new.environment.cores = 64
    assert changed(compare(old, new), "worse") == set()
    assert changed(compare(old, new), "open") == {(None, "p99 in migration")}


def test_too_few_answers_say_nothing_about_latency() -> None:
    new = slower(example.hot(), ["migration"], 9, TYPICAL)
    for of_class in new.classes.values():
        of_class.latency["migration"].count = 199
    assert not any(one.what == "p99 in migration" for one in findings(example.hot(), new))
