"""Part D: whether accepting pauses. A connection every millisecond across hand-overs, and nothing else.

Two figures, and they are not the same: the logs say whether there was a moment in which neither process
accepted; the client says how long a new connection waited for its answer, which holds the machine's noise too.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from benchmarks.handover import row
from benchmarks.handover.figures import Span, latency, split
from benchmarks.handover.relay import Handover
from benchmarks.handover.results import Row
from benchmarks.handover.scene import Tell, scene

PART = "Accepting"
PAUSE_S = 0.005
HANDOVERS = 30  # at most: beyond, nothing new is seen


async def measure(count: int, tell: Tell) -> list[Row]:
    """Its rows."""
    count = min(count, HANDOVERS)
    async with scene(tell) as stage:
        await stage.start_clients("accepting")
        laps = await row.run(stage, count, PART)
        document, samples = await stage.stop_clients("accepting")
        total = await stage.reconciled([document])
    handovers = [lap.handover for lap in laps]
    return [
        *row.client_rows(PART, total),
        *pause_rows(PART, handovers),
        *stall_rows(PART, samples, handovers),
    ]


def pause_rows(part: str, handovers: Sequence[Handover]) -> list[Row]:
    """From the logs: between the predecessor's last accept and the first that the successor could do."""
    longest = max(handover.pause for handover in handovers)
    shortest = min(handover.overlap for handover in handovers)
    return [
        Row(
            part,
            "logs: longest time in which neither process accepted",
            f"{1000 * longest:.2f} ms",
            "<= 5 ms",
            longest <= PAUSE_S,
        ),
        Row(part, "logs: shortest time in which both accepted", f"{1000 * shortest:.2f} ms"),
    ]


def stall_rows(part: str, samples: Mapping[str, Sequence[float]], handovers: Sequence[Handover]) -> list[Row]:
    """From the client: connect, request and answer, by what went on meanwhile."""
    times = samples.get("accepting", ())
    spans: dict[str, list[Span]] = {
        "while the successor's process starts": [(one.spawned, one.requested) for one in handovers],
        "in hand-overs": [(one.requested, one.drained) for one in handovers],
    }
    rows = []
    for when, windows in spans.items():
        inside, _ = split(times, windows)
        rows.append(Row(part, f"client, {when}: p50 / p99 / p99.9 / max", str(latency(inside))))
    _, steady = split(times, [(one.spawned, one.drained) for one in handovers])
    rows.append(Row(part, "client, in the steady state: p50 / p99 / p99.9 / max", str(latency(steady))))
    return rows
