"""The core profile: what every sidecar owes."""

from __future__ import annotations

from harness.scenarios.scenario import GENTLY, Scenario
from harness.scenarios.steps import (
    NEXT,
    PREVIOUS,
    Begin,
    Descriptors,
    Halted,
    Reach,
    Settle,
    Steady,
    Strategy,
    Unchanged,
    Upgrade,
    Variable,
)

CORE = (
    Scenario(
        name="single-upgrade",
        profile="core",
        description="One hot upgrade of two pods.",
        steps=(Upgrade(),),
    ),
    Scenario(
        name="back-to-back",
        profile="core",
        description="Five upgrades, each as soon as the one before is settled, there and back.",
        steps=(
            Descriptors(),
            Upgrade(count=2, pause_s=0.0),
            Descriptors(),
            Upgrade(count=3, pause_s=0.0),
            Descriptors(),
        ),
    ),
    Scenario(
        name="roll-back",
        profile="core",
        description="An upgrade is taken back while its first pod has it and the others wait; then it is made again.",
        steps=(
            Begin(NEXT, expect="halted"),
            Settle(pods=1),
            Begin(PREVIOUS),
            Settle(),
            Steady(0.5),
            Upgrade(),
        ),
    ),
    Scenario(
        name="environment-only",
        profile="core",
        description="Only an environment variable changes, which no running pod can take: nothing happens.",
        steps=(Variable("HOTUPGRADE_TRIAL", "1"), Unchanged(4.0)),
    ),
    Scenario(
        name="partition",
        profile="core",
        description="Four pods: a partition holds two of them back, then lets them go, two at a time at most.",
        pods=4,
        shape=GENTLY,
        steps=(
            Strategy(partition=2, max_unavailable=2),
            Begin(),
            Settle(pods=2),
            Halted(2.0, pods=2),
            Strategy(partition=0),
            Settle(),
        ),
    ),
    Scenario(
        name="pause",
        profile="core",
        description="Three pods: the upgrade is paused when its first pod has the new image, and resumed later.",
        pods=3,
        steps=(
            Begin(),
            Reach("upgrade"),
            Strategy(paused=True),
            Halted(4.0),
            Strategy(paused=False),
            Settle(),
        ),
    ),
    Scenario(
        name="spike",
        profile="core",
        description="Upgrades while the load jumps to twice its rate and back.",
        shape="spike:2@3+6",
        steps=(Steady(1.0), Upgrade(count=3)),
    ),
)
