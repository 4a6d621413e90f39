"""The sentences of a load test that its page, its summary and the terminal share. Knows nothing of markup."""

from __future__ import annotations

from collections.abc import Sequence

from harness.record.loadtest import Knee, Limits, LoadTest, RampStep
from harness.report.words import milliseconds, number, seconds

LIMITED_BY = {
    "sidecar": "the sidecar, or what is behind it",
    "load generator": "the load generator",
    "ramp": "the end of the ramp",
}


def knee(ramp: Sequence[RampStep], found: Knee | None) -> str:
    """Where it lies, and whose limit it is."""
    if found is None and not ramp:
        return "No knee was found: the ramp did not come to the end of its first step."
    if found is None:
        return f"No knee was found: no step kept up, the first one because {reasons(ramp[0])}."
    where = f"{rate(found.rate)} (p99 {milliseconds(found.p99_ms)})"
    if found.limit == "ramp":
        return f"The knee is at least {where}: the ramp ended there, and the answers still kept up."
    if found.limit == "load generator":
        return (
            f"The knee is at least {where}: beyond it the load generator itself could not keep up "
            f"({found.why}), so it says nothing of what the sidecar bears beyond."
        )
    return (
        f"The knee is {where}: at the next step the answers did not keep up ({found.why}), "
        "though the load generator did."
    )


def reasons(step: RampStep) -> str:
    """What it lacked."""
    return "; ".join(step.lacks)


def limits(limits: Limits) -> str:
    """What it takes to keep up."""
    return (
        f"a step with {limits.reached:.0%} of what was asked for reached, p99 up to {limits.p99_ms:g} ms, no failure, "
        f"and a load generator that sent at most {limits.late:.0%} late and was busy for at most {limits.busy:.0%}"
    )


def soak(test: LoadTest) -> str:
    """What failed, of how much, under how many upgrades."""
    played = test.soak
    if played is None:
        return "No soak was played."
    share = f", {played.reached / test.knee.rate:.0%} of the knee" if test.knee else ""
    return (
        f"{played.failed:,} of {played.sent:,} requests failed over {number(played.upgrades, 'hot upgrade')} "
        f"in {seconds(played.seconds)} at {rate(played.reached)}{share}."
    )


def rate(value: float) -> str:
    """`1,204 requests a second`."""
    return f"{value:,.0f} requests a second"
