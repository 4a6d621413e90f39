import dataclasses
from collections.abc import Callable
from itertools import pairwise

import pytest

from harness.record.report import ClassResult, Gate, Outcome, Scenario
from harness.verdict import judge
from harness.verdict.changes import tag
from tests.record.slots import slots_of
from tests.verdict import synthetic
from tests.verdict.synthetic import START, Run

FLIP = synthetic.run(upgrades=1).upgrades[0].pods[0].phases[1]
"""The migration of the first pod in the first upgrade."""

SLOW = {"late_fraction": 0.04, "max_lag_ms": 812, "asked": 1200, "reached": 801}


def judged(run: Run, locust_requests: int | None = None) -> Scenario:
    return judge.judge("s", run.upgrades, [run.load], run.apps, run.requirements, locust_requests)


def gate(scenario: Scenario, name: str) -> Gate:
    return next(gate for gate in scenario.gates if gate.name == name)


def small(mode: str = "hot", upgrades: int = 2) -> Run:
    """A run with all that it needs, but for being small."""
    run = synthetic.run(upgrades=upgrades, per_slot=8, mode=mode)
    run.requirements = dataclasses.replace(run.requirements, min_requests=8000)
    return run


def saturate(run: Run) -> None:
    run.load.saturation = run.load.saturation.model_copy(update=SLOW)


def test_run_without_a_failure_passes_with_every_gate_met() -> None:
    scenario = judged(small(), locust_requests=None)
    assert scenario.outcome == "passed"
    assert scenario.reason is None
    assert {gate.outcome for gate in scenario.gates} == {"passed"}
    assert {result.outcome for result in scenario.classes.values()} == {"passed"}
    assert (
        scenario.traffic.sent == scenario.traffic.answered == sum(point.sent for point in scenario.timeline)
    )


@pytest.mark.parametrize("kind", ["refused", "reset", "eof", "timeout", "status", "protocol", "corrupted"])
def test_one_failure_of_any_kind_fails_its_class_and_the_scenario(kind: str) -> None:
    run = small()
    synthetic.fail(run, "post-app-0", 50, kind, FLIP.start + 0.1)
    scenario = judged(run)
    assert scenario.outcome == scenario.classes["post"].outcome == "failed"
    assert scenario.classes["keep-alive"].outcome == "passed"
    assert gate(scenario, "no request failed").outcome == "failed"
    (failure,) = scenario.failures
    assert (failure.phase, failure.upgrade, failure.client, failure.sequence) == (
        "migration",
        1,
        "post-app-0",
        50,
    )
    assert sum(point.failed for point in scenario.timeline) == scenario.traffic.failed == 1


def test_request_executed_twice_fails_though_it_was_answered() -> None:
    run = small()
    app = run.apps["app-1"]
    assert app is not None
    app.duplicated["post-app-1"] = [(9, 2)]
    scenario = judged(run)
    assert scenario.outcome == "failed"
    assert (scenario.traffic.duplicated, scenario.traffic.failed) == (1, 1)
    assert scenario.traffic.sent == scenario.traffic.answered + 1


def test_failures_are_all_kept_in_the_order_of_their_send_times() -> None:
    run = small()
    for number in range(300, 20, -1):
        synthetic.fail(run, "post-app-0", number, "reset", START + number / 100)
    failures = judged(run).failures
    assert len(failures) == 280
    assert [failure.at for failure in failures] == sorted(failure.at for failure in failures)


# -- whose fault ---------------------------------------------------------------------------------------------


def test_timeout_on_a_busy_machine_is_inconclusive_and_still_counted() -> None:
    run = small()
    synthetic.fail(run, "post-app-0", 50, "timeout", FLIP.start, FLIP.start + 5)
    saturate(run)
    scenario = judged(run)
    assert scenario.outcome == scenario.classes["post"].outcome == "inconclusive"
    assert scenario.traffic.failed == scenario.traffic.lost == len(scenario.failures) == 1


@pytest.mark.parametrize("kind", ["refused", "reset", "eof", "status", "protocol", "corrupted"])
def test_other_failures_are_no_machines_fault(kind: str) -> None:
    run = small()
    synthetic.fail(run, "post-app-0", 50, kind, FLIP.start)
    saturate(run)
    assert judged(run).outcome == "failed"


def test_duplicate_is_no_machines_fault_though_its_client_timed_out() -> None:
    run = small()
    synthetic.fail(run, "post-app-0", 50, "timeout", FLIP.start, executed=True)
    app = run.apps["app-0"]
    assert app is not None
    app.duplicated["post-app-0"] = [(50, 2)]
    saturate(run)
    assert judged(run).outcome == "failed"


def test_one_real_failure_among_excused_ones_fails() -> None:
    run = small()
    synthetic.fail(run, "post-app-0", 50, "timeout", FLIP.start)
    synthetic.fail(run, "post-app-0", 51, "reset", FLIP.start)
    saturate(run)
    assert judged(run).outcome == "failed"


def in_flight(run: Run) -> None:
    client = run.load.clients[0]
    client.sent = [(1, client.sent[0][1] + 1)]


def test_request_in_flight_when_the_traffic_stopped_in_order_fails() -> None:
    run = small()
    in_flight(run)
    scenario = judged(run)
    assert scenario.outcome == "failed"
    assert "in flight" in scenario.failures[0].detail


def test_request_in_flight_in_a_ledger_that_was_never_closed_is_inconclusive() -> None:
    run = small()
    in_flight(run)
    run.load.stopped = None
    assert judged(run).outcome == "inconclusive"


# -- gates ---------------------------------------------------------------------------------------------------


def few_requests(run: Run) -> None:
    run.requirements = dataclasses.replace(run.requirements, min_requests=1_000_000)


def silent_class_in_an_upgrade(run: Run) -> None:
    patched = run.upgrades[1].patched
    with slots_of(run.load) as slots:
        for slot in slots:
            if slot.traffic_class == "stream" and patched <= slot.at < patched + 4:
                slot.sent = slot.ended = 0


def connection_that_did_not_live(run: Run) -> None:
    for connection in run.load.connections:
        if connection.client == "post-app-0":
            connection.ended = FLIP.start - 0.01
            connection.how = "client"


def connection_opened_too_late(run: Run) -> None:
    for connection in run.load.connections:
        if connection.client == "idle-keep-alive-app-0":
            connection.opened = FLIP.start + 0.01


def flip_not_seen(run: Run) -> None:
    del run.upgrades[0].pods[0].phases[1]


def one_version_only(run: Run) -> None:
    with slots_of(run.load) as slots:
        for slot in slots:
            slot.versions = {"v1": slot.answered}


def wrong_version(run: Run) -> None:
    with slots_of(run.load) as slots:
        for slot in slots:
            slot.versions = {"v1": 1, "v3": 1}


def no_version(run: Run) -> None:
    for one in run.load.series:
        one.versions = {}


def no_version_header(run: Run) -> None:
    run.requirements = dataclasses.replace(run.requirements, version_header=None)


def upgrade_not_settled(run: Run) -> None:
    run.upgrades[1].settled = None


def upgrade_missing(run: Run) -> None:
    del run.upgrades[1]


def pod_not_upgraded(run: Run) -> None:
    del run.upgrades[1].pods[1]


def busy_processor(run: Run) -> None:
    run.load.saturation = run.load.saturation.model_copy(update={"cpu_fraction": 0.97})


def app_ledger_missing(run: Run) -> None:
    run.apps["app-1"] = None


def load_ledger_open(run: Run) -> None:
    run.load.stopped = None


def stranger(run: Run) -> None:
    app = run.apps["app-0"]
    assert app is not None
    app.executed["stranger"] = [(1, 2)]


def forgotten(run: Run) -> None:
    app = run.apps["app-0"]
    assert app is not None
    app.executed["post-app-0"] = synthetic.without(app.executed["post-app-0"], 5)


@pytest.mark.parametrize(
    ("spoil", "name", "observed"),
    [
        (few_requests, "requests", "too few"),
        (silent_class_in_an_upgrade, "requests in each upgrade", "stream 0 in upgrade 2"),
        (connection_that_did_not_live, "connections across each flip", "10 of 12; none for post at app-0"),
        (
            connection_opened_too_late,
            "connections across each flip",
            "none for idle-keep-alive at app-0 in upgrade 1",
        ),
        (flip_not_seen, "connections across each flip", "1 flips were not seen"),
        (one_version_only, "both versions answered", "0 of 4; app-0 in upgrade 1 saw v1"),
        (wrong_version, "both versions answered", "0 of 4"),
        (no_version, "both versions answered", "no answer has the header x-sidecar-version"),
        (no_version_header, "both versions answered", "no header names the version"),
        (upgrade_not_settled, "upgrades settled", "1 settled"),
        (upgrade_missing, "upgrades settled", "1 settled"),
        (pod_not_upgraded, "upgrades settled", "upgrade 2 of 1 pods"),
        (saturate, "load generator kept up", "late 4.0% (by 812 ms at most)"),
        (saturate, "load generator kept up", "a worker reached 801 of 1,200 arrivals a second"),
        (busy_processor, "load generator kept up", "processor 97%"),
        (app_ledger_missing, "ledgers complete", "ledger missing: application app-1"),
        (load_ledger_open, "ledgers complete", "worker-0 never stopped"),
        (stranger, "ledgers agree", "2 executed but never sent"),
        (forgotten, "ledgers agree", "1 answered but never executed"),
    ],
)
def test_gate_that_is_not_met_makes_the_scenario_inconclusive(
    spoil: Callable[[Run], None], name: str, observed: str
) -> None:
    run = small()
    spoil(run)
    scenario = judged(run)
    assert scenario.outcome == "inconclusive"
    assert gate(scenario, name).outcome == "inconclusive"
    assert observed in gate(scenario, name).observed
    assert scenario.reason is not None
    assert name in scenario.reason


def test_gate_that_is_not_met_does_not_hide_a_failure() -> None:
    run = small()
    few_requests(run)
    app_ledger_missing(run)
    synthetic.fail(run, "post-app-0", 50, "reset", FLIP.start)
    assert judged(run).outcome == "failed"


def test_gate_that_concerns_one_class_leaves_the_others_alone() -> None:
    run = small()
    silent_class_in_an_upgrade(run)
    outcomes = {name: result.outcome for name, result in judged(run).classes.items()}
    assert outcomes.pop("stream") == "inconclusive"
    assert set(outcomes.values()) == {"passed"}


def test_missing_ledger_makes_every_class_of_its_pod_inconclusive() -> None:
    run = small()
    app_ledger_missing(run)
    result = judged(run).classes["post"]
    assert result.outcome == "inconclusive"
    assert result.reason == "ledgers complete: ledger missing: application app-1"


def test_class_without_traffic_is_inconclusive() -> None:
    run = small()
    run.requirements = dataclasses.replace(run.requirements, classes=(*synthetic.CLASSES, "h2"))
    result = judged(run).classes["h2"]
    assert (result.outcome, result.reason) == ("inconclusive", "no request was sent")


def test_connection_that_was_told_to_close_in_the_flip_counts_as_having_been_there() -> None:
    run = small(upgrades=1)
    for connection in run.load.connections:
        if connection.client == "post-app-0":
            connection.ended = connection.told_at = FLIP.start + 0.2
            connection.how = "told"
    assert gate(judged(run), "connections across each flip").outcome == "passed"


def test_long_request_in_flight_counts_for_the_upgrade_that_it_spans() -> None:
    run = small(upgrades=1)
    with slots_of(run.load) as slots:
        for slot in slots:
            if slot.traffic_class == "stream":
                slot.sent = slot.ended = 0
    first = next(one for one in run.load.series if one.traffic_class == "stream")
    first.sent[0] = 30
    assert gate(judged(run), "requests in each upgrade").outcome == "passed"
    first.ended[0] = 1
    assert gate(judged(run), "requests in each upgrade").outcome == "inconclusive"


def test_versions_that_are_no_tags_only_have_to_differ() -> None:
    run = small()
    for one in run.load.series:
        one.versions = {f"build-{version}": counts for version, counts in one.versions.items()}
    assert gate(judged(run), "both versions answered").outcome == "passed"


@pytest.mark.parametrize(
    ("image", "expected"),
    [
        ("proxy:v2", "v2"),
        ("registry:5000/team/proxy:v2", "v2"),
        ("registry:5000/team/proxy", "latest"),
        ("team/proxy:v2@sha256:abc", "v2"),
    ],
)
def test_tag_of_an_image(image: str, expected: str) -> None:
    assert tag(image) == expected


@pytest.mark.parametrize(
    ("missing", "outcome"), [(0, "passed"), (80, "passed"), (2000, "inconclusive"), (-1, "inconclusive")]
)
def test_locust_may_lack_its_last_reports_and_nothing_else(missing: int, outcome: Outcome) -> None:
    run = small()
    sent = judged(run).traffic.sent
    assert gate(judged(run, sent - missing), "Locust agrees").outcome == outcome


# -- the negative control ------------------------------------------------------------------------------------


def test_cold_upgrade_fails_with_its_failures_in_the_upgrade() -> None:
    run = small("cold", upgrades=1)
    start = run.upgrades[0].pods[0].phases[0].start
    for number in range(20):
        synthetic.fail(run, "post-app-0", 40 + number, "refused", start + number / 25)
    scenario = judged(run)
    assert scenario.outcome == "failed"
    assert gate(scenario, "failures lie in the upgrades").outcome == "passed"
    assert gate(scenario, "connections across each flip").outcome == "skipped"
    assert {failure.phase for failure in scenario.failures} == {"upgrade"}


def test_cold_upgrade_that_loses_nothing_is_no_control() -> None:
    scenario = judged(small("cold", upgrades=1))
    assert scenario.outcome == "inconclusive"
    assert gate(scenario, "failures lie in the upgrades").observed == "0 of 0"


def test_failure_outside_of_the_upgrade_spoils_the_control() -> None:
    run = small("cold", upgrades=1)
    synthetic.fail(run, "post-app-0", 5, "refused", START + 0.5)
    assert gate(judged(run), "failures lie in the upgrades").outcome == "inconclusive"


# -- the whole run -------------------------------------------------------------------------------------------


def test_nothing_at_all_is_inconclusive() -> None:
    run = small()
    scenario = judge.judge("s", [], [], {}, run.requirements)
    assert scenario.outcome == "inconclusive"
    assert scenario.timeline == []
    assert judge.overall([]) == "inconclusive"
    assert judge.claim([]).upper_bound_95 == 1


def scenario(outcome: Outcome, **classes: Outcome) -> Scenario:
    results = {name: ClassResult(outcome=of_class) for name, of_class in classes.items()}
    return Scenario(name=outcome, outcome=outcome, classes=results)


@pytest.mark.parametrize(
    ("outcomes", "expected"),
    [
        (["passed", "passed"], "passed"),
        (["passed", "inconclusive"], "inconclusive"),
        (["inconclusive", "failed", "passed"], "failed"),
        (["failed", "interrupted"], "interrupted"),
        (["skipped", "passed"], "passed"),
        (["skipped"], "skipped"),
    ],
)
def test_worst_outcome_is_the_whole_runs(outcomes: list[Outcome], expected: Outcome) -> None:
    assert judge.overall([scenario(outcome) for outcome in outcomes]) == expected


def test_claim_is_about_all_requests_together() -> None:
    made = judge.claim([judged(small()), judged(small())])
    assert made.requests == 2 * judged(small()).traffic.sent
    assert made.failed == 0
    assert made.upper_bound_95 == pytest.approx(3 / made.requests, rel=0.01)


def test_pause_in_the_traffic_is_drawn_as_zero() -> None:
    run = small()
    with slots_of(run.load) as slots:
        gone = {slot.at for slot in slots if START + 1 <= slot.at < START + 2}
        slots[:] = [slot for slot in slots if slot.at not in gone]
    timeline = judged(run).timeline
    assert [point.sent for point in timeline].count(0) == len(gone) == 10
    steps = {round(after.at - before.at, 3) for before, after in pairwise(timeline)}
    assert steps == {0.1}


def test_streams_do_not_hide_the_other_classes_latencies_on_the_time_line() -> None:
    run = small(upgrades=1)
    with slots_of(run.load) as slots:
        for slot in slots:
            slot.latency_us = {900_000: 8} if slot.traffic_class == "stream" else {1000: 8}
    scenario = judged(run)
    assert {point.p99 for point in scenario.timeline} == {1.0}
    assert scenario.classes["stream"].latency["steady"].p50 == pytest.approx(900, rel=2e-3)


def to_the_service(run: Run) -> Run:
    """The clients of class post of the first pod go to the Service instead."""
    for client in run.load.clients:
        if client.name == "post-app-0":
            client.pod, client.traffic_class = "service", "service"
    run.requirements = dataclasses.replace(run.requirements, classes=(*synthetic.CLASSES, "service"))
    return run


def back_off(run: Run, pods: int = 2) -> None:
    """The upgrade phase of so many pods is their kubelet's delay, and the delays overlap."""
    start = run.upgrades[0].pods[0].phases[0].start
    for pod in run.upgrades[0].pods[:pods]:
        pod.phases[0] = pod.phases[0].model_copy(update={"name": "back-off", "start": start})


@pytest.mark.parametrize(("delayed", "outcome"), [(2, "inconclusive"), (1, "failed"), (0, "failed")])
def test_a_refused_connection_to_the_service_is_the_kubelets_only_when_back_off_left_it_no_pod(
    delayed: int, outcome: Outcome
) -> None:
    run = to_the_service(small())
    at = run.upgrades[0].pods[0].phases[0].start + 0.01
    synthetic.fail(run, "post-app-0", 50, "refused", at, at)
    back_off(run, delayed)
    scenario = judged(run)
    result = scenario.classes["service"]
    assert result.failed == scenario.traffic.failed == 1
    assert result.outcome == outcome
    kubelets = outcome == "inconclusive"
    assert ("the kubelet's doing" in (result.reason or "")) is kubelets
    observed = gate(scenario, "no request failed").observed
    assert ("by a Service whose pods were in back-off" in observed) is kubelets


@pytest.mark.parametrize("kind", ["reset", "eof", "timeout", "status", "protocol", "corrupted"])
def test_a_connection_that_the_service_did_not_refuse_is_the_sidecars_also_in_back_off(kind: str) -> None:
    run = to_the_service(small())
    at = run.upgrades[0].pods[0].phases[0].start + 0.01
    synthetic.fail(run, "post-app-0", 50, kind, at, at)
    synthetic.fail(run, "post-app-0", 51, "refused", at, at)
    back_off(run)
    scenario = judged(run)
    assert scenario.classes["service"].outcome == scenario.outcome == "failed"
    assert "1 of them for back-off, the kubelet's doing" in (scenario.classes["service"].reason or "")


def test_a_client_that_was_late_is_judged_by_when_it_tried_to_connect() -> None:
    run = to_the_service(small())
    delay = run.upgrades[0].pods[0].phases[0]
    synthetic.fail(run, "post-app-0", 50, "refused", delay.start, delay.start + 30)
    back_off(run)
    assert judged(run).classes["service"].outcome == "failed"


def test_without_a_pods_ledger_nobody_knows_what_the_service_led_to() -> None:
    run = to_the_service(small())
    run.requirements = dataclasses.replace(run.requirements, min_per_class_per_upgrade=0)
    app_ledger_missing(run)
    assert judged(run).classes["service"].reason == "ledgers complete: ledger missing: application app-1"


def test_a_back_off_excuses_nothing_that_went_to_a_pod() -> None:
    run = small()
    at = run.upgrades[0].pods[0].phases[0].start + 0.01
    synthetic.fail(run, "post-app-0", 50, "refused", at, at)
    back_off(run)
    assert judged(run).classes["post"].outcome == "failed"
