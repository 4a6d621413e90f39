"""The outbound listener as a real process: absolute form and CONNECT, and where they do not go."""

from __future__ import annotations

import asyncio
import hashlib
import socket
from collections.abc import AsyncIterator

import pytest

from tests.sidecar.rig import Client, Pod, Sidecar, eventually, free_port

pytestmark = pytest.mark.integration


class Proxied:
    """A pod whose sidecar has an outbound listener; the destination is a server of another kind."""

    def __init__(self, pod: Pod) -> None:
        self.pod = pod
        self.port = free_port()
        self.settings = {
            "SIDECAR_OUTBOUND": f"127.0.0.1:{self.port}",
            "SIDECAR_OUTBOUND_ALLOW": "127.0.0.0/8",
            "SIDECAR_DRAIN_IDLE_S": "0.2",
            "SIDECAR_CONNECT_TIMEOUT_S": "1",
        }
        self.ends: list[str] = []
        self.far: list[asyncio.StreamWriter] = []

    async def start(self, version: int = 7, alt: int = 0, **more: str) -> Sidecar:
        sidecar = await self.pod.start(version, alt, (), **{**self.settings, **more})
        if not alt:
            await sidecar.saw("accepting")
        return sidecar

    async def client(self) -> Client:
        return await Client.connect(self.port)

    async def connect(self, client: Client, early: bytes = b"") -> tuple[int, dict[str, str]]:
        """CONNECT to the destination that greets and echoes."""
        client.send(b"CONNECT localhost:%d HTTP/1.1\r\nHost: x\r\n\r\n" % self.destination + early)
        return await client.head()

    async def greet(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """The destination: speaks first, as mail and databases do."""
        self.far.append(writer)
        writer.write(b"hello ")
        try:
            while data := await reader.read(1 << 16):
                writer.write(data)
                await writer.drain()
            self.ends.append("fin")
            writer.write(b"bye")
        except ConnectionError:
            self.ends.append("reset")
        finally:
            writer.close()

    async def open(self) -> None:
        self._server = await asyncio.start_server(self.greet, "127.0.0.1", 0)
        self.destination = self._server.sockets[0].getsockname()[1]

    async def close(self) -> None:
        self._server.close()
        for writer in self.far:
            writer.transport.abort()
        await asyncio.sleep(0)


@pytest.fixture
async def proxied(pod: Pod) -> AsyncIterator[Proxied]:
    proxied = Proxied(pod)
    await proxied.open()
    yield proxied
    await proxied.close()


@pytest.fixture
async def sidecar(proxied: Proxied) -> Sidecar:
    return await proxied.start()


@pytest.fixture
async def client(proxied: Proxied, sidecar: Sidecar) -> AsyncIterator[Client]:
    client = await proxied.client()
    yield client
    client.close()


# -- plain requests ------------------------------------------------------------------------------------------


async def test_a_request_goes_where_its_target_says(client: Client, pod: Pod) -> None:
    for path in ("/a", "/b"):
        client.send(
            f"GET http://localhost:{pod.app.port}{path} HTTP/1.1\r\nHost: elsewhere\r\n"
            "Proxy-Authorization: secret\r\nProxy-Connection: keep-alive\r\n\r\n".encode()
        )
        answer = await client.answer()
        assert (answer.status, answer.body) == (200, b"ok")
        assert answer.headers["x-sidecar-version"] == "v7"
    assert (
        pod.app.heads[1]
        == (
            f"GET /b HTTP/1.1\r\nHost: localhost:{pod.app.port}\r\n"
            "X-Forwarded-For: 127.0.0.1\r\nX-Forwarded-Proto: http\r\n\r\n"
        ).encode()
    )
    assert pod.app.connections == 1  # kept between the two


async def test_bodies_pass(client: Client, pod: Pod) -> None:
    body = bytes(range(256)) * 4000
    for _ in range(2):
        client.send(
            f"POST http://127.0.0.1:{pod.app.port}/echo HTTP/1.1\r\nHost: x\r\n"
            f"Content-Length: {len(body)}\r\n\r\n".encode()
            + body
        )
        assert (await client.answer()).body.decode() == hashlib.sha256(body).hexdigest()


async def test_a_request_that_may_have_been_executed_is_not_sent_again(client: Client, pod: Pod) -> None:
    plain = f"GET http://127.0.0.1:{pod.app.port}%s HTTP/1.1\r\nHost: x\r\nx-request-id: %s\r\n\r\n"
    client.send((plain % ("/", "1")).encode())
    assert (await client.answer()).status == 200
    client.send((plain % ("/vanish", "2")).encode())
    answer = await client.answer()
    assert (answer.status, answer.headers["x-sidecar-error"]) == (502, "upstream-closed")
    assert pod.app.executed["2"] == 1


async def test_an_upgrade_is_passed_on_by_an_outbound_listener_too(client: Client, pod: Pod) -> None:
    client.send(
        f"GET http://127.0.0.1:{pod.app.port}/none HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\n"
        "Upgrade: websocket\r\n\r\n".encode()
    )
    assert (await client.answer()).status == 204
    assert b"\r\nUpgrade: websocket\r\n" in pod.app.heads[0]


@pytest.mark.parametrize(
    "head",
    [
        b"GET / HTTP/1.1\r\nHost: a\r\n\r\n",
        b"OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET https://localhost/ HTTP/1.1\r\nHost: a\r\n\r\n",
        b"CONNECT localhost HTTP/1.1\r\nHost: a\r\n\r\n",
        b"CONNECT localhost:99999 HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET http://localhost:0/ HTTP/1.1\r\nHost: a\r\n\r\n",
    ],
)
async def test_a_request_that_does_not_say_where_it_goes_is_refused(head: bytes, client: Client) -> None:
    client.send(head)
    answer = await client.answer()
    assert (answer.status, answer.headers["x-sidecar-error"]) == (400, "target")


async def test_an_inbound_listener_is_no_forward_proxy(sidecar: Sidecar, pod: Pod, proxied: Proxied) -> None:
    client = await pod.client()
    client.send(b"GET http://localhost:%d/ HTTP/1.1\r\nHost: a\r\n\r\n" % proxied.destination)
    assert (await client.answer()).body == b"ok"  # the application's: it is just a name
    client.send(b"CONNECT localhost:%d HTTP/1.1\r\nHost: a\r\n\r\n" % proxied.destination)
    assert (await client.answer()).status == 501
    assert proxied.far == []
    client.close()


# -- destinations --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["GET", "CONNECT"])
@pytest.mark.parametrize(
    ("host", "status", "reason"),
    [
        ("169.254.169.254", 403, "destination"),
        ("10.0.0.1", 403, "destination"),
        ("[::1]", 403, "destination"),
        ("[::ffff:10.0.0.1]", 403, "destination"),
        ("0.0.0.0", 403, "destination"),
        ("0", 403, "destination"),
        ("167772161", 403, "destination"),  # 10.0.0.1 as resolvers read it
        ("a" * 64, 502, "resolve"),
        ("a..b", 502, "resolve"),
    ],
)
async def test_a_destination_that_is_not_allowed_is_not_connected_to(
    method: str, host: str, status: int, reason: str, client: Client
) -> None:
    target = f"{host}:80" if method == "CONNECT" else f"http://{host}:80/"
    client.send(f"{method} {target} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
    answer = await client.answer()
    assert (answer.status, answer.headers["x-sidecar-error"]) == (status, reason)
    assert answer.closes is (method == "CONNECT")


async def test_loopback_is_no_destination_unless_it_is_listed(proxied: Proxied, pod: Pod) -> None:
    await proxied.start(SIDECAR_OUTBOUND_ALLOW="")
    client = await proxied.client()
    for host in ("127.0.0.1", "localhost", "[::ffff:127.0.0.1]", "2130706433"):
        client.send(f"GET http://{host}:{pod.app.port}/ HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        answer = await client.answer()
        assert (answer.status, answer.headers["x-sidecar-error"]) == (403, "destination")
    assert pod.app.connections == 0
    client.close()


async def test_the_proxys_own_listeners_are_no_destination(proxied: Proxied, pod: Pod) -> None:
    await proxied.start(SIDECAR_LISTEN=f"0.0.0.0:{pod.port}")
    client = await proxied.client()
    for host in ("127.0.0.1", "127.0.0.2", "localhost", "[::ffff:127.0.0.1]"):
        client.send(f"GET http://{host}:{pod.port}/ HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        assert (await client.answer()).status == 403
    client.send(f"GET http://127.0.0.1:{proxied.port}/ HTTP/1.1\r\nHost: x\r\n\r\n".encode())
    assert (await client.answer()).status == 403
    client.send(f"GET http://127.0.0.1:{pod.app.port}/ HTTP/1.1\r\nHost: x\r\n\r\n".encode())
    assert (await client.answer()).status == 200
    client.close()


async def test_a_destination_that_is_not_there_is_a_bad_gateway(client: Client) -> None:
    port = free_port()
    client.send(b"GET http://127.0.0.1:%d/ HTTP/1.1\r\nHost: x\r\n\r\n" % port)
    answer = await client.answer()
    assert (answer.status, answer.headers["x-sidecar-error"]) == (502, "upstream-connect")
    client.send(b"CONNECT 127.0.0.1:%d HTTP/1.1\r\nHost: x\r\n\r\n" % port)
    answer = await client.answer()
    assert (answer.status, answer.headers["x-sidecar-error"]) == (502, "upstream-connect")
    assert answer.closes


# -- CONNECT -------------------------------------------------------------------------------------------------


async def test_connect_makes_a_tunnel(client: Client, proxied: Proxied) -> None:
    status, headers = await proxied.connect(client)
    assert (status, headers["x-sidecar-version"]) == (200, "v7")
    assert "content-length" not in headers
    assert await client.reader.readexactly(6) == b"hello "
    for number in range(500):
        client.send(b"%05d\n" % number)
    for number in range(500):
        assert await client.reader.readexactly(6) == b"%05d\n" % number
    client.writer.write_eof()
    assert await client.rest() == b"bye"
    assert proxied.ends == ["fin"]


async def test_bytes_that_follow_a_connect_at_once_wait_for_the_tunnel(
    client: Client, proxied: Proxied
) -> None:
    early = bytes(range(256)) * 500
    status, _ = await proxied.connect(client, early)
    assert status == 200
    client.writer.write_eof()
    assert await client.rest() == b"hello " + early + b"bye"


async def test_bytes_that_follow_a_connect_are_no_request_when_it_fails(client: Client, pod: Pod) -> None:
    inside = f"GET http://127.0.0.1:{pod.app.port}/smuggled HTTP/1.1\r\nHost: x\r\n\r\n".encode()
    client.send(b"CONNECT 10.0.0.1:443 HTTP/1.1\r\nHost: x\r\n\r\n" + inside)
    answer = await client.answer()
    assert answer.status == 403
    assert await client.rest() == b""
    assert pod.app.heads == []


async def test_a_client_that_vanishes_takes_its_tunnel_along(client: Client, proxied: Proxied) -> None:
    await proxied.connect(client)
    client.writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1" + b"\0" * 7)
    client.writer.transport.abort()
    await eventually(lambda: proxied.ends == ["reset"], "the destination's end")


async def test_a_tunnel_by_connect_moves_from_successor_to_successor(
    client: Client, proxied: Proxied, sidecar: Sidecar
) -> None:
    await proxied.connect(client)
    assert await client.reader.readexactly(6) == b"hello "
    stop = asyncio.Event()

    async def send() -> int:
        count = 0
        while not stop.is_set():
            client.send(b"%09d\n" % count)
            count += 1
            await asyncio.sleep(0.001)
        client.writer.write_eof()
        return count

    sending = asyncio.create_task(send())
    predecessor = sidecar
    for version in (8, 9, 10):
        successor = await proxied.start(version, version - 1)
        await successor.saw("commit")
        drained = await predecessor.saw("drained")
        assert (drained["moved"], drained["forced"]) == (1, 0)
        await predecessor.end()
        predecessor = successor
    fresh = await proxied.client()
    _, headers = await proxied.connect(fresh)
    assert headers["x-sidecar-instance"] == "10"  # the listener was handed over as well
    fresh.close()
    stop.set()
    count = await sending
    assert await client.rest() == b"".join(b"%09d\n" % number for number in range(count)) + b"bye"


@pytest.mark.case(28)
async def test_a_tunnel_by_connect_that_cannot_move_lives_until_the_deadline_of_a_drain(
    proxied: Proxied, pod: Pod
) -> None:
    """The successor has no outbound listener."""
    predecessor = await proxied.start(8, SIDECAR_DRAIN_DEADLINE_S="1.5")
    client, short = await proxied.client(), await proxied.client()
    for one in (client, short):
        assert (await proxied.connect(one))[0] == 200
        assert await one.reader.readexactly(6) == b"hello "
    successor = await pod.start(9, 8)
    await successor.saw("commit")
    short.close()
    for number in range(20):  # longer than a silent connection gets
        client.send(b"%05d\n" % number)
        assert await client.reader.readexactly(6) == b"%05d\n" % number
        await asyncio.sleep(0.02)
    drained = await predecessor.saw("drained")
    assert (drained["finished"], drained["forced"], drained["forced_silent"]) == (1, 1, 0)
    client.close()
