import pytest

from harness.record.report import Latency
from harness.report import tables
from tests.report import example


def latency(p99: float) -> Latency:
    return Latency(count=1000, p50=1, p90=1, p99=p99, p999=1, max=1)


@pytest.mark.parametrize(
    ("p99", "shade"), [(4.0, 0), (5.9, 0), (6.0, 1), (8.0, 2), (16.0, 3), (40.0, 4), (4000.0, 4)]
)
def test_latency_is_shaded_by_how_much_slower_than_steady_it_is(p99: float, shade: int) -> None:
    assert tables.warmth(latency(p99), latency(4.0), "p99") == shade


def test_less_than_a_millisecond_more_is_not_shaded() -> None:
    assert tables.warmth(latency(1.2), latency(0.3), "p99") == 0


def test_nothing_is_shaded_without_a_steady_state() -> None:
    assert tables.warmth(latency(400), None, "p99") == 0


def test_phases_are_counted_over_pods_and_upgrades() -> None:
    scenario = example.hot(upgrades=3)
    scenario.upgrades[2].pods[1].phases[1].end = None
    made = {one.phase: one for one in tables.durations(scenario)}
    assert list(made) == ["upgrade", "migration", "reset"]
    assert (made["migration"].count, made["migration"].open) == (6, 1)
    assert made["migration"].median == pytest.approx(0.836)
    assert made["migration"].witnesses == "log line ± 1 ms"


def test_phase_that_never_ended_has_no_length() -> None:
    scenario = example.hot(upgrades=1)
    for pod in scenario.upgrades[0].pods:
        pod.phases[0].end = None
    made = tables.durations(scenario)[0]
    assert (made.count, made.open, made.slowest) == (2, 2, "")


def test_what_lasts_by_design_is_not_the_worst_latency() -> None:
    scenario = example.hot(upgrades=1)
    assert scenario.classes["slow-upload"].latency["migration"].p99 > 10_000
    worst = tables.worst_p99(scenario)
    assert worst is not None
    assert worst < 100
