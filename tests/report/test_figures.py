import pytest

from harness.record.report import Fault, LogLine, Scenario
from harness.report import figures
from tests.report import example

ALL = figures.Share(points=5_000, events=5_000, failures=5_000, lines=5_000)


def test_nothing_is_a_figure_too() -> None:
    made = figures.figure(Scenario(name="hot", outcome="interrupted"), ALL)
    assert made["points"]["at"] == made["pods"] == made["phases"] == made["failures"] == []


def test_every_request_and_failure_is_on_the_time_line() -> None:
    scenario = example.cold()
    points = figures.figure(scenario, ALL)["points"]
    assert sum(points["sent"]) == scenario.traffic.sent
    assert sum(points["failed"]) == scenario.traffic.failed


def test_times_count_from_the_first_thing_that_happened() -> None:
    scenario = example.hot(upgrades=1)
    scenario.faults = [Fault(at=example.START - 1.5, name="early")]
    made = figures.figure(scenario, ALL)
    assert made["start"] == (example.START - 1.5) * 1000
    assert made["faults"] == [[0.0, "early", None, ""]]
    assert made["points"]["at"][:3] == [1500, 1600, 1700]
    assert made["end"] == made["points"]["at"][-1] + made["width"]


def test_long_run_is_drawn_in_wider_points_that_lose_nothing() -> None:
    scenario = example.hot(upgrades=1)
    point = scenario.timeline[0]
    scenario.timeline = [
        point.model_copy(
            update={"at": point.at + n / 10, "failed": 1, "p99": float(n), "opened": 2, "cut": 1}
        )
        for n in range(36_000)
    ]
    made = figures.figure(scenario, ALL)
    points = made["points"]
    assert len(points["at"]) <= ALL.points
    assert (sum(points["failed"]), sum(points["opened"]), sum(points["cut"])) == (36_000, 72_000, 36_000)
    assert points["p99"][-1] == 35_999
    assert made["width"] == 800


def test_scenarios_share_what_a_page_holds() -> None:
    made = figures.figures(example.many(60))
    assert sum(len(one["points"]["at"]) for one in made) <= figures.PAGE_POINTS
    assert sum(len(one["failures"]) for one in made) <= figures.PAGE_FAILURES


def test_what_is_left_out_is_counted() -> None:
    share = figures.Share(points=100, events=3, failures=10, lines=5_000)
    assert figures.figure(example.cold(failures=240), share)["left"] == {"events": 0, "failures": 230}
    assert figures.figure(example.hot(upgrades=1), share)["left"] == {"events": 15, "failures": 0}


def test_failures_that_count_are_kept_rather_than_allowed_ones() -> None:
    scenario = example.cold(failures=30)
    for failure in scenario.failures[:20]:
        failure.allowed = "in flight"
    kept = figures.first(scenario.failures, 12)
    assert sum(failure.allowed is None for failure in kept) == 10
    assert kept == sorted(kept, key=lambda failure: failure.at)


def test_log_lines_that_failures_share_are_kept_once() -> None:
    scenario = example.cold(failures=10)
    line = LogLine(at=example.START + 2, pod="app-0", source="sidecar", text="drain")
    for failure in scenario.failures:
        failure.log = [line]
    made = figures.figure(scenario, ALL)
    assert len(made["lines"]) == 1
    assert [failure["log"] for failure in made["failures"]] == [[0]] * 10


def test_lines_beyond_the_share_are_left_out() -> None:
    share = figures.Share(points=100, events=3, failures=10, lines=4)
    assert len(figures.figure(example.cold(), share)["lines"]) == 4


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["app-c6d-flv69", "app-c6d-ngsnd"], ["flv69", "ngsnd"]),
        (["app-c6d-flv69"], ["flv69"]),
        (["one", "two"], ["one", "two"]),
        (["app", "app-1"], ["app", "app-1"]),
        ([], []),
    ],
)
def test_rows_of_the_time_line_are_named_by_what_tells_them_apart(
    names: list[str], expected: list[str]
) -> None:
    assert figures.short(names) == expected
