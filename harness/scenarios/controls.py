"""Negative controls: which fault is played how, and what has to catch it. Data; the images are images/mutants."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from harness.scenarios.scenario import Scenario, Waits
from harness.scenarios.steps import Descriptors, Slow, Steady, Step, Upgrade

MUTANTS = Path(__file__).resolve().parents[2] / "images" / "mutants"
"""The folder of all images with a fault, also those of scenarios: a catalogue of its own."""
STEPS: tuple[Step, ...] = (Upgrade(count=2), Steady(1.0))
"""The mutant takes over, and then hands over."""
VERSIONS = "both versions answered"
SETTLED = "upgrades settled"


@dataclass(frozen=True)
class Control:
    """A fault. One of `caught_by`, classes or gates, has to be other than passed. `short`: also in the short form."""

    mutant: str
    caught_by: tuple[str, ...]
    classes: tuple[str, ...] = ("new-connection", "keep-alive", "idle-keep-alive", "post")
    steps: tuple[Step, ...] = STEPS
    pods: int = 2
    short: bool = False

    @property
    def image(self) -> str:
        """The mutant's."""
        return f"mutant:{self.mutant}"

    @property
    def scenario(self) -> Scenario:
        """How it is played. A promise of the extended profile is that no idle connection is closed."""
        return Scenario(
            name=self.mutant,
            profile="extended",
            description=f"Negative control: {self.image} takes over from the reference, and hands over to it.",
            steps=self.steps,
            classes=self.classes,
            pods=self.pods,
            requests_per_upgrade=500,
            waits=Waits(step_s=20.0),
        )


KEPT = ("keep-alive", "idle-keep-alive", "post")
CONTROLS = (
    Control("reuseport", ("new-connection",)),
    Control("close-before-commit", ("new-connection",), short=True),
    Control("shutdown-listener", ("new-connection",)),
    Control("no-drain", KEPT, short=True),
    Control("rst-on-idle", ("idle-keep-alive", "keep-alive")),
    Control(
        "read-ahead-lost",
        ("pipelined",),
        classes=("pipelined", "keep-alive"),
        steps=(Slow(600), Steady(1.0), Upgrade(count=4), Slow(0)),
    ),
    Control("post-resent", ("post", "idle-keep-alive"), short=True),
    Control("body-truncated", ("keep-alive", "new-connection", "post")),
    Control("body-altered", ("keep-alive", "new-connection", "post")),
    Control("black-hole", ("new-connection",)),
    Control("stall", ("latency in each flip",), steps=(Upgrade(count=6),)),
    Control("early-hook", ("new-connection", *KEPT)),
    Control("hanging-hook", (SETTLED,)),
    Control("stays-old", ("new-connection", *KEPT, VERSIONS)),
    Control("wrong-version", (VERSIONS,), short=True),
    Control("no-goaway", ("h2",), classes=("h2", "keep-alive")),
    Control("websocket-cut", ("websocket",), classes=("websocket", "keep-alive")),
    Control("third-upgrade", KEPT, steps=(Upgrade(count=4), Steady(1.0))),
    Control("one-in-ten-thousand", ("new-connection", *KEPT), steps=(Upgrade(), Steady(14.0)), pods=1),
    Control("fd-leak", ("descriptors",), steps=(Descriptors(), Upgrade(), Descriptors())),
    Control("empty-crash", ("new-connection", *KEPT)),
)
