"""HTTP/2 connections move to the successor's process: a strict client cannot tell, or it is told in time."""

from __future__ import annotations

import asyncio
import hashlib
import os

import pytest

from sidecar.handover import frames
from sidecar.proxy.h2.state import FORM
from tests.sidecar.h2.application import Http2App
from tests.sidecar.h2.conftest import pod_of
from tests.sidecar.h2.peer import Peer, frame, peer
from tests.sidecar.rig import Pod, eventually
from tests.sidecar.test_handover_live import working

pytestmark = pytest.mark.integration


@pytest.mark.case(32)
async def test_idle_connections_move_and_no_client_is_told(pod: Pod) -> None:
    predecessor = await working(pod)
    peers = [await Peer.connect(pod.port) for _ in range(40)]
    for one in peers[:20]:
        assert (await one.get()).headers["x-sidecar-instance"] == "1"
    for one in peers[20:]:
        await one.ping()
    await working(pod, 12, 1)
    drained = await predecessor.saw("drained")
    assert (drained["moved"], drained["told"], drained["forced"]) == (40, 0, 0)
    for number, one in enumerate(peers):
        reply = await one.get("/", f"c-{number}")
        assert (reply.status, reply.headers["x-sidecar-instance"]) == (200, "12")
        assert (one.goaways, one.closed) == ([], False)
        await one.end()
    assert set(pod.app.executed.values()) - {20} == {1}


@pytest.mark.case(32)
async def test_what_waits_and_what_is_half_there_moves_with_the_connection(pod: Pod) -> None:
    predecessor = await working(pod)
    async with peer(pod.port) as one:
        held = one.ask("/hold", name="before")
        await eventually(lambda: pod.app.executed["before"], "the request")
        await working(pod, 12, 1)
        await predecessor.saw("draining")
        body = os.urandom(200_000)
        upload = one.ask("/echo", "POST", name="upload", body=None)
        one.send(upload, body[:10_000])
        waiting = one.ask("/", name="waiting")
        one.raw(frame(6, 0, 0, b"halfping")[:11])
        pod.app.released.set()
        reply = await one.reply(held)
        assert (reply.body, reply.headers["x-sidecar-instance"]) == (b"held", "1")
        reply = await one.reply(waiting)
        assert (reply.status, reply.headers["x-sidecar-instance"]) == (200, "12")
        one.raw(frame(6, 0, 0, b"halfping")[11:])
        await eventually(lambda: one.pings == [b"halfping"], "the ping's answer")
        await one.upload(upload, body[10_000:])
        reply = await one.reply(upload)
        assert reply.body.decode() == hashlib.sha256(body).hexdigest()
        assert reply.headers["x-sidecar-instance"] == "12"
        assert (one.goaways, one.closed) == ([], False)
    drained = await predecessor.saw("drained")
    assert (drained["moved"], drained["told"]) == (1, 0)
    assert pod.app.executed == {"before": 1, "upload": 1, "waiting": 1}


@pytest.mark.case(29)
async def test_a_stream_that_does_not_end_stays_with_the_predecessor_and_its_client_is_told(pod: Pod) -> None:
    predecessor = await working(pod, SIDECAR_DRAIN_DEADLINE_S="6")
    async with peer(pod.port) as one:
        held = one.ask("/hold", name="c-1")
        await eventually(lambda: pod.app.executed["c-1"], "the request")
        await working(pod, 12, 1)
        await predecessor.saw("draining")
        await eventually(lambda: len(one.goaways) == 2, "both GOAWAYs")
        assert one.goaways == [(2**31 - 1, 0), (held, 0)]
        pod.app.released.set()
        assert (await one.reply(held)).headers["x-sidecar-instance"] == "1"
        await eventually(lambda: one.closed, "the end")
    drained = await predecessor.saw("drained")
    assert (drained["moved"], drained["told"], drained["forced"]) == (0, 1, 0)


@pytest.mark.case(29)
@pytest.mark.parametrize(
    "moves", [{"http1": "1"}, {"http1": "1", "http2": "1, h2 99.0 hpack 9 hyperframe 9"}]
)
async def test_a_client_is_told_at_once_where_the_successor_cannot_go_on(
    moves: dict[str, str], pod: Pod
) -> None:
    predecessor = await working(pod)
    async with peer(pod.port) as one:
        assert (await one.get()).status == 200
        successor = await pod.scripted("1", protocols=(1, 2), room=1000, moves=moves)
        await successor.send(frames.PREPARED, {"listeners": [f"127.0.0.1:{pod.port}"]})
        await successor.expect(frames.ACCEPT)
        await successor.send(frames.ACCEPTING)
        await successor.expect(frames.COMMIT)
        await eventually(lambda: one.closed, "the end")
        assert one.goaways == [(2**31 - 1, 0), (1, 0)]
        assert (await predecessor.saw("drained"))["told"] == 1
        successor.close()


async def test_a_document_says_what_it_is_before_it_is_acknowledged(pod: Pod) -> None:
    predecessor = await working(pod)
    async with peer(pod.port) as one:
        assert (await one.get()).status == 200
        successor = await pod.scripted("1", protocols=(1, 2), room=1000, moves={"http2": FORM})
        await successor.send(frames.PREPARED, {"listeners": [f"127.0.0.1:{pod.port}"]})
        await successor.expect(frames.CARRY)
        move = await successor.expect(frames.MOVE)
        (row,) = move.body["connections"]
        assert (row["kind"], row["state"]["peer"]) == ("http2", "127.0.0.1")
        assert f"{row['state']['format']}, {row['state']['libraries']}" == FORM
        await successor.send(frames.MOVED, {"through": 0, "refused": [0]})
        await successor.expect(frames.ACCEPT)
        successor.close()
        for descriptor in successor.descriptors:
            os.close(descriptor)
        await predecessor.saw("handover_aborted")
        assert (await one.get()).status == 200
        assert (one.goaways, one.closed) == ([], False)


@pytest.mark.case(30)
@pytest.mark.parametrize("protocol", ["http1", "h2"])
async def test_five_handovers_under_load_fail_nothing_and_tell_nobody(
    protocol: str, pod: Pod, pods: list[Pod]
) -> None:
    """gRPC's unary shape under load; half-done TLS handshakes cannot occur, since there is no TLS."""
    h2app = Http2App()
    await h2app.start()
    here = pod if protocol == "http1" else pod_of(h2app, pods)
    executed = pod.app.executed if protocol == "http1" else h2app.executed
    serving = await working(here, SIDECAR_UPSTREAM_PROTOCOL=protocol)
    peers = [await Peer.connect(here.port) for _ in range(6)]
    ended = False
    served: dict[str, int] = {}

    async def load(one: Peer, lane: int) -> None:
        turn = 0
        while not ended:
            turn += 1
            body = os.urandom(turn * 37 % 3000 + 1)
            number = one.ask(
                "/echo", "POST", f"{lane}-{turn}", body, [("te", "trailers"), ("x-n", str(turn % 7))]
            )
            reply = await one.reply(number)
            assert (reply.status, reply.body.decode()) == (200, hashlib.sha256(body).hexdigest())
            instance = reply.headers["x-sidecar-instance"]
            served[instance] = served.get(instance, 0) + 1

    tasks = [
        asyncio.create_task(load(one, number * 4 + n)) for number, one in enumerate(peers) for n in range(4)
    ]
    for version in range(2, 7):
        successor = await working(here, version, version - 1, SIDECAR_UPSTREAM_PROTOCOL=protocol)
        drained = await serving.saw("drained")
        assert (drained["moved"], drained["told"], drained["forced"]) == (6, 0, 0)
        await serving.end()
        serving = successor
    ended = True
    await asyncio.gather(*tasks)
    for one in peers:
        assert (one.goaways, one.closed) == ([], False)
        await one.end()
    assert set(executed.values()) == {1}
    assert executed.total() == sum(served.values())
    assert len(served) >= 5
    await h2app.stop()
