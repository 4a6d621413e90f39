"""The client of the outbound listener: keeps connections, looks at them before use, and sends nothing twice."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import pytest

from app.outbound import Answer, Outbound, OutboundError

pytestmark = pytest.mark.integration

SOON_S = 10.0
ANSWER = b"HTTP/1.1 200 OK\r\nX-Request-Id: c-1\r\nContent-Length: 2\r\n\r\nok"
LAST = ANSWER.replace(b"X-Request-Id: c-1", b"Connection: close")
INTERIM = b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n"


class Proxy:
    """A listener that answers each request with the next of some answers; an empty one closes the connection."""

    def __init__(self, answers: Sequence[bytes], closes_after_each: bool = False) -> None:
        self.heard: list[list[bytes]] = []
        """By connection."""
        self.ended = asyncio.Event()
        self._answers, self._closes = list(answers), closes_after_each

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heard: list[bytes] = []
        self.heard.append(heard)
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = int(head.partition(b"Content-Length: ")[2].partition(b"\r\n")[0] or b"0")
                heard.append(head + await reader.readexactly(length))
                answer = self._answers.pop(0)
                writer.write(answer)
                if self._closes or not answer:
                    break
        writer.close()
        self.ended.set()


@asynccontextmanager
async def outbound(proxy: Proxy) -> AsyncIterator[Outbound]:
    server = await asyncio.start_server(proxy.serve, "127.0.0.1", 0)
    one = Outbound("127.0.0.1", server.sockets[0].getsockname()[1])
    yield one
    one.close()
    server.close()
    await asyncio.wait_for(proxy.ended.wait(), SOON_S)


async def post(one: Outbound, to: str = "pod-2:9091") -> Answer:
    return await one.post(to, "/echo", {"x-request-id": "c-1"}, b"body")


async def test_a_request_names_its_destination_and_carries_id_and_body() -> None:
    proxy = Proxy([INTERIM + ANSWER])
    async with outbound(proxy) as one:
        answer = await post(one)
    assert (answer.status, answer.headers["x-request-id"], answer.body) == (200, "c-1", b"ok")
    assert "link" not in answer.headers
    head = "POST http://pod-2:9091/echo HTTP/1.1\r\nHost: pod-2:9091\r\nContent-Length: 4\r\nx-request-id: c-1\r\n"
    assert proxy.heard == [[f"{head}\r\nbody".encode()]]


async def test_a_connection_is_kept_for_its_destination() -> None:
    proxy = Proxy([ANSWER] * 3)
    async with outbound(proxy) as one:
        for to in ("pod-2:9091", "pod-2:9091", "pod-3:9091"):
            await post(one, to)
    assert [len(heard) for heard in proxy.heard] == [2, 1]


async def test_a_connection_that_the_proxy_says_it_closes_is_left() -> None:
    proxy = Proxy([LAST] * 2)
    async with outbound(proxy) as one:
        for _ in range(2):
            assert (await post(one)).body == b"ok"
    assert [len(heard) for heard in proxy.heard] == [1, 1]


async def test_a_connection_that_was_closed_while_it_was_idle_is_not_used() -> None:
    proxy = Proxy([ANSWER] * 2, closes_after_each=True)
    async with outbound(proxy) as one:
        for _ in range(2):
            proxy.ended.clear()
            assert (await post(one)).body == b"ok"
            await asyncio.wait_for(proxy.ended.wait(), SOON_S)
            await asyncio.sleep(0.05)  # for the kernel to bring it here
    assert [len(heard) for heard in proxy.heard] == [1, 1]


async def test_a_request_that_a_close_hits_is_an_error_and_is_not_sent_again() -> None:
    proxy = Proxy([ANSWER, b"", ANSWER])
    async with outbound(proxy) as one:
        await post(one)
        with pytest.raises(OutboundError, match="closed the connection under a request"):
            await post(one)
    assert [len(heard) for heard in proxy.heard] == [2]


async def test_another_protocol_is_an_error() -> None:
    async with outbound(Proxy([b"SSH-2.0-nonsense\r\n\r\n"])) as one:
        with pytest.raises(OutboundError, match=r"does not speak HTTP/1.1"):
            await post(one)


async def test_a_tunnel_passes_bytes_once_the_proxy_has_connected() -> None:
    proxy = Proxy([b"HTTP/1.1 200 Connected\r\n\r\n", b"HTTP/1.1 any bytes\r\n\r\n"])
    async with outbound(proxy) as one:
        reader, writer = await one.connect("pod-2:9091")
        writer.write(b"any bytes\r\n\r\n")
        assert await reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 any bytes\r\n\r\n"
        writer.close()
    assert proxy.heard[0][0] == b"CONNECT pod-2:9091 HTTP/1.1\r\nHost: pod-2:9091\r\n\r\n"


async def test_a_tunnel_that_is_declined_is_an_error() -> None:
    async with outbound(Proxy([b"HTTP/1.1 403 Forbidden\r\n\r\n"])) as one:
        with pytest.raises(OutboundError, match="CONNECT was answered 403"):
            await one.connect("pod-2:9091")
    async with outbound(Proxy([b""])) as one:
        with pytest.raises(OutboundError, match="no whole answer to CONNECT"):
            await one.connect("pod-2:9091")


async def test_nobody_there_is_an_error() -> None:
    nobody = Outbound("127.0.0.1", 1)
    for attempt in (post(nobody), nobody.connect("pod-2:9091")):
        with pytest.raises(OutboundError, match="the outbound listener: Connection refused"):
            await attempt
