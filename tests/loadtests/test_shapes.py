from collections.abc import Callable
from itertools import islice, pairwise
from math import floor

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from loadtests import shapes
from loadtests.shapes import CONSTANT, Arrivals, Shape

Factor = Callable[[float], float]

FORMS: dict[str, Factor] = {
    "constant": lambda t: 1,
    "constant:2.5": lambda t: 2.5,
    "ramp:0.2..2/30": lambda t: min(0.2 + 1.8 * t / 30, 2),
    "ramp:2..0.5/10": lambda t: max(2 - 1.5 * t / 10, 0.5),
    "ramp:0..1/5": lambda t: min(t / 5, 1),
    "steps:0.5,1,2/10": lambda t: 0.5 if t < 10 else 1 if t < 20 else 2,
    "steps:1,0,1/3": lambda t: 0 if 3 <= t < 6 else 1,
    "spike:4@10+5": lambda t: 4 if 10 <= t < 15 else 1,
    "spike:0@0+5": lambda t: 0 if t < 5 else 1,
}
"""Each shape as what it says: a factor at every moment."""

texts = st.sampled_from(sorted(FORMS))
moments = st.floats(0, 100)


@pytest.mark.parametrize("text", FORMS)
def test_the_volume_is_the_integral_of_what_the_shape_says(text: str) -> None:
    shape, factor, step = shapes.read(text), FORMS[text], 0.01
    total = 0.0
    for number in range(4000):
        assert shape.volume(number * step) == pytest.approx(total, abs=0.05)
        total += factor((number + 0.5) * step) * step


@given(texts, moments)
def test_a_moment_follows_from_its_volume_but_for_pauses(text: str, moment: float) -> None:
    shape = shapes.read(text)
    volume = shape.volume(moment)
    found = shape.when(volume)
    assert shape.volume(found) == pytest.approx(volume, abs=1e-6)
    if all(FORMS[text](near) > 0.01 for near in (moment - 0.01, moment, moment + 0.01)):
        assert found == pytest.approx(moment, abs=1e-6)


@given(texts, st.floats(0.01, 5), st.floats(0, 0.999), st.floats(0, 30))
@example("ramp:0..1/5", 1.0, 5e-324, 0.0)
def test_a_clients_times_are_those_at_which_its_integral_passes_whole_numbers(
    text: str, interval_s: float, phase: float, late_s: float
) -> None:
    shape, start = shapes.read(text), 1000.0
    arrivals = Arrivals(shape, interval_s, phase, start, start + late_s)
    times = list(islice(arrivals, 40))
    assert all(before < after for before, after in pairwise(times))
    assert times[0] >= start + late_s - 1e-6
    requests = [shape.volume(time - start) / interval_s - phase for time in times]
    assert requests == pytest.approx([round(requests[0]) + number for number in range(40)], abs=1e-6)


def test_a_constant_load_is_one_request_an_interval() -> None:
    arrivals = Arrivals(CONSTANT, 0.04, 0.25, 500.0, 500.0)
    assert list(islice(arrivals, 4)) == pytest.approx([500.01, 500.05, 500.09, 500.13])


def test_a_spike_sends_more_while_it_lasts_and_nobody_waits_for_an_answer() -> None:
    arrivals = Arrivals(shapes.read("spike:4@10+5"), 1.0, 0.5, 0.0, 0.0)
    times = list(islice(arrivals, 45))
    assert [sum(start <= time < start + 5 for time in times) for start in (0, 5, 10, 15, 20)] == [
        5,
        5,
        20,
        5,
        5,
    ]


def test_a_factor_of_0_is_a_pause_and_all_go_on_after_it() -> None:
    clients = [Arrivals(shapes.read("spike:0@2+3"), 1.0, phase, 0.0, 0.0) for phase in (0.0, 0.5)]
    assert [list(islice(one, 4)) for one in clients] == [[0, 1, 5, 6], [0.5, 1.5, 5.5, 6.5]]


@given(texts, st.floats(0.01, 2), st.floats(0, 0.999), st.floats(0, 40))
def test_what_was_asked_for_is_known_without_sending_anything(
    text: str, interval_s: float, phase: float, span_s: float
) -> None:
    arrivals = Arrivals(shapes.read(text), interval_s, phase, 0.0, 0.0)
    due = arrivals.due_by(span_s)
    times = list(islice(arrivals, due + 1))
    assert all(time <= span_s + 1e-6 for time in times[:due])
    assert times[due] >= span_s - 1e-6


def test_a_request_counts_as_sent_when_the_next_one_is_asked_for() -> None:
    arrivals = Arrivals(CONSTANT, 1.0, 0.0, 0.0, 0.0)
    assert arrivals.sent == 0
    for number, _ in enumerate(islice(arrivals, 5)):
        assert arrivals.sent == number
    assert (arrivals.sent, arrivals.due_by(9.5)) == (4, 10)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", "'' is no shape; give constant, or for example constant:2, ramp:"),
        ("sine", "'sine' is no shape"),
        ("constant:", "is no shape"),
        ("constant:-1", "is no shape"),
        ("constant:nan", "is no shape"),
        ("ramp:1..2", "is no shape"),
        ("ramp:1..2/30s", "is no shape"),
        ("steps:1/10", "is no shape"),
        ("spike:4@10", "is no shape"),
        ("spike:4@10+5 ", "is no shape"),
        ("constant:0", "ends with a factor of 0, and nothing would be sent any more"),
        ("ramp:1..0/30", "ends with a factor of 0"),
        ("steps:1,0/10", "ends with a factor of 0"),
        ("ramp:1..2/0", "has a stretch of 0 seconds"),
        ("spike:4@1+0", "has a stretch of 0 seconds"),
    ],
)
def test_what_is_no_shape_is_told_in_one_line(text: str, complaint: str) -> None:
    with pytest.raises(ValueError) as raised:
        shapes.read(text)
    assert complaint in str(raised.value)
    assert "\n" not in str(raised.value)


def test_times_stay_exact_over_days() -> None:
    arrivals = Arrivals(CONSTANT, 0.04, 0.0, 0.0, 86400.0)
    first = next(iter(arrivals))
    assert first == pytest.approx(86400.0, abs=1e-6)
    assert floor(Shape(CONSTANT.pieces).volume(86400.0)) == 86400
