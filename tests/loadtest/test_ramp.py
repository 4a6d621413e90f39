import pytest

from harness.loadtest import ramp
from harness.record.loadtest import Knee, Limits, RampStep
from tests.loadtest.made import START, Went, load, slot
from tests.record.slots import packed

LIMITS = Limits()
FINE = Went()


def factors(count: int) -> list[float]:
    return [1.0 + number for number in range(count)]


def steps(*went: Went) -> list[RampStep]:
    return ramp.steps([load(went)], factors(len(went)), LIMITS)


def knee(*went: Went) -> Knee:
    found = ramp.knee(steps(*went), LIMITS)
    assert found is not None
    return found


def test_a_step_tells_what_was_asked_reached_and_how_long_it_took() -> None:
    (step,) = steps(Went(asked=100, reached=99, ms=4.0, late=1, busy=0.6))
    assert (step.factor, step.asked, step.reached, step.failed) == (1.0, 100.0, 99.0, 0)
    assert step.late == pytest.approx(1 / 99)
    assert step.busy == pytest.approx(0.6)
    assert step.latency is not None
    assert step.latency.p99 == pytest.approx(4.0, rel=0.01)
    assert step.lacks == []


def test_workers_are_added_up_each_by_its_own_beginning_and_the_worst_one_counts_for_the_generator() -> None:
    loads = [load([Went(asked=100)]), load([Went(asked=50, busy=0.9, late=1)], "worker-1", START + 0.37)]
    (step,) = ramp.steps(loads, [1.0], LIMITS)
    assert (step.asked, step.reached) == (150.0, 150.0)
    assert step.busy == pytest.approx(0.9)
    assert step.late == pytest.approx(1 / 50)


@pytest.mark.parametrize(
    ("went", "said"),
    [
        (Went(reached=97), "97 of 100 requests a second were reached"),
        (Went(ms=260.0), "p99 260 ms"),
        (Went(failed=1), "4 failed"),
        (Went(late=3), "the load generator sent 3.0% late"),
        (Went(busy=0.96), "the load generator was busy for 96% of the time"),
    ],
)
def test_a_step_that_breaks_any_limit_did_not_keep_up_and_says_why(went: Went, said: str) -> None:
    (step,) = steps(went)
    assert step.lacks == [said]


def test_a_step_at_its_limits_kept_up() -> None:
    (step,) = steps(Went(reached=98, ms=248.0, late=1, busy=0.95))
    assert step.lacks == []


def test_a_step_whose_requests_never_ended_has_no_latency_since_that_of_the_lucky_ones_says_nothing() -> None:
    (step,) = steps(Went(reached=60, ended=50, ms=2.0))
    assert step.latency is None
    assert "many never came to an end" in step.lacks


def test_what_lasts_by_design_is_in_no_latency() -> None:
    made = load([FINE])
    made.series += packed([slot(START + 2.0, 1, 900.0, name="stream")])
    (step,) = ramp.steps([made], [1.0], LIMITS)
    assert step.latency is not None
    assert step.latency.max == pytest.approx(4.0, rel=0.01)


def test_a_ramp_that_was_ended_early_has_the_steps_that_came_to_their_end() -> None:
    whole = load([FINE, FINE])
    cut = whole.model_copy(update={"efforts": whole.efforts[:7]})
    assert [step.factor for step in ramp.steps([cut], factors(3), LIMITS)] == [1.0]
    assert [step.factor for step in ramp.steps([whole, cut], factors(3), LIMITS)] == [1.0]
    assert ramp.steps([], factors(3), LIMITS) == []


def test_the_knee_is_the_highest_step_that_kept_up_and_the_sidecars_if_the_generator_had_room() -> None:
    found = knee(FINE, Went(asked=120), Went(asked=140, ms=300.0, busy=0.7))
    assert (found.factor, found.rate, found.limit, found.at_least) == (2.0, 120.0, "sidecar", False)
    assert found.why == "p99 300 ms"


@pytest.mark.parametrize("generator", [{"busy": 0.99}, {"late": 9}])
def test_a_knee_beyond_which_the_generator_itself_cannot_keep_up_is_told_as_at_least(
    generator: dict[str, float],
) -> None:
    found = knee(FINE, Went(ms=300.0, **generator))  # type: ignore[arg-type]
    assert (found.factor, found.limit, found.at_least) == (1.0, "load generator", True)


def test_a_ramp_that_ends_while_answers_keep_up_is_told_as_at_least() -> None:
    found = knee(FINE, FINE)
    assert (found.factor, found.limit, found.at_least) == (2.0, "ramp", True)


def test_noise_below_a_step_that_kept_up_is_not_the_knee() -> None:
    assert knee(FINE, Went(ms=300.0), FINE, Went(ms=300.0)).factor == 3.0


def test_where_no_step_kept_up_there_is_no_knee() -> None:
    assert ramp.knee(steps(Went(ms=300.0)), LIMITS) is None
    assert ramp.knee([], LIMITS) is None
