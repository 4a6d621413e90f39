"""The sentences and numbers that the page and the summary share. Knows nothing of markup."""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from decimal import ROUND_UP, Context, Decimal

from harness.record.report import ProfileName, ProfileResult, Report, Scenario

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


PROFILES: dict[ProfileName, str] = {
    "core": "what every sidecar owes",
    "extended": "per feature that it has",
    "resilience": "under faults",
}


def claim(report: Report) -> str:
    """What the run says about the failure rate, in one sentence."""
    made = report.claim
    if not made.requests:
        return "No request was sent, so nothing is known about the failure rate."
    counted = [scenario for scenario in report.scenarios if not scenario.allowance]
    apart = len(report.scenarios) - len(counted)
    bound = f"failure rate below {rate(made.upper_bound_95)} at 95 % confidence"
    return (
        f"{made.failed:,} of {made.requests:,} requests failed over {over(counted)}; {bound}"
        + (f" ({number(apart, 'scenario')} with an allowance left out)" if apart else "")
        + "."
    )


def over(scenarios: Sequence[Scenario]) -> str:
    """All their upgrades, e.g. `40 hot upgrades and 1 cold upgrade of 1 to 5 pods in 9 scenarios`."""
    kinds: Counter[str] = Counter()
    for scenario in scenarios:
        kinds[f"{kind_of_upgrade(scenario)} upgrade".strip()] += len(scenario.upgrades)
    if not kinds.total():
        return "no upgrade"
    pods = [count for count in map(pods_of, scenarios) if count]
    few, many = min(pods, default=0), max(pods, default=0)
    several = f" in {number(len(scenarios), 'scenario')}" if len(scenarios) > 1 else ""
    upgraded = " and ".join(number(count, kind) for kind, count in kinds.items() if count)
    return f"{upgraded} of {'' if few == many else f'{few:,} to '}{number(many, 'pod')}{several}"


def conformance(report: Report) -> str:
    """What a badge says: `conformant core + extended` only if all that was run passed, and core was among it."""
    if report.outcome != "passed":
        return report.outcome
    parts = [name for name, part in profiles(report) if part.result == "passed"]
    return f"conformant {' + '.join(parts)}" if "core" in parts else "inconclusive"


def profiles(report: Report) -> Iterator[tuple[ProfileName, ProfileResult]]:
    """The parts of the profile that were run."""
    of_report = report.profile
    yield "core", of_report.core
    if of_report.extended:
        yield "extended", of_report.extended
    if of_report.resilience:
        yield "resilience", of_report.resilience


def upgrades(scenario: Scenario) -> str:
    """How many upgrades of what kind of how many pods, e.g. `5 hot upgrades of 2 pods`."""
    return over([scenario])


def pods_of(scenario: Scenario) -> int:
    """How many pods were upgraded."""
    return len({pod.name for upgrade in scenario.upgrades for pod in upgrade.pods})


def name(scenario: Scenario) -> str:
    """Its name, and which repetition it is from the second on."""
    return scenario.name if scenario.repetition == 1 else f"{scenario.name} #{scenario.repetition}"


def number(count: int, noun: str) -> str:
    """`1 pod`, `1,204 pods`."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


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


def seconds(value: float) -> str:
    """A length of time in its own unit: `836 ms`, `3.1 s`, `14 min 2 s`."""
    if value < 1:
        return milliseconds(value * 1000)
    if value < 100:
        return f"{value:.1f} s"
    minutes, rest = divmod(round(value), 60)
    return f"{minutes:,} min {rest} s"
