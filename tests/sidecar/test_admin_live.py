"""The admin listener of real processes: its own for each, and one that is handed over."""

from __future__ import annotations

import asyncio
import json
import signal
from typing import Any

import pytest

from tests.sidecar.rig import WITHIN_S, Client, Pod, Sidecar, eventually, free_port

pytestmark = pytest.mark.integration


async def handover(sidecar: Sidecar) -> dict[str, Any]:
    status, body = await sidecar.admin("/hand-over")
    assert status == 200
    return dict(json.loads(body))


async def asked(port: int, request: bytes) -> tuple[int, dict[str, str], str]:
    client = await Client.connect(port)
    client.send(request)
    answer = await client.answer()
    assert await client.rest() == b""
    client.close()
    return answer.status, answer.headers, answer.body.decode()


@pytest.mark.case(7)
async def test_every_process_answers_on_a_path_of_its_own_whatever_its_part(pod: Pod) -> None:
    idle, working = await pod.start(0, 1), await pod.start(1, 0)
    await idle.saw("started")
    await working.saw("accepting")
    await eventually(pod.directory.joinpath("0.admin").exists, "the idle one's path")
    assert await idle.admin("/healthz") == (200, "idle\n")
    assert await idle.admin("/readyz") == (200, "idle\n")
    assert await working.admin("/readyz") == (200, "working\n")
    assert pod.directory.joinpath("1.admin").stat().st_mode & 0o777 == 0o600
    for sidecar in (idle, working):
        assert await sidecar.end() == 0
    assert list(pod.directory.iterdir()) == []


@pytest.mark.case(12)
async def test_paths_of_killed_processes_are_swept_by_the_next_that_serves(pod: Pod) -> None:
    killed = await pod.start(1, 0)
    await killed.saw("accepting")
    await killed.end(signal.SIGKILL)
    assert pod.directory.joinpath("1.admin").exists()
    successor = await pod.start(12, 1)
    await successor.saw("accepting")
    await eventually(
        lambda: sorted(path.name for path in pod.directory.iterdir()) == ["12.admin", "12.sock"], "swept"
    )


@pytest.mark.case(7)
async def test_the_configured_listener_is_handed_over_and_holds_up_no_drain(pod: Pod) -> None:
    port = free_port()
    predecessor = await pod.start(1, 0, SIDECAR_ADMIN=f"127.0.0.1:{port}")
    await predecessor.saw("accepting")
    half = await Client.connect(port)
    half.send(b"GET /hand-over HTTP/1.1\r\n")
    client = await pod.client()
    assert (await client.get()).status == 200
    assert (await predecessor.metric("sidecar_connections", protocol="http1", state="silent")) == 1
    client.close()
    successor = await pod.start(12, 1, SIDECAR_ADMIN=f"127.0.0.1:{port}")
    assert f"127.0.0.1:{port}" in (await successor.saw("listener_received"))["listeners"]
    drained = await predecessor.saw("drained")  # with an admin connection open
    assert await successor.run("sidecar.hook") == (0, "")
    assert drained["forced"] == 0
    assert await predecessor.admin("/readyz") == (503, "drained\n")
    assert await predecessor.admin("/healthz") == (200, "drained\n")
    # Who was accepted by the predecessor is answered by it, who comes now by the successor.
    half.send(b"Host: a\r\n\r\n")
    assert json.loads((await half.answer()).body)["phase"] == "drained"
    half.close()
    status, _, body = await asked(port, b"GET /hand-over HTTP/1.1\r\nHost: a\r\n\r\n")
    assert (status, json.loads(body)["generation"]) == (200, "12")
    # The successor ends: the predecessor has it again.
    await successor.end(signal.SIGKILL)
    await predecessor.saw("resumed")
    _, _, body = await asked(port, b"GET /hand-over HTTP/1.1\r\nHost: a\r\n\r\n")
    assert json.loads(body)["as_predecessor"]["outcome"] == "resumed"


async def test_both_sides_of_a_handover_tell_how_it_went(pod: Pod) -> None:
    predecessor = await pod.start(1, 0)
    await predecessor.saw("accepting")
    client = await pod.client()
    await client.get()
    successor = await pod.start(12, 1)
    await predecessor.saw("draining")
    client.close()
    assert await successor.run("sidecar.hook") == (0, "")
    left, right = await handover(predecessor), await handover(successor)
    assert (left["role"], left["phase"], left["version"]) == ("predecessor", "drained", 1)
    assert (right["role"], right["phase"], right["version"], right["alt"]) == ("working", "working", 12, 1)
    assert left["listeners"] == [{"address": f"127.0.0.1:{pod.port}", "kind": "inbound"}]
    assert (left["as_successor"], right["as_predecessor"]) == (None, None)
    for side in (left["as_predecessor"], right["as_successor"]):
        assert side["outcome"] == "committed"
        assert 0 < side["seconds"] < WITHIN_S
        assert 0 <= side["drain_seconds"] < WITHIN_S
        assert sum(side["counts"][how] for how in ("finished", "told", "moved", "forced")) == 1
    for sidecar, side in ((predecessor, "predecessor"), (successor, "successor")):
        assert await sidecar.metric("sidecar_handovers_total", side=side, outcome="committed") == 1
        assert await sidecar.metric("sidecar_handover_seconds_count", side=side) == 1
    assert await predecessor.metric("sidecar_state", role="predecessor", phase="drained") == 1


async def test_metrics_count_what_clients_and_the_application_do(pod: Pod) -> None:
    sidecar = await pod.start(1, 0)
    await sidecar.saw("accepting")
    client, bad = await pod.client(), await pod.client()
    await client.get()
    bad.send(b"GET / HTTP/1.1\r\n\r\n")
    assert (await bad.answer()).status == 400
    bad.close()
    await client.get("/vanish")
    held = asyncio.create_task(client.get("/hold"))
    await eventually(lambda: pod.app.executed.total() == 3, "the request at the application")
    assert await sidecar.metric("sidecar_accepted_total") == 2
    assert await sidecar.metric("sidecar_connections", protocol="http1", state="busy") >= 1
    assert await sidecar.metric("sidecar_errors_total", reason="host") == 1
    assert await sidecar.metric("sidecar_errors_total", reason="upstream-closed") == 1
    assert await sidecar.metric("sidecar_upstream_connects_total") == pod.app.connections
    assert await sidecar.metric("sidecar_upstream_connect_failures_total") == 0
    pod.app.released.set()
    assert (await held).status == 200
    client.close()


async def test_what_is_no_get_of_a_page_has_its_status(pod: Pod) -> None:
    port = free_port()
    sidecar = await pod.start(1, 0, SIDECAR_ADMIN=f"127.0.0.1:{port}")
    await sidecar.saw("accepting")
    for request, status in (
        (b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\nGET /healthz HTTP/1.1\r\nHost: a\r\n\r\n", 200),
        (b"GET /nothing HTTP/1.1\r\nHost: a\r\n\r\n", 404),
        (b"DELETE /metrics HTTP/1.1\r\nHost: a\r\n\r\n", 405),
        (b"GET /metrics\r\n\r\n", 400),
    ):
        found, headers, _ = await asked(port, request)
        assert (found, headers["connection"]) == (status, "close")
    assert pod.app.heads == []


async def test_a_silent_admin_client_is_sent_away_and_others_are_answered_meanwhile(pod: Pod) -> None:
    port = free_port()
    sidecar = await pod.start(1, 0, SIDECAR_ADMIN=f"127.0.0.1:{port}")
    await sidecar.saw("accepting")
    silent = [await Client.connect(port) for _ in range(3)]
    assert (await asked(port, b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n"))[0] == 200
    for client in silent:
        with pytest.raises((ConnectionResetError, asyncio.IncompleteReadError)):
            await asyncio.wait_for(client.reader.readexactly(1), WITHIN_S)
        client.close()
    assert await sidecar.end() == 0
