"""What the page's script draws, as plain data: columns and small tables per scenario. Knows nothing of HTML.

Times are milliseconds from the scenario's `start`. A page stays small however long the run was: points are merged,
and what is left out is counted in `left`; report.json has it all.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

from harness.record.ledger import Neighbour
from harness.record.report import Failure, LogLine, Point, Report, Scenario
from harness.record.series import SLOT_S

MAX_POINTS = 5_000  # of one scenario: more than there are pixels across
PAGE_POINTS, PAGE_EVENTS, PAGE_FAILURES, PAGE_LINES = (
    40_000,
    20_000,
    5_000,
    6_000,
)  # of all scenarios together
MAX_TEXT = 400  # characters of a message, a detail or a log line

Row = list[Any]


@dataclass(frozen=True)
class Share:
    """How much of each kind one scenario may put on the page."""

    points: int
    events: int
    failures: int
    lines: int


@dataclass
class Table:
    """Rows that are named by their number, each kept once."""

    rows: dict[tuple[Any, ...], int] = field(default_factory=dict)

    def number(self, *row: Any) -> int:
        """Of this row, which is kept if it is new."""
        return self.rows.setdefault(row, len(self.rows))


def figures(report: Report) -> list[dict[str, Any]]:
    """One for each scenario, in their order."""
    drawn = max(1, sum(bool(scenario.timeline) for scenario in report.scenarios))
    failing = max(1, sum(bool(scenario.failures) for scenario in report.scenarios))
    share = Share(
        points=min(MAX_POINTS, PAGE_POINTS // drawn),
        events=PAGE_EVENTS // drawn,
        failures=PAGE_FAILURES // failing,
        lines=PAGE_LINES // failing,
    )
    return [figure(scenario, share) for scenario in report.scenarios]


def figure(scenario: Scenario, share: Share) -> dict[str, Any]:
    """What is drawn of a scenario: its time line and its failures."""
    start = min(_moments(scenario), default=0.0)
    size = _per_bin(scenario.timeline, share.points)
    points = list(bins(scenario.timeline, size))
    pods = _pods(scenario)
    kinds, happened = Table(), list(_events(scenario, pods, start))
    events = [[pod, at, kinds.number(*kind), message] for pod, at, kind, message in happened[: share.events]]
    failures, lines = _failures(scenario.failures, share, start)
    end = max((_ms(moment, start) for moment in _moments(scenario)), default=0.0)
    width = round(width_s(scenario.timeline) * size * 1000, 1)
    return {
        "start": round(start * 1000, 1),
        "end": max(end, _ms(points[-1].at, start) + width) if points else end,
        "width": width,
        "points": _columns(points, start),
        "pods": pods,
        "short": short(pods),
        "upgrades": [
            [one.index, _ms(one.patched, start), one.settled and _ms(one.settled, start), one.from_, one.to]
            for one in scenario.upgrades
        ],
        "phases": list(_phases(scenario, pods, start)),
        "events": events,
        "kinds": [list(kind) for kind in kinds.rows],
        "faults": [[_ms(one.at, start), one.name, one.pod, _cut(one.detail)] for one in scenario.faults],
        "failures": failures,
        "lines": [list(line) for line in lines.rows],
        "left": {
            "events": len(happened) - len(events),
            "failures": len(scenario.failures) - len(failures),
        },
    }


def width_s(points: Sequence[Point]) -> float:
    """How much time one point covers."""
    return (
        statistics.median(after.at - before.at for before, after in pairwise(points))
        if points[1:]
        else SLOT_S
    )


def bins(points: Sequence[Point], size: int) -> Iterator[Point]:
    """Every `size` neighbouring points in one: counts are summed, percentiles are the worst of theirs."""
    for start in range(0, len(points), size):
        part = points[start : start + size]
        versions = {version for point in part for version in point.versions}
        yield Point(
            at=part[0].at,
            sent=sum(point.sent for point in part),
            failed=sum(point.failed for point in part),
            versions={version: sum(point.versions.get(version, 0) for point in part) for version in versions},
            p50=max((point.p50 for point in part if point.p50 is not None), default=None),
            p99=max((point.p99 for point in part if point.p99 is not None), default=None),
            opened=sum(point.opened for point in part),
            cut=sum(point.cut for point in part),
        )


def short(names: Sequence[str]) -> list[str]:
    """Names without the words that they all begin with: a pod's name may be as wide as a telephone's screen."""
    words_of = [name.split("-") for name in names]
    shared = min((len(of_name) - 1 for of_name in words_of), default=0)
    while len({tuple(of_name[:shared]) for of_name in words_of}) > 1:
        shared -= 1
    return ["-".join(of_name[shared:]) for of_name in words_of]


def first(failures: Sequence[Failure], count: int) -> list[Failure]:
    """So many of the failures, in their order: those that no allowance covers rather than those that one does."""
    kept = sorted(range(len(failures)), key=lambda number: failures[number].allowed is not None)[:count]
    return [failures[number] for number in sorted(kept)]


def _moments(scenario: Scenario) -> Iterator[float]:
    if scenario.timeline:
        yield scenario.timeline[0].at
        yield scenario.timeline[-1].at
    yield from (fault.at for fault in scenario.faults)
    for upgrade in scenario.upgrades:
        yield from (upgrade.patched, upgrade.settled or upgrade.patched)
        for pod in upgrade.pods:
            for phase in pod.phases:
                yield from (phase.start, phase.end or phase.start)
            yield from (event.at for event in pod.events)


def _pods(scenario: Scenario) -> list[str]:
    upgraded = {pod.name for upgrade in scenario.upgrades for pod in upgrade.pods}
    return sorted(upgraded | {fault.pod for fault in scenario.faults if fault.pod})


def _per_bin(points: Sequence[Point], most: int) -> int:
    return max(1, -(-len(points) // most))


def _ms(at: float, start: float) -> float:
    return round((at - start) * 1000, 1)


def _cut(text: str) -> str:
    return text if len(text) <= MAX_TEXT else text[: MAX_TEXT - 1] + "…"


def _columns(points: Sequence[Point], start: float) -> dict[str, Any]:
    versions = sorted({version for point in points for version in point.versions})
    return {
        "at": [round(_ms(point.at, start)) for point in points],
        "sent": [point.sent for point in points],
        "failed": [point.failed for point in points],
        "p50": [point.p50 for point in points],
        "p99": [point.p99 for point in points],
        "opened": [point.opened for point in points],
        "cut": [point.cut for point in points],
        "versions": [[version, [point.versions.get(version, 0) for point in points]] for version in versions],
    }


def _phases(scenario: Scenario, pods: Sequence[str], start: float) -> Iterator[Row]:
    row_of = {name: row for row, name in enumerate(pods)}
    for upgrade in scenario.upgrades:
        for pod in upgrade.pods:
            for phase in pod.phases:
                end = None if phase.end is None else _ms(phase.end, start)
                seen = [phase.witness, phase.precision_ms]
                yield [row_of[pod.name], upgrade.index, phase.name, _ms(phase.start, start), end, *seen]


def _events(
    scenario: Scenario, pods: Sequence[str], start: float
) -> Iterable[tuple[int, float, tuple[str, str, str | None], str]]:
    row_of = {name: row for row, name in enumerate(pods)}
    found = [
        (row_of[pod.name], _ms(one.at, start), (one.source, one.reason, one.container), _cut(one.message))
        for upgrade in scenario.upgrades
        for pod in upgrade.pods
        for one in pod.events
    ]
    return sorted(found, key=lambda event: event[1])


def _failures(failures: Sequence[Failure], share: Share, start: float) -> tuple[list[dict[str, Any]], Table]:
    """The failures, and the log lines around them: neighbouring failures share theirs."""
    lines = Table()
    return [_failure(one, lines, share.lines, start) for one in first(failures, share.failures)], lines


def _failure(failure: Failure, lines: Table, most: int, start: float) -> dict[str, Any]:
    made = {
        "class": failure.traffic_class,
        "client": failure.client,
        "sequence": failure.sequence,
        "pod": failure.pod,
        "at": _ms(failure.at, start),
        "ended": _ms(failure.ended, start),
        "phase": failure.phase,
        "upgrade": failure.upgrade,
        "kind": failure.kind.replace("_", " "),
        "detail": _cut(failure.detail),
        "served": failure.served_by,
        "allowed": failure.allowed,
        "doubt": failure.in_doubt or None,
        "previous": _neighbour(failure.previous, start),
        "following": _neighbour(failure.following, start),
        "log": [lines.number(*_line(line, start)) for line in failure.log if len(lines.rows) < most],
    }
    return {name: value for name, value in made.items() if value is not None and value != []}


def _line(line: LogLine, start: float) -> tuple[float, str, str, str]:
    return _ms(line.at, start), line.pod, line.source, _cut(line.text)


def _neighbour(one: Neighbour | None, start: float) -> Row | None:
    return (
        None
        if one is None
        else [one.sequence, _ms(one.at, start), _ms(one.ended, start), one.how, one.served_by]
    )
