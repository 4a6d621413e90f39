from itertools import islice
from time import monotonic

import gevent
import pytest

from harness.record.ledger import LoadLedger
from loadtests import ledger
from loadtests.effort import EVERY_S, Effort, Efforts, behind_s
from loadtests.idleness import Idleness
from loadtests.shapes import CONSTANT, Arrivals

START = 100.0


class Worker:
    """One client with ten arrivals a second, of which as many come to an end as it is told."""

    def __init__(self) -> None:
        self.arrivals = Arrivals(CONSTANT, 0.1, 0.5, START, START)
        self.late, self.idle_s = 0, 0.0
        self._due = iter(self.arrivals)
        next(self._due)
        self.efforts = Efforts(START, [self.arrivals], lambda: self.late, lambda: self.idle_s)

    def ends(self, count: int) -> None:
        for _ in islice(self._due, count):
            pass


def test_a_second_is_put_down_when_it_is_over_and_only_once() -> None:
    worker = Worker()
    worker.ends(9)
    worker.late, worker.idle_s = 2, 0.25
    for moment in (0.02, 0.98, 1.0, 1.02, 1.98):
        worker.efforts.note(START + moment)
    assert worker.efforts.past == [Effort(EVERY_S, START, asked=10, reached=9, late=2, busy=0.75)]


def test_a_second_that_ends_late_is_as_long_as_it_was() -> None:
    worker = Worker()
    worker.efforts.note(START + 1.5)
    worker.efforts.note(START + 2.0)
    assert [(one.at - START, one.seconds, one.asked) for one in worker.efforts.past] == [
        (0.0, 1.5, 15),
        (1.5, 0.5, 5),
    ]


def test_a_worker_is_as_far_behind_as_its_backlog_takes_at_the_present_rate() -> None:
    worker = Worker()
    assert behind_s(worker.efforts.past) == 0.0
    for second in range(1, 4):
        worker.ends(4)
        worker.efforts.note(START + second)
    assert behind_s(worker.efforts.past) == pytest.approx(1.8)


def test_the_ledger_has_its_efforts_by_the_wall_clock_and_the_recent_ones_of_them() -> None:
    kept = ledger.Ledger("worker-0", ledger.wall(START))
    kept.efforts = [Effort(1.0, START + second, 10, 9, 0, 0.5) for second in range(4)]
    read = LoadLedger.model_validate(kept.document())
    assert [one.at for one in read.efforts] == [ledger.wall(START + second) for second in range(4)]
    recent = LoadLedger.model_validate(kept.document(since=ledger.wall(START + 2)))
    assert recent.efforts == read.efforts[2:]


def test_an_event_loop_that_waits_is_idle_and_one_that_always_has_something_to_do_is_not() -> None:
    idleness = Idleness()
    gevent.sleep(0)
    gevent.sleep(0.05)
    waited = idleness.seconds()
    assert waited > 0.04
    began = monotonic()
    for _ in range(500):
        sum(range(10_000))
        gevent.sleep(0)
    assert idleness.seconds() - waited < (monotonic() - began) / 4
    idleness.end()
    counted = idleness.seconds()
    gevent.sleep(0.05)
    assert idleness.seconds() == counted
