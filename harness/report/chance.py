"""How likely it is that chance alone made a difference between two counts. Knows nothing of reports."""

from __future__ import annotations

from collections.abc import Iterator
from math import exp, lgamma


def at_least(marked: int, drawn: int, all_marked: int, whole: int) -> float:
    """Fisher's exact test, one-sided: of `whole` things `all_marked` are marked, and `drawn` of them are drawn.

    The probability that `marked` or more of the drawn ones are marked. A part's share is a bad sign if it is small.
    """
    low, high = max(0, drawn + all_marked - whole), min(drawn, all_marked)
    if marked <= low:
        return 1.0
    if marked * whole > drawn * all_marked:  # above the mean: what is summed shrinks from term to term
        return min(1.0, sum(_terms(marked, high, drawn, all_marked, whole)))
    below = sum(_terms(drawn - marked + 1, drawn - low, drawn, whole - all_marked, whole))
    return max(0.0, 1.0 - below)


def _terms(first: int, last: int, drawn: int, marked: int, whole: int) -> Iterator[float]:
    """Probabilities of `first`, `first` + 1 … `last` marked ones."""
    term = exp(_choose(marked, first) + _choose(whole - marked, drawn - first) - _choose(whole, drawn))
    for count in range(first, last + 1):
        yield term
        term *= (marked - count) * (drawn - count)
        term /= (count + 1) * (whole - marked - drawn + count + 1)


def _choose(whole: int, part: int) -> float:
    """Logarithm of the binomial coefficient."""
    return lgamma(whole + 1) - lgamma(part + 1) - lgamma(whole - part + 1)
