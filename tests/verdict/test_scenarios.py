"""What a scenario asks for beside upgrades that settle: nothing, anything, its own checks, classes left out."""

import dataclasses
from typing import Any

import pytest

from harness.record.ledger import Sockets
from harness.record.report import Fault, Gate, Outcome, Scenario
from harness.verdict import judge
from tests.record.slots import slots_of
from tests.verdict import synthetic
from tests.verdict.synthetic import START, Run


def run_for(upgrades: int = 2, **requirements: Any) -> Run:
    run = synthetic.run(upgrades=upgrades, per_slot=8)
    run.requirements = dataclasses.replace(run.requirements, min_requests=4000, **requirements)
    return run


def judged(run: Run) -> Scenario:
    return judge.judge("s", run.upgrades, [run.load], run.apps, run.requirements)


def gate(scenario: Scenario, name: str) -> Gate:
    return next(gate for gate in scenario.gates if gate.name == name)


def quiet(**requirements: Any) -> Run:
    """A run in which no pod changed: one version, and an upgrade without pods."""
    run = run_for(expects="nothing", **requirements)
    run.upgrades = [upgrade.model_copy(update={"pods": []}) for upgrade in run.upgrades]
    with slots_of(run.load) as slots:
        for slot in slots:
            slot.versions = {"v1": slot.answered}
    return run


def test_where_nothing_may_change_nothing_does() -> None:
    scenario = judged(quiet())
    assert scenario.outcome == "passed"
    assert gate(scenario, "nothing changed").outcome == "passed"
    for name in ("both versions answered", "connections across each flip"):
        assert gate(scenario, name).outcome == "skipped"


def test_a_pod_that_changes_where_nothing_may_fails() -> None:
    scenario = judged(run_for(expects="nothing"))
    assert scenario.outcome == "failed"
    assert "app-0 came to upgrade" in gate(scenario, "nothing changed").observed
    run = quiet()
    with slots_of(run.load) as slots:
        slots[40].versions = {"v2": 1}
    assert "answered as v1 and v2" in (judged(run).reason or "")


def test_a_scenario_that_judges_itself_needs_no_upgrade_to_settle() -> None:
    run = run_for(expects="any")
    run.upgrades[1].settled = None
    del run.upgrades[1].pods[0].phases[1:]
    scenario = judged(run)
    assert scenario.outcome == "passed"
    assert gate(scenario, "upgrades settled").outcome == "skipped"
    assert judged(dataclasses.replace(run, upgrades=[])).outcome == "passed"


@pytest.mark.parametrize("outcome", ["failed", "inconclusive"])
def test_what_the_scenarios_own_steps_found_counts(outcome: Outcome) -> None:
    check = Gate(name="pause holds", outcome=outcome, required="no pod flips", observed="2 flipped")
    scenario = judged(run_for(checks=[check]))
    assert scenario.outcome == outcome
    assert scenario.reason == "pause holds: 2 flipped"
    assert scenario.gates[-1] == check
    assert scenario.classes["post"].outcome == "passed"


def test_a_class_that_was_left_out_is_shown_with_its_reason_and_not_required() -> None:
    run = run_for(skipped_classes={"h2": "the implementation does not speak it"})
    run.requirements = dataclasses.replace(run.requirements, classes=(*synthetic.CLASSES, "h2"))
    scenario = judged(run)
    result = scenario.classes["h2"]
    assert scenario.outcome == "passed"
    assert (result.outcome, result.reason) == ("skipped", "the implementation does not speak it")


def test_a_scenario_is_described_with_its_faults() -> None:
    fault = Fault(at=START, name="kill", pod="app-0")
    scenario = judged(run_for(profile="resilience", description="A crash.", faults=[fault]))
    assert (scenario.profile, scenario.description, scenario.faults) == ("resilience", "A crash.", [fault])


@pytest.mark.parametrize("name", ["long-stream", "slow-upload"])
def test_a_class_whose_requests_last_needs_few_in_each_upgrade(name: str) -> None:
    run = run_for(upgrades=1)
    with slots_of(run.load) as slots:
        for slot in slots:
            if slot.traffic_class == "stream":
                slot.traffic_class, slot.sent, slot.ended = name, 0, 0
    for client in run.load.clients:
        if client.traffic_class == "stream":
            client.traffic_class = name
    run.requirements = dataclasses.replace(
        run.requirements, classes=(*(one for one in synthetic.CLASSES if one != "stream"), name)
    )
    first = next(one for one in run.load.series if one.traffic_class == name)
    first.sent[0] = 10
    assert gate(judged(run), "requests in each upgrade").outcome == "passed"
    first.sent[0] = 4
    assert gate(judged(run), "requests in each upgrade").outcome == "inconclusive"


def through(run: Run, via: str = "app-0") -> Run:
    """The clients of class post of the second pod go through another one."""
    for client in run.load.clients:
        if client.name == "post-app-1":
            client.via = via
    return run


def test_what_goes_through_a_pod_is_put_into_the_phase_of_the_one_that_is_disturbed() -> None:
    first, second = run_for(upgrades=1).upgrades[0].pods
    for pod in (first, second):
        run = through(run_for(upgrades=1))
        at = pod.phases[1].start + 0.1
        synthetic.fail(run, "post-app-1", 50, "reset", at)
        (failure,) = judged(run).failures
        assert (failure.phase, failure.pod) == ("migration", "app-1")


def test_a_connection_through_a_pod_lives_across_the_flips_of_both() -> None:
    run = through(run_for(upgrades=1))
    run.load.connections = [c for c in run.load.connections if c.client != "post-app-0"]
    assert gate(judged(run), "connections across each flip").outcome == "passed"
    through(run, via="app-1")
    assert "none for post at app-0" in gate(judged(run), "connections across each flip").observed


def test_versions_that_came_through_another_pod_prove_nothing() -> None:
    run = through(run_for(upgrades=1))
    for one in run.load.series:
        if one.pod == "app-1" and one.traffic_class != "post":
            one.versions = {}
    assert "app-1 in upgrade 1 saw none" in gate(judged(run), "both versions answered").observed


def test_a_class_tells_what_became_of_its_connections() -> None:
    run = run_for()
    for pod, told in (("app-0", 3), ("app-1", 4)):
        made = {"class": "post", "pod": pod, "opened": 5, "told": told, "closed": 1}
        run.load.sockets.append(Sockets.model_validate(made))
    result = judged(run).classes["post"]
    assert (result.connections.opened, result.connections.told, result.closed_connections) == (10, 7, 2)
