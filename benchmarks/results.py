"""From single runs to the table: medians, spread, ratios. Pure; knows nothing of processes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import median
from typing import NamedTuple

from benchmarks.contestants import ENVOY, HAPROXY, SIDECAR

DIRECT = "direct"
LEAST_OF_ENVOY = 2.0  # requests/s of the sidecar, at least
LEAST_OF_HAPROXY = 0.7


class Run(NamedTuple):
    """One contestant under load, once. `core` is the processor time that it took, in seconds per second."""

    per_second: float
    p99_ms: float
    core: float

    @property
    def per_core_second(self) -> float:
        """Requests for each second of the proxy's processor time: what a core could do."""
        return self.per_second / self.core if self.core else 0.0


class Row(NamedTuple):
    """One contestant: medians of its runs, and how far the runs lie apart."""

    name: str
    per_second: float
    spread: float  # (most - least) / median
    p99_ms: float
    core: float
    per_core_second: float


Runs = Mapping[str, Sequence[Run]]


def rows(runs: Runs) -> list[Row]:
    """One for each contestant, in their order."""
    return [_row(name, list(of_one)) for name, of_one in runs.items()]


def _row(name: str, runs: list[Run]) -> Row:
    speeds = [run.per_second for run in runs]
    middle = median(speeds)
    return Row(
        name,
        middle,
        (max(speeds) - min(speeds)) / middle,
        median(run.p99_ms for run in runs),
        median(run.core for run in runs),
        median(run.per_core_second for run in runs),
    )


def ratios(runs: Runs, one: str, other: str) -> list[float]:
    """Requests/s of one contestant to another's, repetition by repetition."""
    return [a.per_second / b.per_second for a, b in zip(runs[one], runs[other], strict=True)]


def table(runs: Runs) -> str:
    """Markdown."""
    lines = [
        "| | requests/s | spread | p99 ms | core in use | requests per core-second | sidecar is |",
        "|---|--:|--:|--:|--:|--:|--:|",
    ]
    for row in rows(runs):
        core = f"{row.core:.0%}" if row.core else "-"
        possible = f"{row.per_core_second:,.0f}" if row.core else "-"
        ratio = median(ratios(runs, SIDECAR, row.name))
        lines.append(
            f"| {row.name} | {row.per_second:,.0f} | {row.spread:.0%} | {row.p99_ms:.2f} | {core} | {possible} "
            f"| {ratio:.2f}x |"
        )
    return "\n".join(lines)


def verdicts(runs: Runs) -> list[tuple[bool, str]]:
    """What the sidecar has to reach, and whether it does: by the median of the repetitions' ratios."""
    found = []
    by_name = {row.name: row for row in rows(runs)}
    for other, least in ((ENVOY, LEAST_OF_ENVOY), (HAPROXY, LEAST_OF_HAPROXY)):
        each = ratios(runs, SIDECAR, other)
        text = f"requests/s of {other}'s: {median(each):.2f}x, at least {least:g}x wanted"
        repetitions = ", ".join(f"{ratio:.2f}" for ratio in each)
        possible = by_name[SIDECAR].per_core_second / by_name[other].per_core_second
        found.append(
            (median(each) >= least, f"{text} (repetitions: {repetitions}; per core-second: {possible:.2f}x)")
        )
    ours, theirs = by_name[SIDECAR].p99_ms, by_name[ENVOY].p99_ms
    found.append((ours <= theirs, f"p99: {ours:.2f} ms, at most Envoy's {theirs:.2f} ms wanted"))
    return found
