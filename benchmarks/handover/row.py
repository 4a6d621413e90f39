"""Many hand-overs in a row under loads: what the clients saw, and what became of descriptors and memory."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Mapping, Sequence
from time import monotonic
from typing import NamedTuple

from benchmarks.handover.figures import drift, latency, split
from benchmarks.handover.ledger import Sum
from benchmarks.handover.relay import Handover
from benchmarks.handover.results import Row, counted
from benchmarks.handover.scene import Scene

STEADY_S = 0.7  # after each hand-over, for a look at those who are left and for the steady state
TELL_EVERY_S = 5.0
MEMORY_SHARE = 0.05  # what may be added between the 10th and the last
MEMORY_SLACK = 1.0  # MB
DESCRIPTORS_SLACK = 3.0  # of a class of clients that opens connections, some are just there
POOLED = "connections between sidecar and application"
POOL_SHARE = 0.2  # the connections towards the application are as many as the load of the moment needs


class Standing(NamedTuple):
    """One process at one moment."""

    pooled: int  # descriptors of connections between sidecar and application
    others: int  # all other descriptors
    memory: int


class Lap(NamedTuple):
    """One hand-over, and the processes afterwards."""

    handover: Handover
    working: Standing
    drained: Standing
    application: Standing
    code: int  # of the predecessor, when it was ended


async def run(scene: Scene, count: int, what: str) -> list[Lap]:
    """Hands over `count` times; the drained predecessor is ended after each."""
    laps: list[Lap] = []
    told = monotonic()
    for number in range(1, count + 1):
        handover = await scene.relay.hand_over()
        await asyncio.sleep(STEADY_S)
        standing = [
            Standing(*child.descriptors(scene.relay.upstream), child.memory)
            for child in (handover.successor, handover.predecessor, scene.app)
        ]
        code = await scene.relay.retire(handover.predecessor)
        laps.append(Lap(handover, standing[0], standing[1], standing[2], code))
        if monotonic() - told > TELL_EVERY_S or number == count:
            told = monotonic()
            scene.tell(f"{what}: {number} of {count} hand-overs; {_progress(scene)}")
    return laps


def _progress(scene: Scene) -> str:
    """The clients' own sums so far."""
    sums: Counter[str] = Counter()
    for child in scene.clients.values():
        for last in child.events("progress")[-1:]:
            sums.update({name: last[name] for name in ("answered", "failed", "closed")})
    return ", ".join(f"{number:,} {name}" for name, number in sums.items())


def handover_rows(part: str, count: int, laps: Sequence[Lap]) -> list[Row]:
    """How the hand-overs went, by the sidecars' own logs."""
    handovers = [lap.handover for lap in laps]
    moved = sum(one.counts.get("moved", 0) for one in handovers)
    closed = {name: sum(one.counts.get(name, 0) for one in handovers) for name in ("told", "forced")}
    return [
        Row(part, "hand-overs", f"{len(laps)} of {count}", f"{count}", len(laps) == count),
        Row(part, "connections moved, by the predecessors' count", f"{moved:,}", ">= 1", moved >= 1),
        counted(part, "connections closed, by the predecessors' count", closed),
        counted(part, "predecessors that did not end with 0", {"": sum(lap.code != 0 for lap in laps)}),
        Row(
            part,
            "from the process's start to its request",
            str(latency(h.requested - h.spawned for h in handovers)),
        ),
        Row(
            part,
            "from the request to the successor accepting",
            str(latency(h.accepting - h.requested for h in handovers)),
        ),
        Row(part, "from the request to drained", str(latency(h.took for h in handovers))),
    ]


def client_rows(part: str, total: Sum) -> list[Row]:
    """The strict clients' ledgers, reconciled."""
    return [
        Row(
            part,
            "requests answered to strict clients",
            classes(total),
            ">= 1",
            total.answered > 0,
        ),
        counted(part, "requests failed", dict(total.failed)),
        counted(part, "connections closed, by the clients' count", dict(total.closed)),
        counted(part, "requests executed twice", {"": total.duplicated}),
        counted(part, "answers to what was not executed", {"": total.invented}),
    ]


def classes(total: Sum) -> str:
    """What was answered, by class."""
    parts = ", ".join(f"{name} {number:,}" for name, number in sorted(total.by_traffic.items()))
    return f"{total.answered:,} ({parts})"


def pause_rows(part: str, samples: Mapping[str, Sequence[float]], laps: Sequence[Lap]) -> list[Row]:
    """Latency of requests that touch a hand-over against the steady state of the same run."""
    handovers = [lap.handover for lap in laps]
    during = [(one.requested, one.drained) for one in handovers]
    around = [(one.spawned, one.drained) for one in handovers]
    rows = []
    for traffic, times in sorted(samples.items()):
        inside, _ = split(times, during)
        _, steady = split(times, around)
        rows.append(Row(part, f"{traffic}: p50 / p99 / p99.9 / max in hand-overs", str(latency(inside))))
        rows.append(Row(part, f"{traffic}: the same in the steady state", str(latency(steady))))
    return rows


def flat_rows(part: str, laps: Sequence[Lap]) -> list[Row]:
    """Whether anything grows from one process to the next."""
    rows = []
    for who, standings in (
        ("working process", [lap.working for lap in laps]),
        ("drained predecessor", [lap.drained for lap in laps]),
        ("application", [lap.application for lap in laps]),
    ):
        for what, values, share, slack in (
            (
                "descriptors, but for the next",
                [float(one.others) for one in standings],
                0.0,
                DESCRIPTORS_SLACK,
            ),
            (POOLED, [float(one.pooled) for one in standings], POOL_SHARE, DESCRIPTORS_SLACK),
            ("memory in MB", [one.memory / 1e6 for one in standings], MEMORY_SHARE, MEMORY_SLACK),
        ):
            found = drift(values)
            rows.append(
                Row(
                    part,
                    f"{who}, 10th -> last: {what}",
                    f"{found.early:.4g} -> {found.late:.4g}",
                    f"+{share:.0%} +{slack:g}",
                    found.flat(share, slack),
                )
            )
    return rows
