"""A drain of HTTP/2 connections that do not move: two GOAWAYs, no reset, a polite end."""

from __future__ import annotations

import asyncio
import hashlib
import signal

import pytest

from tests.sidecar.h2.application import Http2App
from tests.sidecar.h2.conftest import pod_of
from tests.sidecar.h2.peer import Peer, frame, peer
from tests.sidecar.rig import App, Pod, Sidecar, eventually

pytestmark = pytest.mark.integration

FIRST = (2**31 - 1, 0)


async def told(one: Peer, count: int = 1) -> None:
    await eventually(lambda: len(one.goaways) >= count, f"GOAWAY {count}")


async def test_nobody_is_told_without_a_drain(sidecar: Sidecar, pod: Pod) -> None:
    async with peer(pod.port) as one:
        for _ in range(3):
            assert (await one.get()).status == 200
        await one.ping()
        assert one.goaways == []


@pytest.mark.case(29)
async def test_an_idle_connection_is_told_twice_and_closed_politely(sidecar: Sidecar, pod: Pod) -> None:
    async with peer(pod.port) as one, peer(pod.port) as fresh:
        assert (await one.get()).status == 200
        sidecar.process.send_signal(signal.SIGTERM)
        await eventually(lambda: one.closed and fresh.closed, "the end")
        assert one.goaways == [FIRST, (1, 0)]
        assert fresh.goaways == [FIRST, (0, 0)]
    assert await sidecar.process.wait() == 0


@pytest.mark.case(29)
async def test_streams_are_served_until_the_last_word_and_none_is_reset(pod: Pod) -> None:
    """The client's answer to the PING is held back, as a long way would, and streams opened meanwhile."""
    sidecar = await pod.start(7, 0, SIDECAR_STOP_S="10")
    await sidecar.saw("accepting")
    async with peer(pod.port) as one:
        one.answers_pings = False
        held = one.ask("/hold", name="c-1")
        upload = one.ask("/echo", "POST", body=None, name="c-2")
        await eventually(lambda: pod.app.executed["c-1"], "the request")
        sidecar.process.send_signal(signal.SIGTERM)
        await told(one)
        late = one.ask("/echo", "POST", body=b"late", name="c-3")
        assert (await one.reply(late)).body.decode() == hashlib.sha256(b"late").hexdigest()
        assert one.goaways == [FIRST]
        one.pong()
        await told(one, 2)
        assert one.goaways[1] == (late, 0)
        unseen = one.ask("/", name="c-4")  # above the last, and so as good as never sent
        one.send(upload, b"x" * 10_000)
        one.send(upload, b"y", end=True)
        pod.app.released.set()
        assert (await one.reply(held)).body == b"held"
        assert (await one.reply(upload)).status == 200
        await eventually(lambda: one.closed, "the end")
        assert [reply.reset for reply in one.replies.values()] == [None] * 4
        assert not one.replies[unseen].headers
    assert await sidecar.process.wait() == 0
    assert pod.app.executed == {"c-1": 1, "c-2": 1, "c-3": 1}


@pytest.mark.case(30)
async def test_a_grpc_stream_ends_with_its_status_in_a_drain(h2app: Http2App, pods: list[Pod]) -> None:
    """Half-done TLS handshakes, the other half of this case, cannot occur: the sidecar speaks cleartext."""
    pod = pod_of(h2app, pods)
    sidecar = await pod.start(7, 0, SIDECAR_UPSTREAM_PROTOCOL="h2", SIDECAR_STOP_S="10")
    await sidecar.saw("accepting")
    async with peer(pod.port) as one:
        call = one.ask("/bidi", "POST", body=None, more=[("te", "trailers")])
        one.send(call, b"1")
        await eventually(lambda: one.replies[call].body == b"1", "the first message")
        sidecar.process.send_signal(signal.SIGTERM)
        await told(one, 2)
        for number in range(2, 6):
            one.send(call, b"%d" % number)
            await one.grown(call, number)
        one.h2.end_stream(call)
        one.flush()
        reply = await one.reply(call)
        assert (reply.body, reply.trailers["grpc-status"], reply.reset) == (b"12345", "0", None)
        await eventually(lambda: one.closed, "the end")
    assert await sidecar.process.wait() == 0


@pytest.mark.case(29)
async def test_a_client_that_answers_no_ping_has_its_last_word_after_a_second(pod: Pod) -> None:
    sidecar = await pod.start(7, 0, SIDECAR_STOP_S="10")
    await sidecar.saw("accepting")
    reader, writer = await asyncio.open_connection("127.0.0.1", pod.port)
    writer.write(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + frame(4, 0, 0) + frame(4, 1, 0))
    await asyncio.wait_for(reader.readexactly(9), 10)
    sidecar.process.send_signal(signal.SIGTERM)
    received = await asyncio.wait_for(reader.read(), 10)
    first = frame(7, 0, 0, b"\x7f\xff\xff\xff" + bytes(4))
    assert first in received
    assert frame(7, 0, 0, bytes(8)) in received.partition(first)[2]
    writer.close()


async def test_at_the_deadline_what_is_left_is_cut(pod: Pod, app: App) -> None:
    sidecar = await pod.start(7, 0, SIDECAR_STOP_S="1")
    await sidecar.saw("accepting")
    async with peer(pod.port) as one:
        held = one.ask("/hold", name="c-1")
        await eventually(lambda: app.executed["c-1"], "the request")
        sidecar.process.send_signal(signal.SIGTERM)
        await eventually(lambda: one.closed, "the end")
        assert not one.replies[held].ended
        assert one.goaways[-1] == (1, 0)
    assert await sidecar.process.wait() == 0
