"""Tunnels that move between two services, over real sockets and the loop that the sidecar uses."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
import uvloop

from sidecar.acceptor import Acceptor
from sidecar.address import Address, bind
from sidecar.config import read
from sidecar.listener import Kind, Listener
from sidecar.parcel import Parcel
from sidecar.proxy.connection import Connection
from sidecar.proxy.service import Service
from tests.sidecar.rig import WITHIN_S, eventually, free_port

pytestmark = pytest.mark.integration

RECORD = 100  # bytes of a numbered record


def on_uvloop(scenario: Callable[[], Awaitable[None]]) -> Callable[[], None]:
    """Makes a test of a coroutine; pytest's own loop is another."""

    def run() -> None:
        async def bounded() -> None:
            async with asyncio.timeout(4 * WITHIN_S):
                await scenario()

        uvloop.run(bounded())

    run.__name__, run.__doc__ = scenario.__name__, scenario.__doc__
    return run


class Echo:
    """A target that sends everything back, and remembers how its connections ended."""

    def __init__(self) -> None:
        self.port = 0
        self.ends: list[str] = []
        self.writers: list[asyncio.StreamWriter] = []

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._connected, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.writers.append(writer)
        try:
            while data := await reader.read(65536):
                writer.write(data)
                await writer.drain()
            self.ends.append("fin")
            writer.write(b"bye")
            await writer.drain()
        except ConnectionError:
            self.ends.append("reset")
        finally:
            writer.close()

    async def stop(self) -> None:
        self._server.close()
        for writer in self.writers:
            writer.transport.abort()


class Rig:
    """A raw TCP listener before an echo, served by one of several services of this process."""

    def __init__(self, echo: Echo) -> None:
        self.echo = echo
        self.port = free_port()
        self.listener = Listener(
            Address("inet", "127.0.0.1", self.port), Kind.TCP, Address("inet", "127.0.0.1", echo.port)
        )
        self.services = [Service(read({})), Service(read({}))]
        self._acceptor = Acceptor(self.listener, bind(self.listener.address), self.services[0])
        self._acceptor.start()

    def close(self) -> None:
        self._acceptor.close()
        for service in self.services:
            service.close()

    async def client(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await asyncio.open_connection("127.0.0.1", self.port)

    async def tunnel(self, at: int = 0) -> Connection:
        clients = self.services[at].clients
        await eventually(lambda: any(one.ready() for one in clients), "a tunnel that is up")
        return next(iter(clients))

    async def rested(self, at: int) -> Connection:
        """A connection that is ready: now, as a mover looks first, or when the service says so in a drain."""
        for connection in self.services[at].clients:
            if connection.ready():
                return connection
        found: asyncio.Future[Connection] = asyncio.get_running_loop().create_future()

        def rest(connection: Connection) -> None:
            if not found.done() and connection.ready():
                found.set_result(connection)

        self.services[at].rest = rest
        for connection in self.services[at].clients:
            connection.drain()
        try:
            return await asyncio.wait_for(found, WITHIN_S)
        finally:
            self.services[at].rest = None

    async def move(self, connection: Connection, to: int) -> None:
        """As the hand-over does it: the descriptors are duplicated, and let go of when they are there."""
        parcel = connection.pack()
        sockets = received(parcel)
        await asyncio.sleep(0)
        connection.let_go()
        assert self.services[to].can_take(parcel, self.listener)
        self.services[to].unpack(parcel, self.listener, sockets)


def received(parcel: Parcel) -> list[socket.socket]:
    sockets = [socket.socket(fileno=os.dup(number)) for number in parcel.descriptors]
    for sock in sockets:
        sock.setblocking(False)
    return sockets


@contextlib.asynccontextmanager
async def a_rig() -> AsyncIterator[Rig]:
    echo = Echo()
    await echo.start()
    rig = Rig(echo)
    try:
        yield rig
    finally:
        rig.close()
        await echo.stop()
        await asyncio.sleep(0.01)  # what was aborted reaches its end


def record(number: int) -> bytes:
    return b"%010d" % number + b"." * (RECORD - 10)


async def send(writer: asyncio.StreamWriter, stop: asyncio.Event) -> int:
    """Numbered records, as fast as they are taken."""
    count = 0
    while not stop.is_set():
        writer.write(b"".join(record(count + index) for index in range(50)))
        count += 50
        await writer.drain()
        await asyncio.sleep(0)
    writer.write_eof()
    return count


async def check(reader: asyncio.StreamReader) -> int:
    """Reads records to the end; every one has to be there, in order."""
    count = 0
    while (data := await reader.readexactly(3)) != b"bye":
        data += await reader.readexactly(RECORD - 3)
        assert data == record(count)
        count += 1
    assert await reader.read() == b""
    return count


@pytest.mark.case(28)
@pytest.mark.case(32)
@on_uvloop
async def test_tunnels_under_steady_traffic_move_and_lose_nothing() -> None:
    async with a_rig() as rig:
        stop = asyncio.Event()
        reader, writer = await rig.client()
        sending, checking = asyncio.create_task(send(writer, stop)), asyncio.create_task(check(reader))
        for turn in range(30):
            await rig.move(await rig.rested(turn % 2), to=(turn + 1) % 2)
            await asyncio.sleep(0.01)
        stop.set()
        sent = await sending
        assert await checking == sent
        assert sent > 3000
        writer.close()
        await eventually(lambda: not rig.services[0].clients and not rig.services[1].clients, "the end")
        assert rig.echo.ends == ["fin"]


@on_uvloop
async def test_slow_readers_at_both_ends_do_not_keep_a_tunnel_from_moving() -> None:
    async with a_rig() as rig:
        stop = asyncio.Event()
        reader, writer = await rig.client()
        sending = asyncio.create_task(send(writer, stop))
        tunnel = await rig.tunnel()
        await eventually(lambda: not tunnel.ready(), "a client that reads nothing while it sends")
        checking = asyncio.create_task(check(reader))
        moved = await rig.rested(0)
        await rig.move(moved, to=1)
        stop.set()
        assert await checking == await sending
        writer.close()


@on_uvloop
async def test_a_tunnel_that_is_taken_back_loses_nothing() -> None:
    async with a_rig() as rig:
        stop = asyncio.Event()
        reader, writer = await rig.client()
        sending, checking = asyncio.create_task(send(writer, stop)), asyncio.create_task(check(reader))
        for _ in range(10):
            tunnel = await rig.rested(0)
            copies = received(tunnel.pack())
            await asyncio.sleep(0.02)
            for sock in copies:  # the successor died with them
                sock.close()
            tunnel.take_back()
        stop.set()
        assert await checking == await sending
        writer.close()


@on_uvloop
async def test_nothing_is_read_while_a_tunnel_is_packed() -> None:
    async with a_rig() as rig:
        reader, writer = await rig.client()
        tunnel = await rig.tunnel()
        copies = received(tunnel.pack())
        writer.write(b"for whoever has it")
        await asyncio.sleep(0.05)
        assert await asyncio.get_running_loop().sock_recv(copies[0], 100) == b"for whoever has it"
        for sock in copies:
            sock.close()
        tunnel.take_back()
        writer.write(b"on")
        assert await reader.readexactly(2) == b"on"
        writer.close()


@pytest.mark.parametrize("waits", [False, True])
def test_a_half_closed_tunnel_moves(waits: bool) -> None:
    """The client has finished, and gets what the target sends afterwards by the successor."""

    @on_uvloop
    async def scenario() -> None:
        async with a_rig() as rig:
            target: asyncio.Future[tuple[asyncio.StreamReader, asyncio.StreamWriter]]
            target = asyncio.get_running_loop().create_future()

            async def take(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
                target.set_result((reader, writer))

            await rig.echo.stop()
            server = await asyncio.start_server(take, "127.0.0.1", rig.echo.port)
            reader, writer = await rig.client()
            writer.write(b"all")
            writer.write_eof()
            far_reader, far_writer = await target
            assert await far_reader.read() == b"all"
            tunnel = await rig.tunnel()
            parcel = tunnel.pack()
            assert parcel.state == {"ended": [True, False]}
            sockets = received(parcel)
            far_writer.write(b"the answer")
            if not waits:  # the target finishes while nobody reads: its FIN and bytes are for the successor
                far_writer.close()
                await asyncio.sleep(0.02)
            tunnel.let_go()
            rig.services[1].unpack(parcel, rig.listener, sockets)
            assert await reader.readexactly(10) == b"the answer"
            if waits:
                far_writer.close()
            assert await reader.read() == b""
            await eventually(lambda: not rig.services[1].clients, "the end of the tunnel")
            writer.close()
            server.close()

    scenario()


@on_uvloop
async def test_a_client_that_resets_resets_its_target_and_the_other_way_round() -> None:
    async with a_rig() as rig:
        _, writer = await rig.client()
        await rig.tunnel()
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        writer.transport.abort()
        await eventually(lambda: rig.echo.ends == ["reset"], "a reset at the target")

        reader, writer = await rig.client()
        await rig.tunnel()
        await eventually(lambda: len(rig.echo.writers) == 2, "the target's end")
        rig.echo.writers[1].get_extra_info("socket").setsockopt(
            socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0"
        )
        rig.echo.writers[1].transport.abort()
        with pytest.raises(ConnectionResetError):
            await reader.read()
        writer.close()
        await eventually(lambda: not rig.services[0].clients, "the end of the tunnels")


@on_uvloop
async def test_a_reset_client_is_reset_at_the_successor_too() -> None:
    async with a_rig() as rig:
        _, writer = await rig.client()
        await rig.move(await rig.tunnel(), to=1)
        await rig.tunnel(1)
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        writer.transport.abort()
        await eventually(lambda: rig.echo.ends == ["reset"], "a reset at the target")
        await eventually(lambda: not rig.services[1].clients, "the end of the tunnel")


@pytest.mark.case(28)
@pytest.mark.case(31)
@on_uvloop
async def test_tunnels_are_counted_in_a_drain_and_live_until_its_deadline() -> None:
    async with a_rig() as rig:
        reader, writer = await rig.client()
        _, other_writer = await rig.client()
        await eventually(lambda: len(rig.services[0].clients) == 2, "two tunnels")
        await eventually(lambda: all(one.ready() for one in rig.services[0].clients), "two tunnels")
        done: asyncio.Future[dict[str, int]] = asyncio.get_running_loop().create_future()
        rig.services[0].start_drain(0.1, 1.0, done.set_result)
        other_writer.close()
        await other_writer.wait_closed()
        await asyncio.sleep(0.4)  # longer than a silent connection gets
        writer.write(b"alive")
        assert await reader.readexactly(5) == b"alive"
        counts = await done
        assert counts == {"finished": 1, "told": 0, "moved": 0, "forced": 1, "forced_silent": 0}
        with contextlib.suppress(ConnectionResetError):
            assert await reader.read() == b""
        writer.close()


@pytest.mark.case(28)
@on_uvloop
async def test_a_drain_is_over_as_soon_as_its_tunnels_are_gone_or_moved() -> None:
    async with a_rig() as rig:
        reader, writer = await rig.client()
        tunnel = await rig.tunnel()
        done: asyncio.Future[dict[str, int]] = asyncio.get_running_loop().create_future()
        rig.services[0].start_drain(0.1, 3600, done.set_result)
        await rig.move(tunnel, to=1)
        assert (await done)["moved"] == 1
        done = asyncio.get_running_loop().create_future()
        rig.services[1].start_drain(0.1, 3600, done.set_result)
        writer.write_eof()
        assert await reader.read() == b"bye"
        assert (await done)["finished"] == 1
        writer.close()
