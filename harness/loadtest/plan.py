"""What a load test plays: two scenarios, the second made of what the first one found. Data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from math import ceil, log

from harness.record.loadtest import Knee
from harness.scenarios.scenario import UNREACHABLE, Allowed, Scenario
from harness.scenarios.steps import Climb, Upgrade

FIRST, GROWTH = 0.5, 1.2  # times the usual load, and from step to step: the knee is found to a sixth
STEP_S = 5.0
LONGER_S = 60.0  # than its steps a ramp lasts until its last request has ended
SHARE = 0.7
"""Of the knee: room for what an upgrade costs."""
EVERY_S, POD_S = 4.0, 2.0  # from patch to patch, and more for each pod: pods are upgraded one at a time
PACED = {"new-connection": (50, 0.2), "keep-alive": (120, 0.2), "post": (50, 0.2)}
"""Clients of each class whose rate grows, and seconds between two requests of one, at the usual rate.

That rate is a usual run's, with five times its clients: a client waits for its answer, and where all of them do, it
is they that a load ends at.
"""
OWN_PACE = {"idle-keep-alive": (240, 1.6), "stream": (100, 1.0)}
"""The same of those that keep their pace; more than usual, since the upgrade of one pod may take but a second."""
FEWEST = 2
"""Upgrades of a soak: there and back."""


@dataclass(frozen=True)
class Plan:
    """What is asked for."""

    pods: int
    workers: int
    minutes: float
    ramp_to: float

    @cached_property
    def factors(self) -> list[float]:
        """Of the ramp's steps; the last one is what was asked for."""
        steps = ceil(log(self.ramp_to / FIRST) / log(GROWTH))
        return [round(self.ramp_to * GROWTH**-left, 3) for left in range(steps, -1, -1)]

    @property
    def ramp(self) -> Scenario:
        """Until something gives way: what is lost then is no fault of the sidecar's, but altered answers are."""
        seconds = len(self.factors) * STEP_S
        return Scenario(
            name="ramp",
            profile="core",
            description=f"Arrivals grow by a fifth every {STEP_S:g} s, without an upgrade, to find the knee.",
            steps=(Climb(seconds, patience_s=2 * STEP_S),),
            pods=self.pods,
            clients={**PACED, **OWN_PACE},
            shape=f"steps:{','.join(f'{factor:g}' for factor in self.factors)}/{STEP_S:g}",
            allowed=Allowed(
                "requests beyond what is borne: a ramp goes on until something gives way",
                UNREACHABLE | {"status"},
                within_s=seconds + LONGER_S,
                everywhere=True,
            ),
            to_the_limit=True,
        )

    @property
    def every_s(self) -> float:
        """From one upgrade of the soak to the next."""
        return EVERY_S + POD_S * self.pods

    def soak(self, knee: Knee) -> Scenario:
        """Nothing may be lost. Half of the requests that it asks for are enough: an upgrade may take longer."""
        return Scenario(
            name="soak",
            profile="core",
            description=f"An upgrade every {self.every_s:g} s, at {SHARE:.0%} of the knee's rate.",
            steps=(
                Upgrade(count=max(FEWEST, round(self.minutes * 60 / self.every_s)), every_s=self.every_s),
            ),
            pods=self.pods,
            clients={**PACED, **OWN_PACE},
            shape=f"constant:{self.soak_factor(knee):g}",
            requests_per_upgrade=round(knee.rate * SHARE * self.every_s / 2),
        )

    def soak_factor(self, knee: Knee) -> float:
        """Times the usual rate of those that have no pace of their own."""
        return round((knee.rate * SHARE - _rate(OWN_PACE)) / _rate(PACED), 3)


def _rate(clients: Mapping[str, tuple[int, float]]) -> float:
    return sum(count / seconds for count, seconds in clients.values())
