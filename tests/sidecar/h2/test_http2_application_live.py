"""HTTP/2 clients and an application that speaks HTTP/2 as well: gRPC's shapes, refusals, limits."""

from __future__ import annotations

import asyncio
import hashlib

import pytest

from tests.sidecar.h2.application import Http2App
from tests.sidecar.h2.conftest import LIMITS, pod_of
from tests.sidecar.h2.peer import peer
from tests.sidecar.rig import Client, Pod, Sidecar, eventually

pytestmark = pytest.mark.integration


async def serve(app: Http2App, pods: list[Pod], **more: str) -> Pod:
    pod = pod_of(app, pods)
    await (await pod.start(7, 0, (), SIDECAR_UPSTREAM_PROTOCOL="h2", **more)).saw("accepting")
    return pod


async def test_requests_pass_over_one_connection_with_their_fields(h2app: Http2App, pods: list[Pod]) -> None:
    pod = await serve(h2app, pods)
    async with peer(pod.port) as one, peer(pod.port) as other:
        more = [("cookie", "a=1"), ("cookie", "b=2"), ("te", "trailers")]
        reply = await one.get("/x?y=1", "c-1", more)
        assert (reply.status, reply.body, reply.headers["x-sidecar-version"]) == (200, b"ok", "v7")
        numbers = [
            (link, link.ask("/", name=f"c-{number}")) for number in range(2, 40) for link in (one, other)
        ]
        for link, number in numbers:
            assert (await link.reply(number)).status == 200
    head = h2app.heads[0]
    assert {
        name: head[name] for name in (":path", ":authority", ":scheme", "te", "cookie", "x-request-id")
    } == {
        ":path": "/x?y=1",
        ":authority": "test",
        ":scheme": "http",
        "te": "trailers",
        "cookie": "a=1; b=2",
        "x-request-id": "c-1",
    }
    assert head["x-forwarded-for"] == "127.0.0.1"
    assert h2app.connections == 1


async def test_a_unary_call_keeps_its_status_in_the_trailers(h2app: Http2App, pods: list[Pod]) -> None:
    pod = await serve(h2app, pods)
    async with peer(pod.port) as one:
        number = one.ask("/grpc", "POST", body=b"\0\0\0\0\1x", more=[("te", "trailers")])
        reply = await one.reply(number)
        assert (reply.status, reply.body) == (200, b"\0\0\0\0\1x")
        assert reply.trailers == {"grpc-status": "0", "grpc-message": "fine"}


async def test_a_trailers_only_answer_stays_one_header_block(h2app: Http2App, pods: list[Pod]) -> None:
    pod = await serve(h2app, pods)
    async with peer(pod.port) as one:
        reply = await one.reply(one.ask("/grpc-fails", "POST", body=b"x", more=[("te", "trailers")]))
        assert (reply.headers["grpc-status"], reply.trailers, reply.body) == ("5", {}, b"")


async def test_both_sides_of_a_stream_talk_at_once(h2app: Http2App, pods: list[Pod]) -> None:
    pod = await serve(h2app, pods)
    async with peer(pod.port) as one:
        number = one.ask("/bidi", "POST", body=None)
        for turn in range(1, 6):
            one.send(number, b"%d" % turn)
            await one.grown(number, turn)
        one.trailers(number, [("x-sum", "15")])
        reply = await one.reply(number)
        assert (reply.body, reply.trailers["grpc-status"]) == (b"12345", "0")
    assert h2app.trailers == [{"x-sum": "15"}]


async def test_a_stream_that_is_silent_after_its_answer_began_is_left_alone(
    h2app: Http2App, pods: list[Pod]
) -> None:
    pod = await serve(h2app, pods, **LIMITS)
    async with peer(pod.port) as one:
        number = one.ask("/bidi", "POST", body=None)
        await eventually(lambda: one.replies[number].headers, "the head")
        await asyncio.sleep(1.2)  # beyond every time-out
        one.send(number, b"late", end=True)
        assert (await one.reply(number)).body == b"late"


async def test_bodies_of_megabytes_pass_both_ways(h2app: Http2App, pods: list[Pod]) -> None:
    pod = await serve(h2app, pods)
    body = bytes(range(256)) * 8000
    async with peer(pod.port) as one:
        number = one.ask("/echo", "POST", body=None)
        big = one.ask("/big")
        await one.upload(number, body)
        assert (await one.reply(number)).body.decode() == hashlib.sha256(body).hexdigest()
        assert len((await one.reply(big)).body) == 20_000_000


async def test_heads_without_bodies_and_interim_answers_pass(h2app: Http2App, pods: list[Pod]) -> None:
    pod = await serve(h2app, pods)
    async with peer(pod.port) as one:
        head = await one.reply(one.ask("/", "HEAD"))
        assert (head.headers["content-length"], head.body) == ("2", b"")
        assert (await one.get("/none")).status == 204
        hint = await one.get("/hint")
        assert (hint.interim, hint.status) == ([103], 200)


async def test_an_early_answer_ends_the_upload_without_an_error(h2app: Http2App, pods: list[Pod]) -> None:
    pod = await serve(h2app, pods)
    async with peer(pod.port) as one:
        number = one.ask("/early", "POST", body=None)
        await eventually(lambda: one.replies[number].reset is not None, "RST_STREAM")
        assert (one.replies[number].status, one.replies[number].body, one.replies[number].reset) == (
            413,
            b"enough",
            0,
        )
        assert (await one.get()).status == 200


async def test_what_the_application_refused_is_refused_and_not_sent_again(
    h2app: Http2App, pods: list[Pod]
) -> None:
    h2app.refuses = True
    pod = await serve(h2app, pods)
    async with peer(pod.port) as one:
        assert (await one.get("/", "c-1")).reset == 7
        assert len(h2app.heads) == 1
        h2app.refuses = False
        assert (await one.get("/", "c-2")).status == 200


@pytest.mark.parametrize(
    ("path", "status", "reset"), [("/reset", 502, None), ("/vanish", 502, None), ("/half", 200, 11)]
)
async def test_what_the_application_broke_off_is_told_and_not_sent_again(
    path: str, status: int, reset: int | None, h2app: Http2App, pods: list[Pod]
) -> None:
    pod = await serve(h2app, pods)
    async with peer(pod.port) as one:
        reply = await one.get(path, "c-1")
        assert (reply.status, reply.reset) == (status, reset)
        assert ("x-sidecar-error" in reply.headers) == (status == 502)
        assert (await one.get("/", "c-2")).status == 200
    assert h2app.executed == {"c-1": 1, "c-2": 1}


async def test_after_a_goaway_what_is_under_way_ends_and_the_rest_goes_elsewhere(
    h2app: Http2App, pods: list[Pod]
) -> None:
    pod = await serve(h2app, pods)
    async with peer(pod.port) as one:
        held = one.ask("/hold", name="c-1")
        await eventually(lambda: h2app.executed["c-1"], "the request")
        link = h2app.links[0]
        # By hand: h2 would take its own GOAWAY for the end.
        link.transport.write(bytes([0, 0, 8, 7, 0, 0, 0, 0, 0]) + (1).to_bytes(4, "big") + bytes(4))
        await eventually(
            lambda: len(h2app.links) == 1 and one.replies[held].over is False, "the GOAWAY's way"
        )
        for number in range(2, 6):
            assert (await one.get("/", f"c-{number}")).status == 200
        h2app.released.set()
        assert (await one.reply(held)).body == b"held"
    assert set(h2app.executed.values()) == {1}
    assert h2app.connections == 2


async def test_streams_above_a_goaways_last_are_refused(h2app: Http2App, pods: list[Pod]) -> None:
    pod = await serve(h2app, pods)
    async with peer(pod.port) as one:
        numbers = [one.ask("/hold", name=f"c-{number}") for number in range(3)]
        await eventually(lambda: h2app.executed.total() == 3, "the requests")
        h2app.links[0].transport.write(bytes([0, 0, 8, 7, 0, 0, 0, 0, 0]) + (3).to_bytes(4, "big") + bytes(4))
        await eventually(lambda: one.replies[numbers[2]].reset == 7, "REFUSED_STREAM")
        h2app.released.set()
        assert [(await one.reply(number)).status for number in numbers[:2]] == [200, 200]


async def test_the_applications_limit_of_streams_is_kept(pods: list[Pod]) -> None:
    app = Http2App(streams=2)
    await app.start()
    pod = await serve(app, pods)
    async with peer(pod.port) as one:
        numbers = [one.ask("/hold", name=f"c-{number}") for number in range(30)]
        await eventually(lambda: app.executed.total() == 16, "two on each of eight connections")
        await one.ping()
        assert app.executed.total() == 16
        app.released.set()
        for number in numbers:
            assert (await one.reply(number)).status == 200
    assert app.most <= 2
    assert app.connections <= 9
    assert set(app.executed.values()) == {1}
    await app.stop()


async def test_a_client_that_takes_a_request_back_resets_it_with_the_application(
    h2app: Http2App, pods: list[Pod]
) -> None:
    pod = await serve(h2app, pods)
    async with peer(pod.port) as one:
        number = one.ask("/hold", name="c-1")
        await eventually(lambda: h2app.executed["c-1"], "the request")
        one.h2.reset_stream(number, 8)
        one.flush()
        await eventually(lambda: h2app.resets == [1], "RST_STREAM")
        assert (await one.get()).status == 200


async def test_a_slow_reader_stops_the_application_at_the_windows(h2app: Http2App, pods: list[Pod]) -> None:
    pod = await serve(h2app, pods)
    async with peer(pod.port) as one:
        one.takes = False
        number = one.ask("/big")
        await eventually(lambda: one.replies[number].size == 65535, "the whole window")
        await asyncio.sleep(0.5)
        link = h2app.links[0]
        assert len(link.left[1]) > 20_000_000 - 400_000
        one.takes = True
        one.h2.acknowledge_received_data(65535, number)
        one.flush()
        assert len((await one.reply(number)).body) == 20_000_000


async def test_a_connection_that_is_idle_is_dropped_before_the_application_would(
    h2app: Http2App, pods: list[Pod]
) -> None:
    pod = await serve(h2app, pods, SIDECAR_UPSTREAM_IDLE_S="0.2")
    async with peer(pod.port) as one:
        assert (await one.get()).status == 200
        await eventually(lambda: h2app.links[0].lost, "the idle connection's end")
        assert (await one.get()).status == 200
    assert h2app.connections == 2


async def test_http1_requests_stay_http1(h2app: Http2App, pods: list[Pod]) -> None:
    pod = await serve(h2app, pods)
    client = await Client.connect(pod.port)
    client.send(b"GET / HTTP/1.1\r\nHost: test\r\n\r\n")
    assert (await client.answer()).status == 502
    assert h2app.heads == []
    client.close()


async def test_an_application_that_speaks_no_http2_is_told_apart(pod: Pod) -> None:
    await (await pod.start(7, 0, (), SIDECAR_UPSTREAM_PROTOCOL="h2", **LIMITS)).saw("accepting")
    async with peer(pod.port) as one:
        reply = await one.get()
        assert (reply.status, reply.headers["x-sidecar-error"]) == (502, "upstream-http2")
    await pod.app.stop()
    async with peer(pod.port) as one:
        reply = await one.get()
        assert (reply.status, reply.headers["x-sidecar-error"]) == (502, "upstream-connect")


async def test_a_protocol_that_is_not_spoken_is_one_line_and_exit_2(pod: Pod) -> None:
    sidecar: Sidecar = await pod.start(7, 0, SIDECAR_UPSTREAM_PROTOCOL="http3")
    assert await sidecar.process.wait() == 2
    assert sidecar.log == []
