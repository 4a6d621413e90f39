from math import comb

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.report.chance import at_least


def exact(marked: int, drawn: int, all_marked: int, whole: int) -> float:
    ways = sum(
        comb(all_marked, count) * comb(whole - all_marked, drawn - count)
        for count in range(max(marked, 0), min(drawn, all_marked) + 1)
    )
    return ways / comb(whole, drawn)


@given(st.data())
def test_probability_is_the_one_that_counting_gives(data: st.DataObject) -> None:
    whole = data.draw(st.integers(1, 80))
    drawn, all_marked = data.draw(st.integers(0, whole)), data.draw(st.integers(0, whole))
    marked = data.draw(st.integers(0, min(drawn, all_marked)))
    assert at_least(marked, drawn, all_marked, whole) == pytest.approx(
        exact(marked, drawn, all_marked, whole), abs=1e-9
    )


def test_millions_of_requests_are_no_trouble() -> None:
    assert at_least(1_000, 2_000_000, 1_000, 4_000_000) < 1e-200
    assert at_least(0, 2_000_000, 1_000, 4_000_000) == 1
    assert at_least(10, 2_000_000, 1_000, 4_000_000) == pytest.approx(1)
    assert at_least(500, 2_000_000, 1_000, 4_000_000) == pytest.approx(0.5126, abs=1e-3)
