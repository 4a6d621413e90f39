"""Raw TCP listeners of a real process: bytes to one target, whatever they are."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import socket
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.sidecar.rig import WITHIN_S, Client, Pod, Sidecar, free_port

pytestmark = pytest.mark.integration

MANY = 64 * 1024 * 1024  # bytes; more than kernels keep for two connections


class Target:
    """Echoes; `stalls` lets it read nothing."""

    def __init__(self) -> None:
        self.port = 0
        self.connections = 0
        self.stalls = asyncio.Event()
        self.stalls.set()
        self._tasks: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._connected, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self.connections += 1
        try:
            await self.stalls.wait()
            while data := await reader.read(1 << 16):
                writer.write(data)
                await writer.drain()
        except (ConnectionError, asyncio.CancelledError):
            pass
        finally:
            writer.close()

    async def stop(self) -> None:
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


@pytest.fixture
async def target() -> AsyncIterator[Target]:
    target = Target()
    await target.start()
    yield target
    await target.stop()


async def serving(pod: Pod, target: Target, **more: str) -> tuple[Sidecar, int]:
    port = free_port()
    tcp = f"127.0.0.1:{port}=127.0.0.1:{target.port}"
    sidecar = await pod.start(1, 0, (), SIDECAR_TCP=tcp, **more)
    await sidecar.saw("accepting")
    return sidecar, port


def resident(sidecar: Sidecar) -> int:
    """KiB of memory."""
    status = Path(f"/proc/{sidecar.process.pid}/status").read_text()
    return int(status.split("VmRSS:")[1].split()[0])


async def test_bytes_reach_the_target_and_come_back(pod: Pod, target: Target) -> None:
    _, port = await serving(pod, target)
    client = await Client.connect(port)
    client.send(b"\0GET / HTTP/9\n\n\xff")
    assert await client.reader.readexactly(16) == b"\0GET / HTTP/9\n\n\xff"
    client.writer.write_eof()
    assert await client.rest() == b""
    client.close()


async def test_much_goes_through_a_slow_reader_and_costs_no_memory(pod: Pod, target: Target) -> None:
    sidecar, port = await serving(pod, target)
    client = await Client.connect(port)
    before = resident(sidecar)
    sent = hashlib.sha256()

    async def send() -> None:
        block = bytes(range(256)) * 4096
        for _ in range(MANY // len(block)):
            sent.update(block)
            client.send(block)
            await client.writer.drain()
        client.writer.write_eof()

    sending = asyncio.create_task(send())
    with pytest.raises(TimeoutError):  # nobody reads
        await asyncio.wait_for(asyncio.shield(sending), 0.5)
    assert resident(sidecar) - before < 8192
    got = hashlib.sha256()
    async with asyncio.timeout(4 * WITHIN_S):
        while data := await client.reader.read(1 << 20):
            got.update(data)
        await sending
    assert got.digest() == sent.digest()
    assert resident(sidecar) - before < 8192
    client.close()


async def test_a_target_that_reads_nothing_stops_its_client_and_costs_no_memory(
    pod: Pod, target: Target
) -> None:
    sidecar, port = await serving(pod, target)
    target.stalls.clear()
    before = resident(sidecar)
    with socket.create_connection(("127.0.0.1", port)) as sock:
        sock.setblocking(False)
        sent, block = 0, b"x" * 65536

        async def fill() -> None:
            nonlocal sent
            loop = asyncio.get_running_loop()
            while sent < MANY:
                await loop.sock_sendall(sock, block)
                sent += len(block)

        with pytest.raises(TimeoutError):
            await asyncio.wait_for(fill(), 1)
        assert sent < MANY
        assert resident(sidecar) - before < 8192


async def test_a_target_that_is_not_there_closes_the_client_and_nothing_else(
    pod: Pod, target: Target
) -> None:
    sidecar, port = await serving(pod, target)
    await target.stop()
    client = await Client.connect(port)
    client.send(b"anybody?")
    with contextlib.suppress(ConnectionResetError):  # with bytes unread the kernel says it in this way
        assert await client.rest() == b""
    client.close()
    await target.start()
    client = await Client.connect(port)
    client.send(b"now?")
    assert await client.reader.readexactly(4) == b"now?"
    client.close()
    assert sidecar.process.returncode is None


async def two_tunnels(port: int) -> list[Client]:
    clients = [await Client.connect(port) for _ in range(2)]
    for client in clients:
        client.send(b"before")
        assert await client.reader.readexactly(6) == b"before"
    return clients


async def test_tunnels_move_with_a_handover(pod: Pod, target: Target) -> None:
    predecessor, port = await serving(pod, target)
    clients = await two_tunnels(port)
    successor = await pod.start(2, 1, SIDECAR_TCP=predecessor.environment["SIDECAR_TCP"])
    await successor.saw("commit")
    drained = await predecessor.saw("drained")
    assert (drained["moved"], drained["forced"]) == (2, 0)
    assert await predecessor.end() == 0
    for client in clients:
        client.send(b"after")
        client.writer.write_eof()
        assert await client.rest() == b"after"
        client.close()
    assert target.connections == 2


@pytest.mark.case(28)
async def test_tunnels_that_cannot_move_are_served_to_the_deadline_and_counted(
    pod: Pod, target: Target
) -> None:
    """The successor has no such listener."""
    predecessor, port = await serving(pod, target, SIDECAR_DRAIN_DEADLINE_S="1.5", SIDECAR_DRAIN_IDLE_S="0.2")
    stays, ends = await two_tunnels(port)
    successor = await pod.start(2, 1)
    await successor.saw("commit")
    ends.close()
    for number in range(20):  # longer than a silent connection gets
        stays.send(b"%05d\n" % number)
        assert await stays.reader.readexactly(6) == b"%05d\n" % number
        await asyncio.sleep(0.02)
    drained = await predecessor.saw("drained")
    counts = {name: drained[name] for name in ("finished", "told", "moved", "forced", "forced_silent")}
    assert counts == {"finished": 1, "told": 0, "moved": 0, "forced": 1, "forced_silent": 0}
    stays.close()
