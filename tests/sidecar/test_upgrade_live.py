"""Connections that change their protocol: WebSocket, and whatever else an application says 101 to."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

import pytest
from aiohttp import ClientSession, WSMsgType, web

from tests.sidecar.rig import App, Client, Pod, Sidecar, eventually, free_port

pytestmark = pytest.mark.integration

SWITCH = b"GET %b HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n"
SMUGGLED = b"GET /smuggled HTTP/1.1\r\nHost: a\r\nx-request-id: smuggled\r\n\r\n"
AGREES = b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: echo\r\nX-Kept: 1\r\n\r\n"
# Answers by path; all but the first leave the connection what it was.
ANSWERS = {
    "/switch": AGREES,
    "/early": AGREES + b"hello ",
    "/interim": b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" + AGREES,
    "/declines": b"HTTP/1.1 426 Upgrade Required\r\nContent-Length: 2\r\n\r\nno",
    "/ignores": b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
    "/lies": AGREES.replace(b"Upgrade: echo", b"Upgrade: h2c"),
}


class SwitchingApp(App):
    """Switches to a protocol that sends everything back, or does not."""

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        head = await reader.readuntil(b"\r\n\r\n")
        self.heads.append(head)
        path = head.split(b" ", 2)[1].decode()
        if path == "/hold":
            await self.released.wait()
            path = "/switch" if b"Upgrade: echo" in head else "/ignores"
        elif path == "/late":
            await self.released.wait()
            path = "/declines"
        answer = ANSWERS.get(path, ANSWERS["/ignores"])
        writer.write(answer)
        if AGREES not in answer:
            return True
        while data := await reader.read(1 << 16):
            writer.write(data)
            await writer.drain()
        writer.write(b"bye")
        return False


@pytest.fixture
async def app() -> AsyncIterator[App]:
    app = SwitchingApp()
    await app.start()
    yield app
    await app.stop()


@pytest.fixture
async def sidecar(pod: Pod) -> Sidecar:
    sidecar = await pod.start(7, 0, SIDECAR_DRAIN_DEADLINE_S="1.5", SIDECAR_DRAIN_IDLE_S="0.2")
    await sidecar.saw("accepting")
    return sidecar


@pytest.fixture
async def client(pod: Pod, sidecar: Sidecar) -> AsyncIterator[Client]:
    client = await pod.client()
    yield client
    client.close()


@pytest.mark.parametrize("path", [b"/switch", b"/interim"])
async def test_after_a_101_bytes_go_both_ways(path: bytes, client: Client, pod: Pod) -> None:
    client.send(SWITCH % path)
    status, headers = await client.head()
    if path == b"/interim":
        assert (status, headers["link"]) == (103, "</a>")
        status, headers = await client.head()
    assert status == 101
    assert (headers["connection"], headers["upgrade"], headers["x-kept"]) == ("upgrade", "echo", "1")
    assert (headers["x-sidecar-version"], headers["x-sidecar-instance"]) == ("v7", "7")
    for number in range(100):
        client.send(b"%05d\n" % number)
    for number in range(100):
        assert await client.reader.readexactly(6) == b"%05d\n" % number
    client.writer.write_eof()
    assert await client.rest() == b"bye"
    assert len(pod.app.heads) == 1


async def test_what_either_side_sent_early_arrives_first_and_in_order(client: Client) -> None:
    client.send(SWITCH % b"/early" + b"one ")
    status, _ = await client.head()
    assert status == 101
    client.send(b"two")
    assert await client.reader.readexactly(13) == b"hello one two"


async def test_a_client_that_finishes_before_the_101_is_heard_out(client: Client, pod: Pod) -> None:
    client.send(SWITCH % b"/hold" + b"all of it")
    client.writer.write_eof()
    await eventually(lambda: pod.app.heads, "the request")
    pod.app.released.set()
    status, _ = await client.head()
    assert status == 101
    assert await client.rest() == b"all of itbye"


@pytest.mark.parametrize(("path", "status"), [(b"/declines", 426), (b"/ignores", 200)])
async def test_any_other_answer_is_an_answer(path: bytes, status: int, client: Client, pod: Pod) -> None:
    for _ in range(2):
        client.send(SWITCH % path)
        answer = await client.answer()
        assert answer.status == status
        assert not answer.closes
    assert pod.app.connections == 1  # nothing was given up


async def test_what_follows_an_upgrade_that_is_declined_is_the_next_request(client: Client, pod: Pod) -> None:
    """Held back until the answer: the application would read it as its own."""
    client.send(SWITCH % b"/late" + SMUGGLED)
    await eventually(lambda: pod.app.heads, "the request")
    await asyncio.sleep(0.05)
    assert len(pod.app.heads) == 1
    pod.app.released.set()
    assert (await client.answer()).status == 426
    assert (await client.answer()).status == 200
    assert [head.split(b" ", 2)[1] for head in pod.app.heads] == [b"/late", b"/smuggled"]
    assert b"X-Forwarded-For: 127.0.0.1\r\n" in pod.app.heads[1]  # it was this proxy that read it


@pytest.mark.parametrize(
    "head",
    [
        SWITCH.replace(b"GET", b"POST") % b"/hold",
        SWITCH.replace(b"HTTP/1.1", b"HTTP/1.0") % b"/hold",
        SWITCH.replace(b"Host: a", b"Host: a\r\nContent-Length: 3") % b"/hold" + b"abc",
        SWITCH.replace(b"Host: a", b"Host: a\r\nTransfer-Encoding: chunked") % b"/hold" + b"0\r\n\r\n",
        SWITCH.replace(b"Connection: Upgrade\r\n", b"") % b"/hold",
        SWITCH.replace(b": echo", b": h2c") % b"/hold",
        SWITCH.replace(b": echo", b": echo\x0bx") % b"/hold",
    ],
)
async def test_a_request_that_may_not_upgrade_does_not(head: bytes, client: Client, pod: Pod) -> None:
    pod.app.released.set()
    client.send(head)
    answer = await client.answer()
    assert answer.status in (200, 400)
    assert not [seen for seen in pod.app.heads if b"upgrade" in seen.lower()]


async def test_a_101_that_nobody_asked_for_is_no_answer(client: Client, pod: Pod) -> None:
    client.send(b"GET /switch HTTP/1.1\r\nHost: a\r\n\r\n" + SMUGGLED)
    answer = await client.answer()
    assert (answer.status, answer.headers["x-sidecar-error"]) == (502, "upstream-malformed")
    assert (await client.answer()).status == 200
    client.send(SWITCH % b"/lies")
    assert (await client.answer()).status == 502
    assert (await client.get()).status == 200
    assert pod.app.connections == 3  # those two are not used again


@pytest.mark.case(28)
async def test_a_websocket_that_cannot_move_lives_until_the_deadline_of_a_drain(
    client: Client, sidecar: Sidecar, pod: Pod
) -> None:
    client.send(SWITCH % b"/switch")
    assert (await client.head())[0] == 101
    short = await pod.client()
    short.send(SWITCH % b"/switch")
    assert (await short.head())[0] == 101
    # The successor listens elsewhere: what came by this listener stays.
    successor = await pod.start(8, 7, SIDECAR_LISTEN=f"127.0.0.1:{free_port()}")
    await successor.saw("commit")
    short.close()
    for number in range(20):  # longer than a silent connection gets
        client.send(b"%05d\n" % number)
        assert await client.reader.readexactly(6) == b"%05d\n" % number
        await asyncio.sleep(0.02)
    drained = await sidecar.saw("drained")
    assert (drained["finished"], drained["forced"], drained["forced_silent"]) == (1, 1, 0)


@pytest.mark.case(28)
async def test_a_drain_is_over_when_the_last_websocket_is(client: Client, sidecar: Sidecar, pod: Pod) -> None:
    client.send(SWITCH % b"/hold")  # becomes a tunnel while the drain is under way
    await eventually(lambda: pod.app.heads, "the request")
    successor = await pod.start(8, 7)
    await successor.saw("commit")
    pod.app.released.set()
    assert (await client.head())[0] == 101
    client.send(b"last")
    assert await client.reader.readexactly(4) == b"last"
    client.writer.write_eof()
    assert await client.rest() == b"bye"
    drained = await sidecar.saw("drained")
    assert drained["forced"] == 0
    assert drained["finished"] + drained["moved"] == 1


async def test_a_websocket_moves_with_a_handover(client: Client, sidecar: Sidecar, pod: Pod) -> None:
    client.send(SWITCH % b"/switch")
    assert (await client.head())[0] == 101
    successor = await pod.start(8, 7)
    await successor.saw("commit")
    assert (await sidecar.saw("drained"))["moved"] == 1
    await sidecar.end()
    client.send(b"on")
    assert await client.reader.readexactly(2) == b"on"
    client.writer.write_eof()
    assert await client.rest() == b"bye"


async def test_a_websocket_of_another_project_echoes_every_message_in_order(pod: Pod) -> None:
    """aiohttp at both ends: handshake, masks, fragments and close are theirs."""

    async def serve(request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse(protocols=("numbers",))
        await socket.prepare(request)
        async for message in socket:
            if message.type is WSMsgType.TEXT:
                await socket.send_str(message.data)
        return socket

    application = web.Application()
    application.router.add_get("/ws", serve)
    runner = web.AppRunner(application)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = runner.addresses[0][1]
    sidecar = await pod.start(1, 0, SIDECAR_UPSTREAM=f"127.0.0.1:{port}")
    await sidecar.saw("accepting")
    url = f"http://127.0.0.1:{pod.port}/ws"
    try:
        async with ClientSession() as session, session.ws_connect(url, protocols=("numbers",)) as socket:
            assert socket.protocol == "numbers"
            for number in range(500):
                await socket.send_str(f"{number:06d}" * (1 + number % 50))
            for number in range(500):
                assert await socket.receive_str() == f"{number:06d}" * (1 + number % 50)
            await socket.close()
            assert socket.close_code == 1000
    finally:
        with contextlib.suppress(TimeoutError):
            await runner.cleanup()
