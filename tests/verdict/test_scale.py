"""The judge's work grows with what it is given and no faster: calls are counted, nothing is timed."""

import sys
from collections.abc import Callable
from types import FrameType
from typing import Any

from harness.record.ledger import Connection
from harness.record.upgrade import PodEvent
from harness.verdict import judge
from tests.record.slots import slots_of
from tests.verdict import synthetic
from tests.verdict.synthetic import START, Run

SHORT, LONG = 10, 40


def calls(action: Callable[[], object]) -> int:
    """How many functions, also of C, are called."""
    counted = 0

    def count(_: FrameType, event: str, __: Any) -> None:
        nonlocal counted
        counted += event in ("call", "c_call")

    before = sys.getprofile()
    sys.setprofile(count)
    try:
        action()
    finally:
        sys.setprofile(before)
    return counted


def with_events(run: Run) -> Run:
    for upgrade in run.upgrades:
        for pod in upgrade.pods:
            at = pod.phases[1].start
            lines = [PodEvent(at=at, source="sidecar", reason="connection_moved", message="x" * 90)] * 20
            pod.events = [PodEvent(at=at, source="sidecar", reason="started", container=pod.working), *lines]
    return run


def big(upgrades: int) -> Run:
    """Connections that every flip ends, events, and a failure in every upgrade."""
    run = with_events(synthetic.run(upgrades=upgrades, per_slot=1))
    for number, upgrade in enumerate(run.upgrades):
        at = upgrade.pods[0].phases[1].start
        synthetic.fail(run, "post-app-0", 5 + number, "reset", at + 0.1)
        life = {"client": "post-app-0", "class": "post", "pod": "app-0", "requests": 1, "how": "told"}
        life |= {"opened": upgrade.patched - 1, "ended": upgrade.patched - 0.5, "told_at": at - 5}
        run.load.connections += [Connection.model_validate(life)] * 10
    return run


def judged(run: Run) -> Callable[[], object]:
    return lambda: judge.judge("s", run.upgrades, [run.load], run.apps, run.requirements)


def test_four_times_the_upgrades_cost_about_four_times_the_work() -> None:
    short, long = (calls(judged(big(upgrades))) for upgrades in (SHORT, LONG))
    assert long / short < 1.25 * LONG / SHORT


def test_requests_are_judged_in_ranges_and_slots_so_ten_times_as_many_cost_the_same() -> None:
    few, many = synthetic.run(upgrades=2, per_slot=1), synthetic.run(upgrades=2, per_slot=1)
    for client in many.load.clients:
        client.sent = client.answered = [(1, 10_000_000)]
    for app in filter(None, many.apps.values()):
        app.executed = {name: [(1, 10_000_000)] for name in app.executed}
    assert calls(judged(many)) < 1.05 * calls(judged(few))


def test_the_record_of_a_thousand_upgrades_stays_small() -> None:
    run = synthetic.run(upgrades=1, per_slot=1)
    run.upgrades = [synthetic.upgrade(1 + number, START + 2 + 5 * number) for number in range(1000)]
    with_events(run)
    with slots_of(run.load) as slots:
        for slot in slots[1::2]:
            slot.at = round(slot.at + 4990, 1)
    scenario = judge.judge("s", run.upgrades, [run.load], run.apps, run.requirements)
    assert 3000 < len(scenario.timeline) <= 4000
    assert len(scenario.model_dump_json()) < 4_000_000
