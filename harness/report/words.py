"""The sentences and numbers that the page and the summary share. Knows nothing of markup."""

from __future__ import annotations

import shlex
from datetime import UTC, datetime
from decimal import ROUND_UP, Context, Decimal

from harness.record.report import Report, Scenario
from harness.record.upgrade import Phase

HEADLINE = {
    "passed": "Passed",
    "failed": "Failed",
    "inconclusive": "Inconclusive",
    "skipped": "Skipped",
    "interrupted": "Interrupted",
}
SMALL_RATE = Decimal("0.001")  # below this a percentage has more zeros than digits
EMBEDDED = (
    "The embedded cluster runs pods as processes on one machine: its timings are never a cluster's figures."
)


def claim(report: Report) -> str:
    """What the run says about the failure rate, in one sentence."""
    made = report.claim
    if not made.requests:
        return "No request was sent, so nothing is known about the failure rate."
    bound = f"failure rate below {rate(made.upper_bound_95)} at 95 % confidence"
    during = ", ".join(dict.fromkeys(map(upgrades, report.scenarios)))
    return f"{made.failed:,} of {made.requests:,} requests failed over {during}; {bound}."


def upgrades(scenario: Scenario) -> str:
    """How many upgrades of what kind of how many pods, e.g. `5 hot upgrades of 2 pods`."""
    count = len(scenario.upgrades)
    pods = len({pod.name for upgrade in scenario.upgrades for pod in upgrade.pods})
    kind = f"{kind_of_upgrade(scenario)} upgrade".strip()
    if not count:
        return "no upgrade"
    return f"{count} {kind}{'' if count == 1 else 's'} of {pods} pod{'' if pods == 1 else 's'}"


def kind_of_upgrade(scenario: Scenario) -> str:
    """`hot` or `cold`, told from the phases: a cold upgrade migrates nothing; empty if none was seen."""
    names = {phase.name for upgrade in scenario.upgrades for pod in upgrade.pods for phase in pod.phases}
    if names & {"migration", "reset"}:
        return "hot"
    return "cold" if "settled" in names else ""


def rate(value: float) -> str:
    """A rate in two digits, rounded up: no number is rounded towards success. `16 %`, `0.12 %`, `1.2e-4`."""
    rounded = Context(prec=2, rounding=ROUND_UP).create_decimal_from_float(value)
    if rounded >= SMALL_RATE:
        return f"{(rounded * 100).normalize():f} %"
    return f"{rounded:.1e}"


def command(report: Report) -> str:
    """The command line, to be pasted into a shell."""
    return shlex.join(report.command)


def clock(at: float) -> str:
    """Time of day in UTC with milliseconds."""
    return datetime.fromtimestamp(at, UTC).strftime("%H:%M:%S.%f")[:-3]


def moment(at: float) -> str:
    """Date and time in UTC to the second."""
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def milliseconds(value: float) -> str:
    """At least two significant digits: `0.42 ms`, `3.1 ms`, `1,204 ms`."""
    digits = 2 if value < 1 else 1 if value < 100 else 0
    return f"{value:,.{digits}f} ms"


def duration(phase: Phase) -> str:
    """How long a phase lasted."""
    if phase.end is None:
        return "not seen to end"
    return f"{(phase.end - phase.start) * 1000:,.0f} ms"
