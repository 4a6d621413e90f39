"""What clients and applications that misbehave may cost: connections, memory, time, and never a request twice."""

from __future__ import annotations

import asyncio
import contextlib
import resource
import socket
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

from tests.sidecar.rig import WITHIN_S, Client, Pod, Sidecar, eventually

pytestmark = pytest.mark.integration

GIGABYTE = 1 << 30
PIECE = b"x" * (1 << 18)
BURST = 1 << 26  # what a slow one takes between two pauses
SLACK_KIB = 4096  # of memory: what one connection may hold, read buffers of the loop included, and noise
Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


def resident(sidecar: Sidecar) -> int:
    """KiB of memory."""
    status = Path(f"/proc/{sidecar.process.pid}/status").read_text()
    return int(status.split("VmRSS:")[1].split()[0])


@contextlib.asynccontextmanager
async def application(handler: Handler) -> AsyncIterator[str]:
    """One that does just this with every connection; its address."""
    tasks: set[asyncio.Task[None]] = set()

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        try:
            await handler(reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(connected, "127.0.0.1", 0)
    try:
        yield f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def working(pod: Pod, **more: str) -> Sidecar:
    sidecar = await pod.start(7, 0, (), **more)
    await sidecar.saw("accepting")
    return sidecar


# -- how many connections ------------------------------------------------------------------------------------


async def full(pod: Pod, sidecar: Sidecar, most: int) -> tuple[list[Client], Client]:
    """As many clients as there may be, and one more whose request is in the kernel's queue."""
    clients = [await pod.client() for _ in range(most)]
    for client in clients:
        assert (await client.get()).status == 200
    waiting = await pod.client()
    waiting.send(b"GET / HTTP/1.1\r\nHost: a\r\nx-request-id: waited\r\n\r\n")
    async with asyncio.timeout(WITHIN_S):
        while not await sidecar.metric("sidecar_accept_pauses_total", reason="limit"):
            await asyncio.sleep(0.01)
    assert await sidecar.metric("sidecar_accepted_total") == most
    return clients, waiting


async def test_at_the_limit_connections_wait_in_the_kernel_and_are_served_when_there_is_room(
    pod: Pod,
) -> None:
    sidecar = await working(pod, SIDECAR_MAX_CONNECTIONS="3")
    assert await sidecar.metric("sidecar_connections_limit") == 3
    clients, waiting = await full(pod, sidecar, 3)
    assert (await clients[0].get()).status == 200  # the others are served as ever
    assert pod.app.executed["waited"] == 0
    clients.pop().close()
    answer = await waiting.answer()
    assert (answer.status, answer.closes, pod.app.executed["waited"]) == (200, False, 1)
    for client in [*clients, waiting]:
        client.close()
    many = [await pod.client() for _ in range(20)]
    for client in many:  # each gets its turn as soon as another has had its own
        assert (await client.get()).status == 200
        client.close()


async def test_what_waits_at_the_limit_is_served_by_whoever_has_room_first_in_a_handover(pod: Pod) -> None:
    predecessor = await working(pod, SIDECAR_MAX_CONNECTIONS="2")
    clients, waiting = await full(pod, predecessor, 2)
    successor = await pod.start(12, 7)
    answer = await waiting.answer()  # of the predecessor, if others moved away before the successor accepted
    assert (answer.status, answer.closes, pod.app.executed["waited"]) == (200, False, 1)
    assert await successor.run("sidecar.hook") == (0, "")
    for client in [*clients, waiting]:
        answer = await client.get()
        assert (answer.status, answer.headers["x-sidecar-instance"]) == (200, "12")
        client.close()
    assert await predecessor.metric("sidecar_moved_total", direction="out") >= 2
    assert await successor.metric("sidecar_moved_total", direction="in") >= 2


async def test_what_waits_at_the_limit_is_answered_before_the_process_ends(pod: Pod) -> None:
    sidecar = await working(pod, SIDECAR_MAX_CONNECTIONS="2")
    clients, waiting = await full(pod, sidecar, 2)
    sidecar.process.terminate()
    answer = await waiting.answer()
    assert (answer.status, answer.closes) == (200, True)
    for client in [*clients, waiting]:
        client.close()
    assert await sidecar.end() == 0


async def test_the_soft_limit_of_descriptors_is_raised_to_the_hard_one(pod: Pod) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(256, hard - 1), hard))
    try:
        sidecar = await working(pod)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    limits = await asyncio.to_thread(Path(f"/proc/{sidecar.process.pid}/limits").read_text)
    assert limits.split("Max open files")[1].split()[:2] == [str(hard)] * 2


# -- memory --------------------------------------------------------------------------------------------------


async def test_a_thousand_idle_connections_cost_less_than_twenty_kilobytes_each(
    pod: Pod, record_property: Callable[[str, object], None]
) -> None:
    sidecar = await working(pod)
    first = await pod.client()
    await first.get()
    before = resident(sidecar)
    clients = [await pod.client() for _ in range(1000)]
    for client in clients:
        assert (await client.get()).status == 200
    each = (resident(sidecar) - before) / len(clients)
    print(f"an idle connection costs {each:.1f} KiB")  # noqa: T201
    record_property("idle_connection_kib", each)
    for client in [first, *clients]:
        client.close()
    assert each <= 20


async def test_a_slow_reader_of_a_gigabyte_in_chunks_costs_no_memory(pod: Pod) -> None:
    async def pour(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        for _ in range(GIGABYTE // len(PIECE)):
            writer.writelines((b"%x\r\n" % len(PIECE), PIECE, b"\r\n"))
            await writer.drain()
        writer.write(b"0\r\n\r\n")
        await reader.read()

    async with application(pour) as upstream:
        sidecar = await working(pod, SIDECAR_UPSTREAM=upstream)
        client = await pod.client()
        client.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        status, headers = await client.head()
        assert (status, headers["transfer-encoding"]) == (200, "chunked")
        before, most, got, pause = resident(sidecar), 0, 0, 0
        end = b""
        while not end.endswith(b"\r\n0\r\n\r\n"):
            data = await asyncio.wait_for(client.reader.read(1 << 20), WITHIN_S)
            assert data, "the answer was cut short"
            got, end = got + len(data), (end + data)[-7:]
            if got >= pause:
                pause += BURST
                await asyncio.sleep(0.05)  # slow; long enough to fill whatever would be filled
                most = max(most, resident(sidecar))
        client.close()
    assert got > GIGABYTE
    assert most - before < SLACK_KIB


@pytest.mark.parametrize("chunked", [False, True])
async def test_a_slow_application_that_is_sent_a_gigabyte_costs_no_memory(chunked: bool, pod: Pod) -> None:
    size = GIGABYTE if chunked else GIGABYTE // 4
    most, got = 0, 0
    arrived = asyncio.Event()

    async def sip(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal most, got
        await reader.readuntil(b"\r\n\r\n")
        arrived.set()
        pause = 0
        while got < size:
            got += len(await reader.read(1 << 20))
            if got >= pause:
                pause += BURST
                await asyncio.sleep(0.05)
                most = max(most, resident(sidecar))
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        await writer.drain()

    async with application(sip) as upstream:
        sidecar = await working(pod, SIDECAR_UPSTREAM=upstream)
        client = await pod.client()
        framing = b"Transfer-Encoding: chunked" if chunked else b"Content-Length: %d" % size
        client.send(b"POST / HTTP/1.1\r\nHost: a\r\n%b\r\n\r\n" % framing)
        await asyncio.wait_for(arrived.wait(), WITHIN_S)
        before = resident(sidecar)
        for _ in range(size // len(PIECE)):
            piece = (b"%x\r\n" % len(PIECE), PIECE, b"\r\n") if chunked else (PIECE,)
            client.writer.writelines(piece)
            await client.writer.drain()
        client.send(b"0\r\n\r\n" if chunked else b"")
        assert (await client.answer()).status == 200
        client.close()
    assert got >= size
    assert most - before < SLACK_KIB


# -- clients that are slow, half closed or gone --------------------------------------------------------------


async def test_a_head_that_comes_byte_by_byte_for_too_long_is_ended(pod: Pod) -> None:
    await working(pod, SIDECAR_HEADER_TIMEOUT_S="0.6")
    client = await pod.client()
    loop = asyncio.get_running_loop()

    async def drip() -> None:
        for byte in b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"x" * 1000:
            client.send(bytes([byte]))
            await asyncio.sleep(0.1)  # never silent for as long as the time-out

    dripping = loop.create_task(drip())
    answer = await client.answer()
    dripping.cancel()
    assert (answer.status, answer.headers["x-sidecar-error"], answer.closes) == (408, "header-timeout", True)
    assert pod.app.heads == []
    client.close()


async def test_pipelined_requests_followed_by_fin_are_all_answered(pod: Pod) -> None:
    await working(pod)
    client = await pod.client()
    client.send(b"GET / HTTP/1.1\r\nHost: a\r\nx-request-id: fin\r\n\r\n" * 3)
    client.writer.write_eof()
    for _ in range(3):
        assert (await client.answer()).body == b"ok"
    assert await client.rest() == b""
    assert pod.app.executed["fin"] == 3
    client.close()


@pytest.mark.parametrize(
    "request_", [b"GET / HTTP/1.1\r\nHost", b"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nab"]
)
async def test_a_request_that_fin_cuts_short_is_never_executed(request_: bytes, pod: Pod) -> None:
    sidecar = await working(pod)
    client = await pod.client()
    client.send(request_)
    client.writer.write_eof()
    assert await client.rest() == b""
    client.close()
    assert pod.app.executed.total() == 0
    assert await sidecar.metric("sidecar_connections", protocol="http1", state="busy") == 0


@pytest.mark.parametrize("reset", [False, True])
async def test_a_client_that_vanishes_in_mid_answer_ends_the_applications_work(reset: bool, pod: Pod) -> None:
    gone = asyncio.Event()

    async def pour(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        try:
            while True:
                writer.writelines((b"%x\r\n" % len(PIECE), PIECE, b"\r\n"))
                await writer.drain()
        finally:
            gone.set()

    async with application(pour) as upstream:
        sidecar = await working(pod, SIDECAR_UPSTREAM=upstream)
        client = await pod.client()
        client.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        await client.reader.readexactly(1 << 20)
        if reset:
            linger = struct.pack("ii", 1, 0)
            client.writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        client.close()
        await asyncio.wait_for(gone.wait(), WITHIN_S)
    assert await sidecar.metric("sidecar_upstream_idle") == 0  # nobody gets what is left of that answer
    assert await sidecar.metric("sidecar_connections", protocol="http1", state="busy") == 0


# -- never a request twice -----------------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["closes unread", "resets", "reads and closes", "answers half a head"])
async def test_a_request_that_meets_the_end_of_a_kept_connection_is_never_sent_again(
    how: str, pod: Pod
) -> None:
    arrived: list[bytes] = []

    async def once(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        arrived.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
        await writer.drain()
        if how == "closes unread":  # what has arrived by then makes this a reset
            writer.transport.pause_reading()  # type: ignore[attr-defined]
            sock = writer.get_extra_info("socket")
            await eventually(lambda: _readable(sock), "the second request")
            arrived.append(b"unread")
            return
        arrived.append(await reader.readuntil(b"\r\n\r\n"))
        if how == "resets":
            writer.transport.abort()
        elif how == "answers half a head":
            writer.write(b"HTTP/1.1 200 OK\r\nContent-")

    async with application(once) as upstream:
        sidecar = await working(pod, SIDECAR_UPSTREAM=upstream)
        client = await pod.client()
        assert (await client.get()).status == 200
        client.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n")
        answer = await client.answer()
        assert (answer.status, answer.headers["x-sidecar-error"]) == (502, "upstream-closed")
        assert len(arrived) == 2
        assert await sidecar.metric("sidecar_upstream_connects_total") == 1
        assert (await client.get()).status == 200  # over a new connection
        assert len(arrived) == 3
        client.close()


def _readable(sock: socket.socket) -> bool:
    with contextlib.suppress(BlockingIOError):
        return bool(sock._sock.recv(1, socket.MSG_PEEK))  # type: ignore[attr-defined]
    return False
