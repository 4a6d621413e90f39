"""Part C: hand-overs in a row under h2load, strict HTTP/2 clients and tunnels."""

from __future__ import annotations

from collections.abc import Mapping

from benchmarks.handover import row
from benchmarks.handover.children import Child
from benchmarks.handover.ledger import reconcile
from benchmarks.handover.loads import H2LOAD_CONNECTIONS, H2LOAD_STREAMS, H2load
from benchmarks.handover.relay import free_port
from benchmarks.handover.results import Row, counted
from benchmarks.handover.scene import Tell, scene

PART = "HTTP/2 and tunnels in a row"


async def measure(count: int, tell: Tell) -> list[Row]:
    """Its rows."""
    ports = {"tcp_port": free_port(), "outbound_port": free_port()}

    def listeners(app: Child) -> Mapping[str, str]:
        return {
            "SIDECAR_TCP": f"127.0.0.1:{ports['tcp_port']}=127.0.0.1:{app.events('ready')[0]['echo_port']}",
            "SIDECAR_OUTBOUND": f"127.0.0.1:{ports['outbound_port']}",
            "SIDECAR_OUTBOUND_ALLOW": "127.0.0.0/8",
        }

    async with scene(tell, listeners) as stage:
        echo_port = stage.app.events("ready")[0]["echo_port"]
        await stage.start_clients("http2")
        await stage.start_clients("tunnels", echo_port=echo_port, **ports)
        h2load = H2load(stage.children, stage.relay.port)
        laps = await row.run(stage, count, PART)
        load = await h2load.stop()
        http2, samples = await stage.stop_clients("http2")
        tunnels, records = await stage.stop_clients("tunnels")
        executions = await stage.executions()
    asked = reconcile(http2["clients"], executions)
    carried = reconcile(tunnels["clients"], None)
    return [
        *row.handover_rows(PART, count, laps),
        Row(
            PART,
            "requests answered to h2load",
            f"{load.requests:,} ({load.per_second:,.0f}/s)",
            ">= 1",
            load.requests > 0,
        ),
        counted(PART, "h2load's errors", load.failed),
        counted(
            PART,
            "executed, but not answered to h2load",
            {"": executions["unnamed"] - load.requests},
            H2LOAD_CONNECTIONS * H2LOAD_STREAMS,
        ),
        *row.client_rows(PART, asked),
        counted(PART, "GOAWAY, streams reset, protocol errors", http2["counts"]),
        Row(
            PART,
            "records carried by tunnels",
            row.classes(carried),
            ">= 1 each",
            len(carried.by_traffic) == 3 and min(carried.by_traffic.values()) > 0,
        ),
        counted(PART, "records lost or wrong", dict(carried.failed)),
        counted(PART, "tunnels closed", dict(carried.closed)),
        *row.pause_rows(PART, {**samples, **records}, laps),
        *row.flat_rows(PART, laps),
    ]
