"""Part E: kill -9 of the successor at each step of a hand-over. What is lost, against what it had acknowledged.

At every step but the last two it is exact: the successor dies at a frame of its own choice. A connection that
was acknowledged and died with the successor is lost by nature; nothing else may be.
"""

from __future__ import annotations

import asyncio
import json
import signal
from collections.abc import Sequence
from typing import Any, NamedTuple

from benchmarks.handover.children import Child
from benchmarks.handover.ledger import Sum
from benchmarks.handover.results import Row, counted
from benchmarks.handover.scene import DONE_S, Scene, Tell, scene
from benchmarks.handover.strict import FRESH_CLIENTS

PART = "kill -9 of the successor"
CONNECTIONS = 1000
TIMES = 2
SETTLE_S = 0.5


class Step(NamedTuple):
    """Where it dies: a frame that it sends, which one, and on which side of it. No frame: when all is over."""

    name: str
    frame: str = ""
    nth: int = 1
    when: str = "before"
    accepts: bool = False  # by then; what it accepted itself, and is just answering, dies with it as well


STEPS = (
    Step("with the listeners in hand", "PREPARED"),
    Step("with connections in hand, none acknowledged", "MOVED"),
    Step("between two acknowledgements", "MOVED", 20, "after"),
    Step("all idle ones acknowledged, not yet accepting", "ACCEPTING"),
    Step("accepting, before the commit", "ACCEPTING", 1, "after", accepts=True),
    Step("after the commit, the predecessor drained", accepts=True),
)


class Seen(NamedTuple):
    """One death."""

    acknowledged: int  # by the successor's own count, where it has one
    let_go: int  # by the predecessor's
    lost: int  # clients that a request or a connection failed
    idle_lost: int
    served_on: int  # idle connections whose next POST the predecessor answered
    moved_later: int  # ... and the next successor after that
    total: Sum


async def measure(tell: Tell) -> list[Row]:
    """Its rows."""
    rows = []
    for step in STEPS:
        seen = []
        for time in range(1, TIMES + 1):
            tell(f"{PART}: {step.name}, {time} of {TIMES}")
            async with scene(tell) as stage:
                seen.append(await _die(stage, step))
        rows += _rows(step, seen)
    return rows


async def _die(stage: Scene, step: Step) -> Seen:
    idle = await stage.start_clients("idle", connections=CONNECTIONS)
    await stage.start_clients("strict")
    await asyncio.sleep(SETTLE_S)
    predecessor = stage.relay.working
    acknowledged, let_go = await (_at_frame(stage, step) if step.frame else _at_the_end(stage))
    idle.tell("post")
    first = await idle.saw("posted", within_s=DONE_S)
    await stage.relay.hand_over()
    idle.tell("post")
    second = await idle.saw("posted", 2, within_s=DONE_S)
    idle_document, _ = await stage.stop_clients("idle")
    document, _ = await stage.stop_clients("strict")
    await stage.relay.retire(predecessor)
    total = await stage.reconciled([idle_document, document])
    return Seen(
        acknowledged,
        let_go,
        _lost(idle_document) + _lost(document),
        _lost(idle_document),
        first["releases"].get(stage.relay.release_of(predecessor), 0),
        sum(second["releases"].values()),
        total,
    )


async def _at_frame(stage: Scene, step: Step) -> tuple[int, int]:
    """The successor dies at its frame, and the predecessor notices."""
    predecessor = stage.relay.working
    given = json.dumps([step.frame, step.nth, step.when])
    successor = await stage.relay.start("benchmarks.handover.mortal", MORTAL=given)
    dies = await successor.saw("dies")

    def noticed() -> list[dict[str, Any]]:
        return predecessor.events("handover_aborted") or predecessor.events("resumed")

    await predecessor.until(noticed, "that the successor has ended")
    await asyncio.sleep(SETTLE_S)
    return dies["acknowledged"], _let_go(predecessor)


async def _at_the_end(stage: Scene) -> tuple[int, int]:
    """A whole hand-over, then the kill by pid."""
    predecessor = stage.relay.working
    handover = await stage.relay.hand_over()
    await handover.successor.end(signal.SIGKILL)
    await predecessor.saw("resumed")
    stage.relay.working = predecessor
    await asyncio.sleep(SETTLE_S)
    moved = handover.counts.get("moved", 0)
    return moved, moved


def _let_go(predecessor: Child) -> int:
    """What it had given away for good when the hand-over ended, by its last line that says so."""
    counts = [line["moved"] for line in predecessor.lines if "moved" in line]
    return counts[-1] if counts else 0


def _lost(document: dict[str, Any]) -> int:
    return sum(bool(client["failures"] or client["ended"]) for client in document["clients"])


def _rows(step: Step, deaths: Sequence[Seen]) -> list[Row]:
    in_flight = FRESH_CLIENTS * len(deaths) if step.accepts else 0
    acknowledged = sum(seen.acknowledged for seen in deaths)
    lost = sum(seen.lost for seen in deaths)
    left = CONNECTIONS * len(deaths) - sum(seen.idle_lost for seen in deaths)
    served = sum(seen.served_on for seen in deaths), sum(seen.moved_later for seen in deaths)
    let_go = sum(seen.let_go for seen in deaths)
    twice = sum(seen.total.duplicated + seen.total.invented for seen in deaths)
    return [
        Row(
            PART,
            f"{step.name}: clients that lost something",
            f"{lost:,}; acknowledged by the successor {acknowledged:,}, let go by the predecessor {let_go:,}",
            f"<= {acknowledged:,}" + (f" + {in_flight} in flight" if in_flight else ""),
            lost <= acknowledged + in_flight and let_go == acknowledged,
        ),
        Row(
            PART,
            f"{step.name}: idle connections served on by the predecessor, then by the next successor",
            f"{served[0]:,}, {served[1]:,}",
            f"{left:,} each",
            served == (left, left),
        ),
        counted(PART, f"{step.name}: requests executed twice", {"": twice}),
    ]
