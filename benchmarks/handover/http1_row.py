"""Part B: hand-overs in a row under wrk and strict HTTP/1.1 clients."""

from __future__ import annotations

from benchmarks.handover import loads, row
from benchmarks.handover.results import Row, counted
from benchmarks.handover.scene import Tell, scene

PART = "HTTP/1.1 in a row"


async def measure(count: int, tell: Tell) -> list[Row]:
    """Its rows."""
    async with scene(tell) as stage:
        await stage.start_clients("strict")
        wrk = await loads.start_wrk(stage.children, stage.relay.port)
        laps = await row.run(stage, count, PART)
        load = await loads.stop_wrk(wrk)
        document, samples = await stage.stop_clients("strict")
        total = await stage.reconciled([document])
        executed = (await stage.executions())["unnamed"]
    return [
        *row.handover_rows(PART, count, laps),
        Row(PART, "requests answered to wrk", f"{load.requests:,} ({load.per_second:,.0f}/s)"),
        counted(PART, "wrk's errors", load.failed),
        counted(
            PART,
            "executed, but not answered to wrk (one per connection is under way when it ends)",
            {"": executed - load.requests},
            loads.WRK_CONNECTIONS,
        ),
        *row.client_rows(PART, total),
        *row.pause_rows(PART, samples, laps),
        *row.flat_rows(PART, laps),
    ]
