"""One scenario: what it does, under which traffic, what it needs, and what may be lost. Data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from harness.record.classes import USUAL
from harness.record.ledger import FailureKind
from harness.record.report import ProfileName
from harness.scenarios.steps import Begin, Step, Upgrade

Need = Literal["reference", "restart-controller", "restart-agent"]
"""What not every subject or cluster has. `reference`: the subject is the kit's own sidecar, for which the kit has
faulty releases and knows where its shared directory lies."""

CUT: frozenset[FailureKind] = frozenset({"reset", "eof"})
UNREACHABLE: frozenset[FailureKind] = frozenset({"refused", "reset", "eof", "timeout"})
GENTLY = "constant:0.7"  # a shape, where much else takes the machine that the load generator is on


@dataclass(frozen=True)
class Allowed:
    """What may be lost: failures of these kinds, from a fault on for so long, at the pod that it hit or at all."""

    why: str
    kinds: frozenset[FailureKind]
    within_s: float
    """Of the fault. A fault that begins an upgrade counts from its patch."""
    everywhere: bool = False


@dataclass(frozen=True)
class Waits:
    """Time-outs by name, in seconds."""

    step_s: float = 60.0
    """The next step of any pod in an upgrade."""
    reach_s: float = 30.0
    """A phase that a scenario waits for."""
    restart_s: float = 30.0
    """A part of the cluster works again after it was restarted."""
    exec_s: float = 10.0
    """A command in a container."""


@dataclass(frozen=True)
class Scenario:
    """`clients` overrides, for a class, how many there are and the seconds between two requests of one."""

    name: str
    profile: ProfileName
    description: str
    steps: tuple[Step, ...]
    classes: tuple[str, ...] = USUAL
    pods: int = 2
    requests_per_upgrade: int = 1000
    """Fewer would say too little about the failure rate."""
    shape: str = "constant"
    clients: Mapping[str, tuple[int, float]] = field(default_factory=dict)
    needs: tuple[Need, ...] = ()
    allowed: Allowed | None = None
    waits: Waits = Waits()
    to_the_limit: bool = False
    """The load grows until something gives way: it is no flaw of the run if that is the load generator."""

    @property
    def upgrades(self) -> int:
        """How many upgrades have to settle."""
        return sum(
            step.count if isinstance(step, Upgrade) else 1
            for step in self.steps
            if isinstance(step, Upgrade) or (isinstance(step, Begin) and step.expect == "settled")
        )

    @property
    def expects(self) -> Literal["settled", "nothing", "any"]:
        """What its upgrades come to: they settle; there are none, and nothing happens; they are all meant to halt."""
        if self.upgrades:
            return "settled"
        return "any" if any(isinstance(step, Begin) for step in self.steps) else "nothing"

    @property
    def images(self) -> list[str]:
        """The references that its steps name themselves."""
        named = [step.to for step in self.steps if isinstance(step, Upgrade | Begin)]
        return list(dict.fromkeys(image for image in named if ":" in image))

    @property
    def plain(self) -> bool:
        """Nothing but upgrades one after the other: they may be shared out over fresh pods."""
        return all(isinstance(step, Upgrade) for step in self.steps)
