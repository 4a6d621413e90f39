"""HTTP/2 clients and an application that speaks HTTP/1.1: a real process, and what each side saw."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
from pathlib import Path

import pytest

from tests.sidecar.h2.application import ChunkedApp
from tests.sidecar.h2.conftest import pod_of
from tests.sidecar.h2.peer import PREFACE, Reply, frame, peer
from tests.sidecar.rig import WITHIN_S, App, Client, Pod, Sidecar, eventually

pytestmark = pytest.mark.integration


def resident(sidecar: Sidecar) -> int:
    """KiB of memory."""
    status = Path(f"/proc/{sidecar.process.pid}/status").read_text()
    return int(status.split("VmRSS:")[1].split()[0])


async def test_requests_are_answered_with_the_stamps_and_reach_the_application_as_http1(
    sidecar: Sidecar, pod: Pod
) -> None:
    async with peer(pod.port) as one:
        reply = await one.get("/", "c-1", more=[("cookie", "a=1"), ("cookie", "b=2"), ("te", "trailers")])
        assert (reply.status, reply.body) == (200, b"ok")
        assert (reply.headers["x-sidecar-version"], reply.headers["x-sidecar-instance"]) == ("v7", "7")
    head = pod.app.heads[0].lower()
    assert head.startswith(b"get / http/1.1\r\nhost: test\r\n")
    for line in (b"x-request-id: c-1", b"cookie: a=1; b=2", b"x-forwarded-for: 127.0.0.1", b"te: trailers"):
        assert b"\r\n" + line + b"\r\n" in head
    assert pod.app.executed["c-1"] == 1


async def test_the_preface_may_come_byte_by_byte(sidecar: Sidecar, pod: Pod) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", pod.port)
    for byte in PREFACE + frame(4, 0, 0) + frame(1, 5, 1, b"\x82\x86\x84\x41\x01a"):
        writer.write(bytes([byte]))
        await asyncio.sleep(0.002)
    received = b""
    while frame(0, 1, 1, b"ok") not in received:
        data = await asyncio.wait_for(reader.read(65536), WITHIN_S)
        assert data, received
        received += data
    writer.close()


async def test_the_preface_is_only_taken_as_a_connections_first_bytes(sidecar: Sidecar, pod: Pod) -> None:
    client = await pod.client()
    assert (await client.get()).status == 200
    client.send(PREFACE + frame(4, 0, 0))
    answer = await client.answer()
    assert answer.status == 505
    assert answer.closes
    client.close()


async def test_http1_is_served_on_the_same_listener(sidecar: Sidecar, pod: Pod) -> None:
    client = await pod.client()
    async with peer(pod.port) as one:
        assert (await client.get()).body == (await one.get()).body == b"ok"
    client.close()


async def test_many_streams_run_at_once_and_a_slow_one_holds_up_nobody(sidecar: Sidecar, pod: Pod) -> None:
    async with peer(pod.port) as one:
        held = one.ask("/hold", name="slow")
        numbers = [one.ask("/", name=f"c-{number}") for number in range(60)]
        for number in numbers:
            assert (await one.reply(number)).status == 200
        assert not one.replies[held].over
        pod.app.released.set()
        assert (await one.reply(held)).body == b"held"
    assert set(pod.app.executed.values()) == {1}


async def test_an_upload_arrives_to_the_byte_with_and_without_a_length(sidecar: Sidecar, pod: Pod) -> None:
    body = bytes(range(256)) * 1200
    async with peer(pod.port) as one:
        for more in ([], [("content-length", str(len(body)))]):
            number = one.ask("/echo", "POST", body=None, more=more)
            await one.upload(number, body)
            assert (await one.reply(number)).body.decode() == hashlib.sha256(body).hexdigest()


async def test_an_interim_answer_is_passed_on_before_the_body_is_sent(sidecar: Sidecar, pod: Pod) -> None:
    async with peer(pod.port) as one:
        more = [("expect", "100-continue"), ("content-length", "3")]
        number = one.ask("/echo", "POST", body=None, more=more)
        await eventually(lambda: one.replies[number].interim == [100], "100 Continue")
        one.send(number, b"abc", end=True)
        assert (await one.reply(number)).body.decode() == hashlib.sha256(b"abc").hexdigest()


async def test_answers_without_a_body_end_with_their_head(sidecar: Sidecar, pod: Pod) -> None:
    async with peer(pod.port) as one:
        head = await one.reply(one.ask("/", "HEAD"))
        assert (head.status, head.headers["content-length"], head.body) == (200, "2", b"")
        assert (await one.get("/none")).status == 204


async def test_an_answer_that_ends_with_its_connection_is_complete(sidecar: Sidecar, pod: Pod) -> None:
    async with peer(pod.port) as one:
        reply = await one.get("/until-close")
        assert (reply.body, reply.reset) == (b"all of it", None)


@pytest.mark.parametrize(
    ("path", "status", "reason"),
    [
        ("/vanish", 502, "upstream-closed"),
        ("/garbage", 502, "upstream-malformed"),
        ("/hold", 504, "upstream-timeout"),
    ],
)
async def test_an_application_that_fails_is_answered_for(
    path: str, status: int, reason: str, sidecar: Sidecar, pod: Pod
) -> None:
    async with peer(pod.port) as one:
        reply = await one.get(path, "c-1")
        assert (reply.status, reply.headers["x-sidecar-error"]) == (status, reason)
        assert (await one.get()).status == 200
    assert pod.app.executed["c-1"] <= 1


async def test_an_answer_that_breaks_off_is_reset_and_other_streams_go_on(sidecar: Sidecar, pod: Pod) -> None:
    async with peer(pod.port) as one:
        reply = await one.get("/half")
        assert (reply.body, reply.reset) == (b"half", 2)
        assert (await one.get()).status == 200


async def test_an_application_that_is_not_there_is_answered_for(sidecar: Sidecar, pod: Pod) -> None:
    await pod.app.stop()
    async with peer(pod.port) as one:
        reply = await one.get()
        assert (reply.status, reply.headers["x-sidecar-error"]) == (502, "upstream-connect")


async def test_an_early_answer_ends_the_upload_without_an_error(sidecar: Sidecar, pod: Pod) -> None:
    async with peer(pod.port) as one:
        number = one.ask("/refuse", "POST", body=None)
        await eventually(lambda: one.replies[number].reset is not None, "RST_STREAM")
        reply = one.replies[number]
        assert (reply.status, reply.ended, reply.reset) == (413, True, 0)
        assert (await one.get()).status == 200


async def test_a_connection_with_half_a_request_on_it_is_not_used_again(pods: list[Pod]) -> None:
    """An application that answers as soon as it has the head, and keeps the connection."""
    heads: list[bytes] = []

    async def hasty(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                heads.append(await reader.readuntil(b"\r\n\r\n"))
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
        writer.close()

    server = await asyncio.start_server(hasty, "127.0.0.1", 0)
    app = App()
    app.port = server.sockets[0].getsockname()[1]
    pod = pod_of(app, pods)
    await (await pod.start(7, 0)).saw("accepting")
    async with peer(pod.port) as one:
        number = one.ask("/", "POST", body=None, more=[("content-length", "18")])
        one.send(number, b"half")
        await eventually(lambda: one.replies[number].reset is not None, "RST_STREAM")
        assert (one.replies[number].status, one.replies[number].reset) == (200, 0)
        assert (await one.get()).status == 200
    assert [head[:4] for head in heads] == [b"POST", b"GET "]
    server.close()


async def test_a_body_of_unknown_length_over_the_limit_is_answered_and_not_executed(pod: Pod) -> None:
    await (await pod.start(7, 0, SIDECAR_BODY_LIMIT="50000")).saw("accepting")
    async with peer(pod.port) as one:
        number = one.ask("/echo", "POST", body=None, name="long")
        for _ in range(6):
            one.send(number, b"x" * 10_000)
        reply = await one.reply(number)
        assert (reply.status, reply.headers["x-sidecar-error"]) == (413, "body-limit")
        assert (await one.get()).status == 200
    assert pod.app.executed["long"] == 0


async def test_a_body_over_the_limit_is_answered_and_the_connection_goes_on(
    sidecar: Sidecar, pod: Pod
) -> None:
    async with peer(pod.port) as one:
        number = one.ask("/echo", "POST", body=None, more=[("content-length", "20000001")])
        reply = await one.reply(number)
        assert (reply.status, reply.headers["x-sidecar-error"]) == (413, "body-limit")
        assert (await one.get()).status == 200
    assert pod.app.executed.total() == 1


async def test_a_header_list_over_the_limit_is_answered_and_the_connection_goes_on(
    sidecar: Sidecar, pod: Pod
) -> None:
    async with peer(pod.port) as one:
        reply = await one.get(more=[("x", "y" * 9000)])
        assert (reply.status, reply.headers["x-sidecar-error"]) == (431, "header-limit")
        assert (await one.get()).status == 200


async def test_slow_bodies_are_answered_and_their_requests_not_executed(sidecar: Sidecar, pod: Pod) -> None:
    async with peer(pod.port) as one:
        number = one.ask("/echo", "POST", body=None, name="slow")
        one.send(number, b"begun")
        reply = await one.reply(number)
        assert (reply.status, reply.headers["x-sidecar-error"]) == (408, "body-timeout")
        assert (await one.get()).status == 200
    assert pod.app.executed["slow"] == 0


async def test_a_header_block_that_does_not_end_ends_the_connection(sidecar: Sidecar, pod: Pod) -> None:
    async with peer(pod.port) as one:
        await one.get()
        one.raw(frame(1, 0, 3, b"\x82"))
        await eventually(lambda: one.closed, "the end")
        assert one.goaways == [(1, 11)]


async def test_a_connection_that_never_begins_is_ended(sidecar: Sidecar, pod: Pod) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", pod.port)
    writer.write(PREFACE)
    received = await asyncio.wait_for(reader.read(), 10)
    assert frame(7, 0, 0)[3:5] in received
    writer.close()


async def test_connect_is_refused_as_over_http1(sidecar: Sidecar, pod: Pod) -> None:
    async with peer(pod.port) as one:
        one.replies[1] = Reply()
        one.h2.send_headers(1, [(":method", "CONNECT"), (":authority", "a:1")], end_stream=True)
        one.flush()
        reply = await one.reply(1)
        assert (reply.status, reply.headers["x-sidecar-error"]) == (501, "connect-unsupported")


async def test_a_slow_reader_of_a_huge_answer_costs_no_memory(sidecar: Sidecar, pod: Pod) -> None:
    async with peer(pod.port) as one:
        await one.get()
        before = resident(sidecar)
        one.takes = False
        number = one.ask("/big")
        await eventually(lambda: one.replies[number].size >= 65533, "the whole window")
        await asyncio.sleep(0.3)
        assert resident(sidecar) - before < 8_000
        one.takes = True
        one.h2.acknowledge_received_data(65533, number)
        one.flush()
        assert len((await one.reply(number)).body) == 40_000_000


async def test_an_application_that_does_not_read_stops_the_upload_at_the_windows(
    sidecar: Sidecar, pod: Pod
) -> None:
    """An application that reads nothing: the kernel's buffers fill, then the windows stay closed."""
    await pod.app.stop()
    taken = []

    async def never_reads(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        taken.append(writer)

    server = await asyncio.start_server(never_reads, "127.0.0.1", pod.app.port, limit=1)
    async with peer(pod.port) as one:
        number = one.ask("/echo", "POST", body=None)
        sent = 0
        while not one.replies[number].over and sent < 40_000_000:
            size = min(16384, one.h2.local_flow_control_window(number))
            if size:
                one.send(number, b"x" * size)
                sent += size
            else:
                await asyncio.sleep(0.01)
        reply = await one.reply(number)
        assert (reply.status, reply.headers["x-sidecar-error"]) == (504, "upstream-timeout")
        assert sent < 20_000_000  # less than the limit, which would have been answered with 413
    for writer in taken:
        writer.close()
    server.close()


async def test_a_client_that_takes_a_request_back_ends_it_with_the_application(
    sidecar: Sidecar, pod: Pod
) -> None:
    async with peer(pod.port) as one:
        number = one.ask("/hold", name="c-1")
        await eventually(lambda: pod.app.executed["c-1"], "the request")
        one.h2.reset_stream(number, 8)
        one.flush()
        assert (await one.get()).status == 200


async def test_a_client_that_says_goodbye_or_sends_no_more_gets_what_it_asked_for(
    sidecar: Sidecar, pod: Pod
) -> None:
    async with peer(pod.port) as one:
        number = one.ask("/hold")
        one.raw(frame(7, 0, 0, bytes(8)))
        await one.ping()
        one.writer.write_eof()
        await eventually(lambda: pod.app.executed.total() == 1, "the request")
        pod.app.released.set()
        assert (await one.reply(number)).body == b"held"
        await eventually(lambda: one.closed, "the end")
        assert one.goaways == []


async def test_a_status_that_no_rfc_knows_is_passed_on(chunked: ChunkedApp, pods: list[Pod]) -> None:
    chunked.answer = b"HTTP/1.1 999 No\r\nContent-Length: 2\r\n\r\nok"
    pod = pod_of(chunked, pods)
    await (await pod.start(7, 0)).saw("accepting")
    async with peer(pod.port) as one:
        assert (await one.get()).status == (await one.get()).status == 999


async def test_trailers_pass_both_ways(chunked: ChunkedApp, pods: list[Pod]) -> None:
    chunked.answer = (
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: grpc-status\r\n\r\n"
        b"5;x=y\r\nhello\r\n0\r\nGrpc-Status: 0\r\ngrpc-message: fine\r\n\r\n"
    )
    pod = pod_of(chunked, pods)
    await (await pod.start(7, 0)).saw("accepting")
    async with peer(pod.port) as one:
        number = one.ask("/", "POST", body=None, more=[("te", "trailers"), ("trailer", "x-sum")])
        one.send(number, b"question")
        one.trailers(number, [("x-sum", "7")])
        reply = await one.reply(number)
        assert (reply.status, reply.body) == (200, b"hello")
        assert reply.trailers == {"grpc-status": "0", "grpc-message": "fine"}
        assert chunked.bodies == [b"8\r\nquestion\r\n0\r\nx-sum: 7\r\n"]
        chunked.answer = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nGrpc-Status: 5\r\n\r\n"
        reply = await one.get()
        assert (reply.body, reply.trailers) == (b"", {"grpc-status": "5"})


async def test_a_length_that_is_not_kept_never_makes_a_whole_request(
    chunked: ChunkedApp, pods: list[Pod]
) -> None:
    chunked.answer = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
    pod = pod_of(chunked, pods)
    await (await pod.start(7, 0)).saw("accepting")
    async with peer(pod.port) as one:
        empty = one.h2.get_next_available_stream_id()
        one.ask("/", "POST", more=[("content-length", "5")])
        assert (await one.reply(empty)).reset == 1
        short = one.ask("/", "POST", body=b"abc", more=[("content-length", "5")])
        assert (await one.reply(short)).reset == 1
        trailing = one.ask("/", "POST", body=None, more=[("content-length", "5")])
        one.send(trailing, b"abc")
        one.trailers(trailing, [("x", "1")])
        assert (await one.reply(trailing)).reset == 1
        long = one.ask("/", "POST", body=b"abcdefgh", more=[("content-length", "5")])
        assert (await one.reply(long)).reset == 1
        assert (await one.get()).status == 200
    assert [body for body in chunked.bodies if body] == []
    assert chunked.heads[-1].startswith(b"GET")


async def test_clients_of_both_kinds_share_the_applications_connections(sidecar: Sidecar, pod: Pod) -> None:
    client = await Client.connect(pod.port)
    async with peer(pod.port) as one:
        for _ in range(5):
            assert (await one.get()).status == 200
            assert (await client.get()).status == 200
    client.close()
    assert pod.app.connections == 1
