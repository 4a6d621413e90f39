"""How steps are carried out that only wait: nothing is upgraded here, and no time passes."""

from __future__ import annotations

from collections.abc import Callable
from itertools import chain, repeat
from typing import Any

import pytest

from harness.act import Act
from harness.play import FAR_BEHIND_S, LOOK_S, Player, Stage
from harness.scenarios.catalogue import Turn
from harness.scenarios.scenario import Scenario
from harness.scenarios.steps import Climb, Step, Upgrade
from harness.verdict.requirements import Requirements


class Stand:
    """Cluster, subject and driver at once; notes how long was waited."""

    def __init__(self) -> None:
        self.waited: list[float] = []

    def idle(self, seconds: float) -> None:
        self.waited.append(seconds)

    def image_after(self, image: str) -> str:
        return image

    def alias(self, image: str, index: int) -> str:
        return image

    def __getattr__(self, name: str) -> Any:
        return self if name in ("driver", "subject", "cluster") else lambda *_: None


def play(step: Step, behind_s: Callable[[], float] = lambda: 0.0) -> tuple[Act, list[float]]:
    stand: Any = Stand()
    scenario = Scenario("made-up", "core", "Made up.", (step,))
    act = Act(Turn(scenario), Requirements(0, 0, 1, (), None), "sidecar:v1")
    Player(act, Stage(stand, stand, stand, 1, stand, stand, behind_s)).play([step])
    return act, stand.waited


def test_a_rate_grows_to_its_end_while_the_load_generator_keeps_up() -> None:
    act, waited = play(Climb(20.0, patience_s=3.0))
    assert sum(waited) == 20.0
    assert len(act.faults) == 1  # what the scenario allows is allowed from here on


def test_a_rate_that_has_been_too_much_for_long_enough_does_not_grow_on() -> None:
    behind = chain(repeat(0.0, 4), repeat(FAR_BEHIND_S + 0.1))
    _, waited = play(Climb(20.0, patience_s=3.0), behind.__next__)
    assert sum(waited) == 4 * LOOK_S + 3.0


def test_a_load_generator_that_caught_up_again_is_given_its_whole_patience() -> None:
    behind = chain(repeat(FAR_BEHIND_S + 0.1, 4), repeat(0.0, 1), repeat(FAR_BEHIND_S + 0.1))
    _, waited = play(Climb(20.0, patience_s=3.0), behind.__next__)
    assert sum(waited) == 5 * LOOK_S + 3.0


def test_upgrades_that_come_every_few_seconds_wait_for_what_is_left_of_them() -> None:
    _, waited = play(Upgrade(count=2, every_s=6.0))
    assert waited == [pytest.approx(6.0, abs=0.5)] * 2


def test_upgrades_that_took_longer_than_that_still_have_a_pause() -> None:
    _, waited = play(Upgrade(pause_s=0.7, every_s=0.0))
    assert waited == [0.7]
