from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from harness.verdict import ranges

sets = st.frozensets(st.integers(1, 40))


@given(sets, sets)
def test_algebra_on_ranges_is_algebra_on_sets(left: frozenset[int], right: frozenset[int]) -> None:
    a, b = ranges.of(left), ranges.of(right)
    assert set(ranges.numbers(ranges.union(a, b))) == left | right
    assert set(ranges.numbers(ranges.minus(a, b))) == left - right
    assert set(ranges.numbers(ranges.both(a, b))) == left & right
    assert ranges.count(a) == len(left)


@given(sets)
def test_ranges_are_as_few_as_possible(numbers: frozenset[int]) -> None:
    found = ranges.of(numbers)
    assert found == sorted(found)
    assert all(right[0] > left[1] + 1 for left, right in pairwise(found))


def test_overlapping_pairs_become_one() -> None:
    assert ranges.normal([(5, 9), (1, 5), (7, 8), (11, 12)]) == [(1, 9), (11, 12)]
