"""All scenarios, by profile. `hotupgrade scenarios` shows them. Knows nothing of what each of them does."""

from __future__ import annotations

import difflib
import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from harness.errors import InputError
from harness.record.report import ProfileName
from harness.scenarios.core import CORE
from harness.scenarios.extended import EXTENDED
from harness.scenarios.resilience import RESILIENCE
from harness.scenarios.scenario import Scenario

SCENARIOS: dict[str, Scenario] = {scenario.name: scenario for scenario in (*CORE, *EXTENDED, *RESILIENCE)}
Choice = ProfileName | Literal["all"]


@dataclass(frozen=True)
class Turn:
    """A scenario to play, for the `repetition`th time, from 1."""

    scenario: Scenario
    repetition: int = 1


def named(name: str) -> Scenario:
    """The scenario of that name; InputError with near matches."""
    found = SCENARIOS.get(name)
    if found is None:
        near = difflib.get_close_matches(name, SCENARIOS, n=3, cutoff=0.4)
        hint = f"do you mean {' or '.join(near)}?" if near else "hotupgrade scenarios list shows them all"
        raise InputError(f"--scenario {name}: there is none of that name; {hint}")
    return found


def of_profile(choice: Choice) -> list[Scenario]:
    """All scenarios of a profile, or all."""
    return [scenario for scenario in SCENARIOS.values() if choice in ("all", scenario.profile)]


def programme(scenarios: Sequence[Scenario], repeat: int, shuffle: int | None) -> list[Turn]:
    """What is played, in order; `shuffle` is the seed of an order by lot."""
    turns = [Turn(scenario, number) for number in range(1, repeat + 1) for scenario in scenarios]
    if shuffle is not None:
        random.Random(shuffle).shuffle(turns)
    return turns
