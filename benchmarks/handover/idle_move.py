"""Part A: thousands of idle connections, two hand-overs; how long it takes, whether one is closed, what they cost."""

from __future__ import annotations

import asyncio
from typing import NamedTuple

from benchmarks.handover import accept_pause
from benchmarks.handover.children import Child
from benchmarks.handover.relay import Handover, after
from benchmarks.handover.results import Row, counted
from benchmarks.handover.scene import DONE_S, Scene, Tell, scene

PART = "Idle connections"
MOVED_S = 1.0
SETTLE_S = 1.0
FRESH = 100  # connections that may come besides


class Move(NamedTuple):
    """One hand-over, and the connections afterwards."""

    handover: Handover
    closed: int  # when all had moved, before they asked again
    busy: tuple[float, float]  # processor seconds of both
    memory: int  # of the successor


async def measure(connections: int, tell: Tell) -> list[Row]:
    """Its rows: one hand-over with nothing else going on, and one while others open connections."""
    limit = {"SIDECAR_MAX_CONNECTIONS": str(connections + FRESH)}  # by default half of the descriptors
    async with scene(tell, lambda app: limit) as stage:
        await asyncio.sleep(SETTLE_S)
        bare = stage.relay.working.memory
        idle = await stage.start_clients("idle", connections=connections)
        opened = idle.events("ready")[0]["open"]
        tell(f"{PART}: {opened:,} are open")
        await asyncio.sleep(SETTLE_S)
        holding = stage.relay.working.memory
        alone = await _move(stage, idle)
        answered = [await _post(stage, idle)]
        tell(f"{PART}: moved in {alone.handover.took:.3f} s")
        await stage.relay.retire(alone.handover.predecessor)
        await stage.start_clients("accepting")
        await asyncio.sleep(SETTLE_S)
        watched = await _move(stage, idle)
        tell(f"{PART}: moved in {watched.handover.took:.3f} s, with others opening connections")
        fresh, samples = await stage.stop_clients("accepting")
        answered.append(await _post(stage, idle))
        document, _ = await stage.stop_clients("idle")
        total = await stage.reconciled([document, fresh])
    rows = [
        Row(
            PART,
            "connections, each having asked once",
            f"{opened:,}",
            f"{connections:,}",
            opened == connections,
        )
    ]
    rows += _rows(alone, "nothing else", opened, answered[0], bound=True)
    rows += _rows(watched, "a connection opened every millisecond", opened, answered[1], bound=False)
    return [
        *rows,
        counted(PART, "requests failed", dict(total.failed)),
        counted(PART, "connections closed in all", dict(total.closed)),
        counted(PART, "requests executed twice", {"": total.duplicated}),
        Row(PART, "memory of the predecessor for each", f"{(holding - bare) / max(1, opened):,.0f} bytes"),
        Row(PART, "memory of the successor for each", f"{(alone.memory - bare) / max(1, opened):,.0f} bytes"),
        *accept_pause.pause_rows(PART, [alone.handover, watched.handover]),
        *accept_pause.stall_rows(PART, samples, [watched.handover]),
    ]


async def _move(stage: Scene, idle: Child) -> Move:
    before = stage.relay.working.busy
    handover = await stage.relay.hand_over()
    busy = handover.predecessor.busy - before, handover.successor.busy
    await asyncio.sleep(SETTLE_S)
    memory = handover.successor.memory
    idle.tell("count")
    closed = (await idle.saw("counted", len(idle.events("counted")) + 1))["closed"]
    return Move(handover, closed, busy, memory)


async def _post(stage: Scene, idle: Child) -> int:
    """Each connection POSTs; how many the working process answered."""
    idle.tell("post")
    posted = await idle.saw("posted", len(idle.events("posted")) + 1, within_s=DONE_S)
    answered: int = posted["releases"].get(stage.relay.release_of(stage.relay.working), 0)
    return answered


def _rows(move: Move, how: str, opened: int, answered: int, bound: bool) -> list[Row]:
    handover = move.handover
    moved = handover.counts.get("moved", 0)
    bulk = after(handover.predecessor, "connections_moved", handover.requested)
    acknowledged = f"{bulk[-1]['monotonic'] - handover.requested:.3f} s" if bulk else "none"
    return [
        Row(
            PART,
            f"{how}: from the request until the last had moved",
            f"{handover.took:.3f} s; the idle ones were acknowledged after {acknowledged}",
            f"<= {MOVED_S:g} s" if bound else "",
            handover.took <= MOVED_S or not bound,
        ),
        Row(
            PART, f"{how}: moved, by the predecessor's count", f"{moved:,}", f">= {opened:,}", moved >= opened
        ),
        counted(PART, f"{how}: closed", {"": move.closed}),
        Row(
            PART,
            f"{how}: POSTs then answered by the successor",
            f"{answered:,}",
            f"{opened:,}",
            answered == opened,
        ),
        Row(
            PART,
            f"{how}: processor time of the predecessor; of the successor, its start included",
            f"{move.busy[0]:.2f} s; {move.busy[1]:.2f} s",
        ),
    ]
