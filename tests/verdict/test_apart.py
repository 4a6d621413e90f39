"""Which latencies in flips are a stall of the sidecar, and which are the machine's noise."""

from __future__ import annotations

import random

import pytest

from harness.verdict.budgets import Budget
from harness.verdict.stalls import FlipLatency, stalls, stands_apart

BUDGET = Budget()


def flips(to: str, own: list[float], steady: float = 5.0) -> list[FlipLatency]:
    return [FlipLatency(to, value, steady, steady) for value in own]


def test_flips_that_are_all_slower_than_in_peace_are_a_stall() -> None:
    assert stalls(flips("v2", [310.0, 305.0, 330.0]), BUDGET)


def test_a_single_slow_flip_is_none() -> None:
    assert not stalls(flips("v2", [310.0, 8.0, 7.0, 9.0]), BUDGET)


def test_noise_that_hides_a_stall_from_peace_does_not_hide_it_from_the_other_image() -> None:
    groups = {
        "v2": flips("v2", [429.0, 501.0, 384.0, 396.0, 415.0, 460.0], steady=283.0),
        "v1": flips("v1", [114.0, 150.0, 98.0, 120.0, 180.0, 110.0], steady=283.0),
    }
    assert not stalls(groups["v2"], BUDGET)
    assert stands_apart("v2", groups, BUDGET)
    assert not stands_apart("v1", groups, BUDGET)


@pytest.mark.parametrize(
    ("slow", "quick"),
    [
        ([300.0] * 4, [50.0] * 6),  # too few
        ([300.0] * 5 + [60.0], [50.0] * 5 + [70.0]),  # they overlap
        ([140.0] * 6, [50.0] * 6),  # not by far
        ([300.0] * 6, [180.0] * 6),  # not twice as much
    ],
)
def test_what_could_be_chance_or_is_little_stands_not_apart(slow: list[float], quick: list[float]) -> None:
    assert not stands_apart("v2", {"v2": flips("v2", slow), "v1": flips("v1", quick)}, BUDGET)


def test_one_image_alone_stands_apart_from_nothing() -> None:
    assert not stands_apart("any image", {"any image": flips("v2", [300.0] * 9)}, BUDGET)


def test_the_same_noise_at_both_images_hardly_ever_stands_apart() -> None:
    lot = random.Random(1)
    alarms = 0
    for _ in range(2000):
        groups = {
            image: flips(image, [lot.lognormvariate(4.5, 1.0) for _ in range(5)], steady=90.0)
            for image in ("v1", "v2")
        }
        alarms += any(stands_apart(image, groups, BUDGET) for image in groups)
    assert alarms <= 20  # 2 of 252 orders put all of one image behind all of the other
