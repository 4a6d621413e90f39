import dataclasses

import pytest

from harness.record.ledger import Connection, FailureKind
from harness.record.report import Scenario
from harness.verdict import judge
from harness.verdict.reconcile import FailedFate
from harness.verdict.requirements import Allowance
from tests.verdict import synthetic
from tests.verdict.synthetic import START, Run

START_S, END_S = START + 3.0, START + 4.0


def crash(
    kinds: frozenset[FailureKind] | None = None, pods: frozenset[str] | None = None, most: int | None = None
) -> Allowance:
    return Allowance(
        "the crash cuts what is in flight",
        start=START_S,
        end=END_S,
        kinds=kinds,
        pods=pods,
        most=most,
    )


def small(*allowances: Allowance) -> Run:
    run = synthetic.run(upgrades=2, per_slot=8)
    run.requirements = dataclasses.replace(run.requirements, min_requests=8000, allowances=allowances)
    return run


def judged(run: Run) -> Scenario:
    return judge.judge("s", run.upgrades, [run.load], run.apps, run.requirements)


def test_a_failure_that_the_scenario_allows_is_counted_and_shown_and_fails_nothing() -> None:
    run = small(crash())
    synthetic.fail(run, "post-app-0", 50, "reset", START_S + 0.5, executed=True)
    scenario = judged(run)
    result = scenario.classes["post"]
    assert scenario.outcome == result.outcome == "passed"
    assert (result.failed, result.allowed, scenario.traffic.failed) == (1, 1, 1)
    assert scenario.failures[0].allowed == scenario.allowance == "the crash cuts what is in flight"
    assert "1 of them allowed: the crash cuts what is in flight" in (result.reason or "")
    assert "1 of them as the scenario allows" in scenario.gates[0].observed


@pytest.mark.parametrize(
    ("at", "ended", "kind", "covered"),
    [
        (START_S - 9, START_S + 0.1, "reset", True),  # sent before, ended in it
        (END_S - 0.1, END_S + 0.9, "reset", True),  # seen a little later
        (END_S - 0.1, END_S + 1.1, "reset", False),
        (END_S - 0.1, END_S + 9.9, "timeout", True),  # a client waits ten seconds
        (START_S - 9, START_S - 0.1, "reset", False),
        (END_S + 0.1, END_S + 0.2, "reset", False),
    ],
)
def test_an_allowance_covers_what_was_under_way_in_it_and_ended_then(
    at: float, ended: float, kind: str, covered: bool
) -> None:
    run = small(crash())
    synthetic.fail(run, "post-app-0", 50, kind, at, ended)
    assert judged(run).outcome == ("passed" if covered else "failed")


def test_what_exceeds_the_most_that_is_allowed_fails() -> None:
    run = small(crash(most=2))
    for number in range(3):
        synthetic.fail(run, "post-app-0", 50 + number, "reset", START_S + number / 10)
    scenario = judged(run)
    assert scenario.outcome == "failed"
    assert scenario.classes["post"].allowed == 2
    assert [failure.allowed is None for failure in scenario.failures] == [False, False, True]
    assert "(at most 2)" in (scenario.allowance or "")


@pytest.mark.parametrize(("kind", "fate"), [("corrupted", "corrupted"), ("status", "errors")])
def test_wrong_answers_are_allowed_only_where_they_are_named(kind: str, fate: FailedFate) -> None:
    run = small(crash())
    synthetic.fail(run, "post-app-0", 50, kind, START_S + 0.5)
    assert judged(run).outcome == "failed"
    named = dataclasses.replace(crash(), fates=frozenset({fate}))
    run.requirements = dataclasses.replace(run.requirements, allowances=(named,))
    assert judged(run).outcome == "passed"


def test_an_allowance_is_for_its_pods_and_kinds() -> None:
    only = crash(kinds=frozenset({"reset"}), pods=frozenset({"app-0"}))
    for client, kind, outcome in [
        ("post-app-0", "reset", "passed"),
        ("post-app-0", "refused", "failed"),
        ("post-app-1", "reset", "failed"),
    ]:
        run = small(only)
        synthetic.fail(run, client, 50, kind, START_S + 0.5)
        assert judged(run).outcome == outcome


def test_an_allowance_for_a_pod_covers_what_went_through_it_and_what_the_service_led_anywhere() -> None:
    for pod, via in [("app-1", "app-0"), ("service", None)]:
        run = small(crash(pods=frozenset({"app-0"})))
        synthetic.fail(run, "post-app-1", 50, "reset", START_S + 0.5)
        client = next(client for client in run.load.clients if client.name == "post-app-1")
        client.pod, client.via = pod, via
        assert judged(run).failures[0].allowed


def closed(run: Run, at: float) -> None:
    kept = run.load.connections
    fields = {"client": "keep-alive-app-0", "class": "keep-alive", "pod": "app-0", "requests": 3}
    kept.append(Connection.model_validate({**fields, "opened": START, "ended": at, "how": "closed"}))
    run.requirements = dataclasses.replace(run.requirements, keeps_connections=["keep-alive"])


def test_a_closed_connection_fails_the_class_that_promises_to_keep_it() -> None:
    run = small()
    closed(run, START_S)
    scenario = judged(run)
    assert scenario.outcome == scenario.classes["keep-alive"].outcome == "failed"
    assert scenario.classes["post"].outcome == "passed"
    assert "1 closed while idle without a word" in (scenario.classes["keep-alive"].reason or "")
    assert "connections kept: 1 of keep-alive" in (scenario.reason or "")


def test_a_closed_connection_is_allowed_like_a_request() -> None:
    run = small(crash())
    closed(run, START_S + 0.5)
    scenario = judged(run)
    assert scenario.outcome == "passed"
    assert scenario.classes["keep-alive"].closed_connections == 1
    run = small(crash())
    closed(run, END_S + 5)
    assert judged(run).outcome == "failed"


def test_the_claim_leaves_out_scenarios_in_which_something_may_be_lost() -> None:
    strict, lenient = judged(small()), judged(small(crash()))
    assert judge.claim([strict, lenient]) == judge.claim([strict])
