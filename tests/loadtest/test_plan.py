from itertools import pairwise

import pytest

from harness.loadtest.plan import FIRST, GROWTH, OWN_PACE, PACED, SHARE, STEP_S, Plan
from harness.record.loadtest import Knee
from harness.traffic.workload import check_shape
from loadtests import shapes
from loadtests.classes import CLASSES


def plan(minutes: float = 5.0, ramp_to: float = 6.0, pods: int = 1) -> Plan:
    return Plan(pods=pods, workers=2, minutes=minutes, ramp_to=ramp_to)


def knee(factor: float = 2.0, rate: float = 2300.0) -> Knee:
    return Knee(factor=factor, rate=rate, p99_ms=8.0, limit="sidecar", at_least=False, why="p99 200 ms")


@pytest.mark.parametrize("ramp_to", [1.0, 1.7, 6.0, 100.0])
def test_a_ramp_grows_by_equal_shares_up_to_what_was_asked_for(ramp_to: float) -> None:
    factors = plan(ramp_to=ramp_to).factors
    assert factors[-1] == ramp_to
    assert FIRST / GROWTH <= factors[0] <= FIRST
    for before, after in pairwise(factors):
        assert after / before == pytest.approx(GROWTH, abs=0.01)


@pytest.mark.parametrize("ramp_to", [1.0, 6.0, 100.0])
def test_the_load_generator_sends_at_each_steps_rate_for_as_long_as_a_step_lasts(ramp_to: float) -> None:
    asked = plan(ramp_to=ramp_to)
    shape = shapes.read(asked.ramp.shape)
    for number, factor in enumerate(asked.factors):
        begin, end = number * STEP_S, (number + 1) * STEP_S
        assert shape.volume(end) - shape.volume(begin) == pytest.approx(factor * STEP_S)


def test_a_ramp_upgrades_nothing_and_only_what_is_beyond_it_may_be_lost() -> None:
    ramp = plan().ramp
    assert (ramp.upgrades, ramp.expects, ramp.to_the_limit) == (0, "nothing", True)
    assert ramp.allowed is not None
    assert "corrupted" not in ramp.allowed.kinds
    assert ramp.allowed.within_s > len(plan().factors) * STEP_S


def test_a_soak_lasts_as_long_as_was_asked_for_at_a_part_of_the_knee_and_nothing_may_be_lost() -> None:
    asked = plan(minutes=5.0)
    soak = asked.soak(knee(rate=2300.0))
    assert soak.upgrades * asked.every_s == pytest.approx(300, abs=asked.every_s)
    factor = float(soak.shape.removeprefix("constant:"))
    assert factor * 1100 + 250 == pytest.approx(SHARE * 2300.0, abs=1)
    check_shape(soak.shape)
    assert (soak.allowed, soak.to_the_limit, soak.plain) == (None, False, True)


def test_a_short_soak_still_goes_there_and_back() -> None:
    assert plan(minutes=0.2, pods=5).soak(knee()).upgrades == 2


def test_a_slow_sidecar_is_not_asked_for_more_requests_than_its_knee_has_room_for() -> None:
    asked = plan()
    slow = asked.soak(knee(rate=100.0))
    assert slow.requests_per_upgrade < 100.0 * SHARE * asked.every_s


def test_its_clients_make_the_rates_of_the_classes_that_the_ramp_scales() -> None:
    assert {**PACED, **OWN_PACE} == plan().ramp.clients == plan().soak(knee()).clients
    for name, (count, seconds) in PACED.items():
        assert CLASSES[name].paced
        assert count / seconds == pytest.approx(CLASSES[name].clients / CLASSES[name].interval_s)
    for name, (count, seconds) in OWN_PACE.items():
        assert not CLASSES[name].paced
        assert count / seconds >= 100  # an upgrade lasts a second at least
