"""The proxy as a real process: bytes in, bytes out, and what the application saw of them."""

from __future__ import annotations

import asyncio
import hashlib
import socket
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.sidecar.rig import WITHIN_S, Client, Pod, Sidecar, eventually

pytestmark = pytest.mark.integration


@pytest.fixture
async def sidecar(pod: Pod) -> Sidecar:
    sidecar = await pod.start(
        7,
        0,
        SIDECAR_HEADER_TIMEOUT_S="2",
        SIDECAR_BODY_TIMEOUT_S="2",
        SIDECAR_UPSTREAM_TIMEOUT_S="2",
        SIDECAR_HEADER_LIMIT="8192",
        SIDECAR_BODY_LIMIT="20000000",
    )
    await sidecar.saw("accepting")
    return sidecar


@pytest.fixture
async def client(pod: Pod, sidecar: Sidecar) -> AsyncIterator[Client]:
    client = await pod.client()
    yield client
    client.close()


def resident(sidecar: Sidecar) -> int:
    """KiB of memory."""
    status = Path(f"/proc/{sidecar.process.pid}/status").read_text()
    return int(status.split("VmRSS:")[1].split()[0])


@pytest.mark.parametrize(
    "data", [b"\n\nGET / HTTP/1.1\r\n", b"GET / HTTP/1.1\nHost: a\n\n", b"\rGET / HTTP/1.1\r\n"]
)
async def test_bare_line_ends_are_refused_before_the_head_is_whole(data: bytes, client: Client) -> None:
    client.send(data)
    assert (await client.answer()).status == 400


async def test_what_follows_a_chunked_body_is_the_next_request_and_nothing_else(
    client: Client, pod: Pod
) -> None:
    client.send(
        b"POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
        b"5;x=y\r\nhello\r\n0\r\nX-T: 1\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n"
    )
    assert (await client.answer()).body.decode() == hashlib.sha256(b"hello").hexdigest()
    assert (await client.answer()).body == b"ok"
    assert len(pod.app.heads) == 2


async def test_requests_byte_by_byte_and_pipelined_are_answered_in_order(client: Client) -> None:
    for byte in b"\r\nPOST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc":
        client.send(bytes([byte]))
        await asyncio.sleep(0)
    assert (await client.answer()).body.decode() == hashlib.sha256(b"abc").hexdigest()
    client.send(
        b"GET /none HTTP/1.1\r\nHost: a\r\n\r\nHEAD / HTTP/1.1\r\nHost: a\r\n\r\n"
        b"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\nxGET /stream HTTP/1.1\r\nHost: a\r\n\r\n"
    )
    assert (await client.answer()).status == 204
    head = await client.answer(head_only=True)
    assert (head.status, head.headers["content-length"]) == (200, "2")
    assert (await client.answer()).body.decode() == hashlib.sha256(b"x").hexdigest()
    assert len((await client.answer()).body) == 100


async def test_thousands_of_pipelined_requests_are_all_answered(client: Client) -> None:
    client.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n" * 3000)
    for _ in range(3000):
        assert (await client.answer()).body == b"ok"


@pytest.mark.parametrize("chunked", [False, True])
async def test_a_large_upload_arrives_to_the_byte(chunked: bool, client: Client) -> None:
    body = bytes(range(256)) * 40_000
    if chunked:
        pieces = [body[at : at + 60_001] for at in range(0, len(body), 60_001)]
        coded = b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces) + b"0\r\n\r\n"
        client.send(b"POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n" + coded)
    else:
        client.send(b"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
    assert (await client.answer()).body.decode() == hashlib.sha256(body).hexdigest()
    assert (await client.get()).status == 200


async def test_a_slow_reader_of_a_large_answer_gets_it_whole_and_costs_little_memory(
    client: Client, sidecar: Sidecar, pod: Pod
) -> None:
    await client.get()
    before = resident(sidecar)
    client.writer.transport.pause_reading()  # type: ignore[attr-defined]
    client.send(b"GET /big HTTP/1.1\r\nHost: a\r\n\r\n")
    await eventually(lambda: pod.app.executed.total() == 2, "the request at the application")
    await asyncio.sleep(0.3)  # long enough to fill whatever would be filled
    assert resident(sidecar) - before < 8192
    client.writer.transport.resume_reading()  # type: ignore[attr-defined]
    assert len((await client.answer()).body) == 40_000_000


async def test_an_idle_process_stays_under_sixty_megabytes(sidecar: Sidecar) -> None:
    assert resident(sidecar) < 60 * 1024


@pytest.mark.parametrize(
    ("path", "status", "reason"),
    [
        ("/vanish", 502, "upstream-closed"),
        ("/garbage", 502, "upstream-malformed"),
        ("/hold", 504, "upstream-timeout"),
    ],
)
async def test_an_application_that_does_not_answer_is_named_and_never_asked_twice(
    path: str, status: int, reason: str, client: Client, pod: Pod
) -> None:
    await client.get()  # there is a pooled connection now
    client.send(
        f"POST {path} HTTP/1.1\r\nHost: a\r\nx-request-id: once\r\nContent-Length: 0\r\n\r\n".encode()
    )
    answer = await client.answer()
    assert (answer.status, answer.headers["x-sidecar-error"]) == (status, reason)
    assert pod.app.executed["once"] == 1
    client.close()


async def test_an_application_that_is_not_there_gives_502_and_the_connection_lives(pod: Pod) -> None:
    with socket.create_server(("127.0.0.1", 0)) as nobody:
        port = nobody.getsockname()[1]
    sidecar = await pod.start(7, 0, SIDECAR_UPSTREAM=f"127.0.0.1:{port}")
    await sidecar.saw("accepting")
    client = await pod.client()
    for _ in range(2):
        answer = await client.get()
        assert (answer.status, answer.headers["x-sidecar-error"]) == (502, "upstream-connect")
        assert not answer.closes
    client.close()


async def test_an_answer_cut_short_is_cut_short_for_the_client_too(client: Client) -> None:
    client.send(b"GET /half HTTP/1.1\r\nHost: a\r\n\r\n")
    with pytest.raises((asyncio.IncompleteReadError, ConnectionResetError)):
        await client.answer()


async def test_an_answer_that_ends_with_its_connection_keeps_the_clients(client: Client) -> None:
    answer = await client.get("/until-close")
    assert (answer.body, answer.headers["transfer-encoding"]) == (b"all of it", "chunked")
    assert (await client.get()).status == 200


async def test_http_1_0_gets_the_end_as_a_close(client: Client) -> None:
    client.send(b"GET /until-close HTTP/1.0\r\n\r\n")
    answer = await client.answer()
    assert (answer.body, answer.closes) == (b"all of it", True)


async def test_slow_and_oversized_heads_and_bodies_have_their_status(client: Client, pod: Pod) -> None:
    for data, status, reason in (
        (b"GET / HTTP/1.1\r\nHost:", 408, "header-timeout"),
        (b"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nab", 408, "body-timeout"),
        (b"GET / HTTP/1.1\r\nX: " + b"a" * 9000, 431, "header-limit"),
        (b"GET / HTTP/1.1\r\nX: " + b"a" * 9000 + b"\r\n\r\n", 431, "header-limit"),
        (b"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 30000000\r\n\r\n", 413, "body-limit"),
        (
            b"POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1312D01\r\n",
            413,
            "body-limit",
        ),
    ):
        client = await pod.client()
        client.send(data)
        answer = await client.answer()
        assert (answer.status, answer.headers["x-sidecar-error"]) == (status, reason)
        assert answer.closes
        assert await client.rest() == b""
        client.close()
    assert pod.app.executed.total() == 0


async def test_expect_100_continue_goes_through_both_ways(client: Client) -> None:
    client.send(b"POST /echo HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n")
    assert (await client.head())[0] == 100
    client.send(b"abc")
    answer = await client.answer()
    assert (answer.body.decode(), answer.closes) == (hashlib.sha256(b"abc").hexdigest(), False)
    client.send(b"POST /refuse HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n")
    answer = await client.answer()
    assert (answer.status, answer.interim, answer.closes) == (413, [], True)


async def test_a_client_that_half_closes_still_gets_its_answer(client: Client) -> None:
    client.send(b"GET /stream HTTP/1.1\r\nHost: a\r\n\r\n")
    client.writer.write_eof()
    assert (await client.answer()).body.endswith(b"0019\n")
    assert await client.rest() == b""


async def test_a_client_that_vanishes_ends_the_request_at_the_application(pod: Pod, client: Client) -> None:
    client.send(b"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nab")
    await eventually(lambda: pod.app.heads, "the head at the application")
    client.close()
    await client.writer.wait_closed()
    again = await pod.client()
    assert (await again.get()).status == 200
    again.close()
    assert pod.app.executed.total() == 1


async def test_connections_to_the_application_are_kept_and_used_again(client: Client, pod: Pod) -> None:
    for _ in range(50):
        await client.get()
    assert pod.app.connections == 1


@pytest.mark.case(26)
async def test_an_answer_before_the_bodys_end_is_followed_by_the_next_request(
    client: Client, pod: Pod
) -> None:
    client.send(b"POST /refuse HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nab")
    answer = await client.answer()
    assert (answer.status, answer.closes) == (413, True)
    client.send(b"cde")
    assert await asyncio.wait_for(client.rest(), WITHIN_S) == b""
