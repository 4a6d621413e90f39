"""What became worse or better from one report to another. Knows nothing of files and terminals.

A regression is one of three things, and each allows for noise in its own way (docs/report.md says how good they are):

    outcome    passed before, failed or skipped now; what was not decided in either report is `open`
    failed     more failed requests, or connections closed while idle, than chance explains (Fisher's exact test)
    p99        slower in a phase in most classes of a scenario, by a factor and by milliseconds

Repetitions of a scenario are taken together: the worst outcome, the sum of the counts, the median of the percentiles.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from harness.record.report import ClassResult, Outcome, Report, Scenario
from harness.record.upgrade import PhaseName
from harness.report import tables, words
from harness.report.chance import at_least

ALPHA = 0.01  # of all tests of counts together: each gets its part (Bonferroni)
SLOWER = 1.5  # times as slow: repeated runs on two busy cores differ by less in most classes
SLOWER_MS = 5.0  # and by so much: half a millisecond more is no regression, whatever the factor
TINY_MS = 0.001  # the records' microsecond: no latency is nothing
ANSWERS = 200  # of a class in a phase; a p99 of fewer rests on one or two requests
CLASSES = 2  # with that many answers; one class alone is too easily hit by chance
COUNTED = {"failed": "failed", "closed_connections": "idle closed"}
"""Field of a class -> what it is called."""
WORST: tuple[Outcome, ...] = ("failed", "interrupted", "inconclusive", "skipped", "passed")

Change = Literal["worse", "better", "same", "open"]


@dataclass(frozen=True)
class Finding:
    """One comparison. `what` is compared of `scenario` and, if it is about one, of its class."""

    scenario: str
    traffic_class: str | None
    what: str
    old: str
    new: str
    change: Change
    note: str = ""


@dataclass(frozen=True)
class Count:
    """How often something happened to the requests of one class, before and after."""

    traffic_class: str
    what: str
    old: int
    old_sent: int
    new: int
    new_sent: int


def compare(old: Report, new: Report) -> list[Finding]:
    """All comparisons, in the order of OLD's scenarios."""
    before, after = _by_name(old), _by_name(new)
    counts = {name: list(_counts(before[name], after[name])) for name in before if name in after}
    alpha = ALPHA / max(1, sum(map(len, counts.values())))
    same_machine = (old.environment.cores, old.cluster.kind) == (new.environment.cores, new.cluster.kind)
    found: list[Finding] = []
    for name in [*before, *(name for name in after if name not in before)]:
        if name not in before or name not in after:
            found.append(_missing(name, None, name in before))
            continue
        found += _outcomes(name, before[name], after[name])
        found += _failures(name, counts[name], alpha)
        found += _latencies(name, before[name], after[name], same_machine)
    return found


def in_common(old: Report, new: Report) -> bool:
    """Whether there is any scenario to compare."""
    return bool(_by_name(old).keys() & _by_name(new).keys())


def _by_name(report: Report) -> dict[str, list[Scenario]]:
    found: dict[str, list[Scenario]] = {}
    for scenario in report.scenarios:
        found.setdefault(scenario.name, []).append(scenario)
    return found


def _classes(runs: Sequence[Scenario]) -> dict[str, list[ClassResult]]:
    found: dict[str, list[ClassResult]] = {}
    for run in runs:
        for name, of_class in run.classes.items():
            found.setdefault(name, []).append(of_class)
    return found


def _worst(parts: Sequence[Scenario] | Sequence[ClassResult]) -> Outcome:
    outcomes = {part.outcome for part in parts}
    return next(outcome for outcome in WORST if outcome in outcomes)


def _missing(scenario: str, traffic_class: str | None, in_old: bool) -> Finding:
    old, new = ("there", "missing") if in_old else ("missing", "there")
    return Finding(scenario, traffic_class, "outcome", old, new, "open", "nothing to compare with")


def _outcomes(name: str, before: Sequence[Scenario], after: Sequence[Scenario]) -> Iterator[Finding]:
    yield _outcome(name, None, _worst(before), _worst(after))
    old, new = _classes(before), _classes(after)
    for of_class in dict.fromkeys([*old, *new]):
        if of_class in old and of_class in new:
            yield _outcome(name, of_class, _worst(old[of_class]), _worst(new[of_class]))
        else:
            yield _missing(name, of_class, of_class in old)


def _outcome(name: str, traffic_class: str | None, old: Outcome, new: Outcome) -> Finding:
    change: Change = "open"
    if old == new:
        change = "same" if old in ("passed", "failed", "skipped") else "open"
    elif old == "passed" and new in ("failed", "skipped"):
        change = "worse"
    elif old in ("failed", "skipped") and new == "passed":
        change = "better"
    return Finding(name, traffic_class, "outcome", old, new, change)


def _counts(before: Sequence[Scenario], after: Sequence[Scenario]) -> Iterator[Count]:
    """Of the classes that both have: what happened at all, in either."""
    old, new = _classes(before), _classes(after)
    for name in old:
        for field, what in COUNTED.items():
            sides = [_sum(side.get(name, ()), field) for side in (old, new)]
            sent = [_sum(side.get(name, ()), "sent") for side in (old, new)]
            if all(sent) and any(sides):
                yield Count(name, what, sides[0], max(sent[0], sides[0]), sides[1], max(sent[1], sides[1]))


def _sum(parts: Sequence[ClassResult], field: str) -> int:
    return sum(getattr(part, field) for part in parts)


def _failures(name: str, counts: Sequence[Count], alpha: float) -> Iterator[Finding]:
    for one in counts:
        both, whole = one.old + one.new, one.old_sent + one.new_sent
        more = at_least(one.new, one.new_sent, both, whole)
        fewer = at_least(one.old, one.old_sent, both, whole)
        change: Change = "worse" if more < alpha else "better" if fewer < alpha else "same"
        note = "chance explains it" if change == "same" else f"chance: {min(more, fewer):.1g}"
        old, new = f"{one.old:,} of {one.old_sent:,}", f"{one.new:,} of {one.new_sent:,}"
        yield Finding(name, one.traffic_class, one.what, old, new, change, note)


def _latencies(
    name: str, before: Sequence[Scenario], after: Sequence[Scenario], same_machine: bool
) -> Iterator[Finding]:
    """Per phase. A machine that is slower in steady state already has to be slower still in the other phases."""
    usual_slower = usual_faster = 1.0
    for phase in tables.PHASES:
        pairs = list(_pairs(before, after, phase))
        if len(pairs) < CLASSES:
            continue
        slower = sum(_much_more(new, old * usual_slower) for old, new in pairs)
        faster = sum(_much_more(old, new * usual_faster) for old, new in pairs)
        times = statistics.median(max(new, TINY_MS) / max(old, TINY_MS) for old, new in pairs)
        if phase == "steady":
            usual_slower, usual_faster = max(1.0, times), max(1.0, 1 / times)
        change: Change = (
            "worse" if slower * 2 > len(pairs) else "better" if faster * 2 > len(pairs) else "same"
        )
        note = f"median of the factors {times:.2g}; slower in {slower}, faster in {faster} of {len(pairs)} classes"
        if change != "same" and not same_machine:
            change, note = "open", f"{note}; other machine or kind of cluster"
        yield Finding(
            name,
            None,
            f"p99 in {phase}",
            words.milliseconds(statistics.median(old for old, _ in pairs)),
            words.milliseconds(statistics.median(new for _, new in pairs)),
            change,
            note,
        )


def _much_more(value: float, usual: float) -> bool:
    return value > SLOWER * usual and value - usual > SLOWER_MS


def _pairs(
    before: Sequence[Scenario], after: Sequence[Scenario], phase: PhaseName
) -> Iterator[tuple[float, float]]:
    """The p99 of each class that has enough answers in that phase, before and after."""
    old, new = _p99(before, phase), _p99(after, phase)
    yield from ((old[name], new[name]) for name in old if name in new)


def _p99(runs: Sequence[Scenario], phase: PhaseName) -> dict[str, float]:
    found: dict[str, list[float]] = {}
    for run in runs:
        for name, of_class in tables.typical(run).items():
            latency = of_class.latency.get(phase)
            if latency and latency.count >= ANSWERS:
                found.setdefault(name, []).append(latency.p99)
    return {name: statistics.median(values) for name, values in found.items()}
