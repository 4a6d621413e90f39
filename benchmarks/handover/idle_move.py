"""Part A: thousands of idle connections, one hand-over; how long it takes, whether one is closed, what they cost."""

from __future__ import annotations

import asyncio

from benchmarks.handover import accept_pause
from benchmarks.handover.relay import after
from benchmarks.handover.results import Row, counted
from benchmarks.handover.row import Lap, Standing
from benchmarks.handover.scene import DONE_S, Tell, scene

PART = "Idle connections"
MOVED_S = 1.0
SETTLE_S = 1.0


async def measure(connections: int, tell: Tell) -> list[Row]:
    """Its rows."""
    async with scene(tell) as stage:
        await asyncio.sleep(SETTLE_S)
        bare = stage.relay.working.memory
        idle = await stage.start_clients("idle", connections=connections)
        opened = idle.events("ready")[0]["open"]
        tell(f"{PART}: {opened:,} are open")
        await stage.start_clients("accepting")
        await asyncio.sleep(SETTLE_S)
        holding = stage.relay.working.memory
        before = stage.relay.working.busy
        handover = await stage.relay.hand_over()
        busy = handover.predecessor.busy - before, handover.successor.busy
        tell(f"{PART}: moved")
        await asyncio.sleep(SETTLE_S)
        idle.tell("count")
        closed = (await idle.saw("counted"))["closed"]
        held = handover.successor.memory
        standing = Standing(0, 0)
        fresh_document, samples = await stage.stop_clients("accepting")
        idle.tell("post")
        posted = await idle.saw("posted", within_s=DONE_S)
        document, _ = await stage.stop_clients("idle")
        total = await stage.reconciled([document, fresh_document])
    moved = handover.counts.get("moved", 0)
    bulk = after(handover.predecessor, "connections_moved", handover.requested)
    took = handover.drained - handover.requested
    by_successor = posted["releases"].get(stage.relay.release_of(handover.successor), 0)
    laps = [Lap(handover, standing, standing, standing, 0)]
    rows = [
        Row(
            PART,
            "connections, each having asked once",
            f"{opened:,}",
            f"{connections:,}",
            opened == connections,
        ),
        Row(
            PART,
            "from the request until the last had moved",
            f"{took:.3f} s",
            f"<= {MOVED_S:g} s",
            took <= MOVED_S and moved >= opened,
        ),
    ]
    if bulk:
        rows.append(
            Row(
                PART,
                "of which until the idle ones were acknowledged",
                f"{bulk[-1]['monotonic'] - handover.requested:.3f} s",
            )
        )
    rows += [
        Row(PART, "moved, by the predecessor's count", f"{moved:,}", f">= {opened:,}", moved >= opened),
        counted(PART, "closed, by the clients' count, before they asked again", {"": closed}),
        Row(
            PART,
            "POSTs then answered by the successor",
            f"{by_successor:,}",
            f"{opened:,}",
            by_successor == opened,
        ),
        counted(PART, "requests failed", dict(total.failed)),
        counted(PART, "connections closed in all", dict(total.closed)),
        counted(PART, "requests executed twice", {"": total.duplicated}),
        Row(
            PART,
            "processor time of the predecessor, and of the successor with its start",
            f"{busy[0]:.2f} s, {busy[1]:.2f} s",
        ),
        Row(PART, "memory of the predecessor for each", f"{(holding - bare) / max(1, opened):,.0f} bytes"),
        Row(PART, "memory of the successor for each", f"{(held - bare) / max(1, opened):,.0f} bytes"),
        *accept_pause.pause_rows(PART, [handover]),
        *accept_pause.stall_rows(PART, samples, laps),
    ]
    return rows
