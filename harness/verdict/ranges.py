"""Algebra on sets of sequence numbers kept as inclusive ranges. Knows nothing of requests.

Ten million requests are a few ranges, so nothing here ever walks over single numbers unless it is asked to.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import chain

from harness.record.ledger import Ranges


def normal(pairs: Iterable[tuple[int, int]]) -> Ranges:
    """Sorted, disjoint and not adjacent, whatever came in."""
    merged: Ranges = []
    for first, last in sorted(pairs):
        if merged and first <= merged[-1][1] + 1:
            merged[-1] = (merged[-1][0], max(merged[-1][1], last))
        else:
            merged.append((first, last))
    return merged


def of(numbers: Iterable[int]) -> Ranges:
    """The ranges of single numbers."""
    return normal((number, number) for number in numbers)


def union(*sets: Ranges) -> Ranges:
    """What lies in any of them."""
    return normal(chain.from_iterable(sets))


def minus(left: Ranges, right: Ranges) -> Ranges:
    """What lies in `left` and not in `right`; both normal."""
    rest: Ranges = []
    cut = 0
    for first, last in left:
        while cut < len(right) and right[cut][1] < first:
            cut += 1
        at = cut
        while at < len(right) and right[at][0] <= last:
            if right[at][0] > first:
                rest.append((first, right[at][0] - 1))
            first = right[at][1] + 1
            at += 1
        if first <= last:
            rest.append((first, last))
    return rest


def both(left: Ranges, right: Ranges) -> Ranges:
    """What lies in `left` and in `right`; both normal."""
    return minus(left, minus(left, right))


def count(ranges: Ranges) -> int:
    """How many numbers."""
    return sum(last - first + 1 for first, last in ranges)


def numbers(ranges: Ranges) -> Iterator[int]:
    """Each number, ascending."""
    return chain.from_iterable(range(first, last + 1) for first, last in ranges)
