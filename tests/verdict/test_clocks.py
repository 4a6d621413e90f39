import pytest

from harness.record.ledger import Client, ClientFailure, Connection, LoadLedger, Neighbour, Saturation
from harness.record.report import ClockOffset, Scenario
from harness.verdict import judge
from harness.verdict.clocks import Clocks
from tests.record.slots import Slot, packed
from tests.verdict import synthetic

MIGRATION = synthetic.run(upgrades=1).upgrades[0].pods[0].phases[1]
AHEAD = ClockOffset(pod="worker-0", offset_ms=500, uncertainty_ms=20)


def judged(at: float, *clocks: ClockOffset) -> Scenario:
    run = synthetic.run(upgrades=1)
    synthetic.fail(run, "post-app-0", 50, "reset", at, at)
    return judge.judge("s", run.upgrades, [run.load], run.apps, run.requirements, clocks=clocks)


def test_a_failure_is_put_into_the_phase_by_the_harnesss_clock() -> None:
    at = MIGRATION.start + 0.4
    (right,) = judged(at).failures
    (behind,) = judged(at, AHEAD).failures
    assert (right.phase, behind.phase) == ("migration", "upgrade")
    assert behind.at == pytest.approx(at - 0.5)


def test_every_time_of_a_ledger_is_corrected_and_the_ledger_itself_left_alone() -> None:
    beside = Neighbour(sequence=1, at=10, ended=11, how="answered")
    failure = ClientFailure(
        sequence=2, at=12, ended=13, kind="reset", detail="", previous=beside, following=None
    )
    client = {"name": "c", "class": "post", "pod": "app-0", "sent": [(1, 2)], "answered": [(1, 1)]}
    kept = {"client": "c", "class": "post", "pod": "app-0", "opened": 1, "ended": None, "how": "open"}
    load = LoadLedger(
        worker="worker-0",
        started=1,
        stopped=20,
        clients=[Client.model_validate({**client, "failures": [failure]})],
        connections=[Connection.model_validate({**kept, "requests": 2})],
        series=packed([Slot(at=10, traffic_class="post", pod="app-0")]),
        saturation=Saturation(late_fraction=0, max_lag_ms=0, cpu_fraction=0),
    )
    back = Clocks([AHEAD]).corrected(load)
    corrected = back.clients[0].failures[0]
    assert (back.started, back.stopped, back.series[0].time(0), back.connections[0].opened) == (
        0.5,
        19.5,
        9.5,
        0.5,
    )
    assert (corrected.at, corrected.ended, corrected.following) == (11.5, 12.5, None)
    assert corrected.previous == Neighbour(sequence=1, at=9.5, ended=10.5, how="answered")
    assert (load.started, load.series[0].time(0), load.clients[0].failures[0].at) == (1, 10, 12)
    assert Clocks([]).corrected(load) is load


@pytest.mark.parametrize(
    ("after", "uncertainty_ms", "doubtful"),
    [
        (0.0005, 0, True),  # the log line tells the start to a millisecond
        (-0.0005, 0, True),
        (0.01, 0, False),
        (0.01, 20, True),  # the clocks leave it open
        (0.05, 20, False),
    ],
)
def test_a_phase_is_in_doubt_within_what_clocks_and_witnesses_leave_open(
    after: float, uncertainty_ms: float, doubtful: bool
) -> None:
    clock = ClockOffset(pod="worker-0", offset_ms=0, uncertainty_ms=uncertainty_ms)
    (failure,) = judged(MIGRATION.start + after, clock).failures
    assert failure.in_doubt is doubtful
