from harness.record.ledger import Neighbour
from harness.record.report import LogLine, Scenario
from harness.verdict import judge
from harness.verdict.failures import MOST_LINES, WITH_LOG
from tests.verdict import synthetic
from tests.verdict.synthetic import START, Run


def judged(run: Run, *logs: LogLine) -> Scenario:
    return judge.judge("s", run.upgrades, [run.load], run.apps, run.requirements, logs=logs)


def line(at: float, pod: str = "app-0", text: str = "") -> LogLine:
    return LogLine(at=at, pod=pod, source="sidecar-1", text=text)


def test_a_failure_has_what_its_pods_wrote_within_a_second() -> None:
    run = synthetic.run(upgrades=1)
    synthetic.fail(run, "post-app-0", 50, "timeout", START + 3, START + 8)
    near = [line(START + 2.1), line(START + 3.9), line(START + 7.1), line(START + 8.9)]
    far = [line(START + 1.9), line(START + 5.5), line(START + 9.1), line(START + 3, pod="app-1")]
    assert judged(run, *far, *reversed(near)).failures[0].log == near


def test_a_failure_on_the_way_through_a_pod_has_the_lines_of_both() -> None:
    run = synthetic.run(upgrades=1)
    synthetic.fail(run, "post-app-0", 50, "reset", START + 3)
    next(client for client in run.load.clients if client.name == "post-app-0").via = "app-1"
    lines = [line(START + 3, "app-0"), line(START + 3.1, "app-1")]
    assert judged(run, *lines, line(START + 3, "app-2")).failures[0].log == lines


def test_of_many_lines_the_nearest_are_kept_in_the_order_of_their_times() -> None:
    run = synthetic.run(upgrades=1)
    synthetic.fail(run, "post-app-0", 50, "reset", START + 3, START + 3)
    lines = [line(START + 3 + number / 100) for number in range(-60, 60)]
    log = judged(run, *lines).failures[0].log
    assert len(log) == MOST_LINES
    assert log == sorted(log, key=lambda line: line.at)
    assert max(abs(line.at - START - 3) for line in log) < 0.21


def test_only_the_first_failures_have_a_log() -> None:
    run = synthetic.run(upgrades=1)
    for number in range(WITH_LOG + 5):
        synthetic.fail(run, "post-app-0", 10 + number, "reset", START + 3 + number / 1000)
    found = judged(run, line(START + 3)).failures
    assert [bool(failure.log) for failure in found] == [True] * WITH_LOG + [False] * 5


def test_a_failure_has_its_neighbours() -> None:
    run = synthetic.run(upgrades=1)
    synthetic.fail(run, "post-app-0", 50, "reset", START + 3)
    beside = Neighbour(sequence=49, at=START, ended=START + 1, how="answered", served_by="v1")
    client = next(client for client in run.load.clients if client.name == "post-app-0")
    client.failures[0].previous = beside
    (failure,) = judged(run).failures
    assert (failure.previous, failure.following) == (beside, None)
