"""Connections that move between two services of one process, over real sockets, with a strict client.

The hand-over is played by hand: pack, let go or take back, unpack.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import socket
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from sidecar.config import read
from sidecar.listener import Listener
from sidecar.proxy.connection import Connection
from sidecar.proxy.h2 import connection as connections
from sidecar.proxy.h2.connection import Http2Connection
from sidecar.proxy.service import Service
from tests.sidecar.h2.application import Http2App
from tests.sidecar.h2.peer import Peer, Reply, frame
from tests.sidecar.rig import App, eventually

pytestmark = pytest.mark.integration


class Pair:
    """A predecessor and a successor that share an application."""

    def __init__(self, port: int, protocol: str) -> None:
        environment = {
            "SIDECAR_UPSTREAM": f"127.0.0.1:{port}",
            "SIDECAR_UPSTREAM_PROTOCOL": protocol,
            "SIDECAR_HANDOVER_DIR": "/tmp/none",
            "SIDECAR_DRAIN_DEADLINE_S": "4",
        }
        config = read(environment)
        self.listener: Listener = config.listeners[0]
        self.predecessor, self.successor = Service(config), Service(config)
        self.rested: list[Connection] = []
        self.counts: dict[str, int] = {}
        self.peers: list[Peer] = []

    async def peer(self, **settings: int) -> Peer:
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        self.predecessor.greet(self.listener, "10.0.0.9", ours)
        peer = Peer(*await asyncio.open_connection(sock=theirs))
        peer.greet(**settings)
        self.peers.append(peer)
        await peer.ping()
        return peer

    @property
    def client(self) -> Http2Connection:
        (client,) = self.predecessor.clients
        assert isinstance(client, Http2Connection)
        return client

    def start_moving(self, drain: bool = True) -> None:
        self.predecessor.rest = self.rested.append
        if drain:
            self.predecessor.start_drain(60.0, 4.0, self.counts.update)

    def move(self, client: Http2Connection, into: Service | None = None) -> None:
        """As a hand-over does it."""
        parcel = client.pack()
        into = into or self.successor
        assert into.can_take(parcel, self.listener)
        assert len(parcel.data) < 100_000
        sock = socket.socket(fileno=os.dup(parcel.descriptors[0]))
        sock.setblocking(False)
        client.let_go()
        into.unpack(parcel, self.listener, [sock])

    async def ready(self, client: Http2Connection) -> None:
        await eventually(client.ready, "rest")

    async def end(self) -> None:
        for peer in self.peers:
            await peer.end()
        for service in (self.predecessor, self.successor):
            service.close()
        await asyncio.sleep(0)


@pytest.fixture
async def pair(app: App) -> AsyncIterator[Pair]:
    pair = Pair(app.port, "http1")
    yield pair
    await pair.end()


async def test_an_idle_connection_moves_at_once_and_nobody_notices(pair: Pair, app: App) -> None:
    peer = await pair.peer()
    more = [("x-long", "y" * 50), ("authorization", "secret")]
    for number in range(3):
        assert (await peer.get("/", f"c-{number}", more)).status == 200
    client = pair.client
    await pair.ready(client)
    pair.start_moving()
    assert client.ready()
    pair.move(client)
    for number in range(3, 6):
        assert (await peer.get("/", f"c-{number}", more)).status == 200
    assert (peer.goaways, peer.closed) == ([], False)
    assert pair.counts == {"finished": 0, "told": 0, "moved": 1, "forced": 0, "forced_silent": 0}
    assert set(app.executed.values()) == {1}
    assert b"x-forwarded-for: 10.0.0.9\r\n" in app.heads[-1]


async def test_a_connection_without_a_request_moves_as_well(pair: Pair) -> None:
    peer = await pair.peer()
    await pair.ready(pair.client)
    pair.start_moving()
    pair.move(pair.client)
    assert (await peer.get()).status == 200


async def test_new_streams_wait_for_those_with_the_application_and_move(pair: Pair, app: App) -> None:
    peer = await pair.peer()
    held = peer.ask("/hold", name="before")
    await eventually(lambda: app.executed["before"], "the request")
    pair.start_moving()
    client = pair.client
    waiting = [peer.ask("/echo", "POST", name=f"w-{number}", body=b"abc") for number in range(5)]
    await peer.ping()
    assert not client.ready()
    assert app.executed.total() == 1
    app.released.set()
    assert (await peer.reply(held)).body == b"held"
    await pair.ready(client)
    assert client in pair.rested
    pair.move(client)
    for number in waiting:
        assert (await peer.reply(number)).body.decode() == hashlib.sha256(b"abc").hexdigest()
    assert set(app.executed.values()) == {1}
    assert peer.goaways == []


async def test_an_upload_goes_on_where_it_was(pair: Pair, app: App) -> None:
    peer = await pair.peer()
    pair.start_moving()
    body = os.urandom(300_000)
    client = pair.client
    number = peer.ask("/echo", "POST", name="c-1", body=None)
    first = 65_535  # the whole window: nothing more can be sent until it is given back
    for at in range(0, first, 13_107):
        peer.send(number, body[at : at + 13_107])
    await peer.ping()
    await pair.ready(client)
    pair.move(client)
    await peer.upload(number, body[first:])
    assert (await peer.reply(number)).body.decode() == hashlib.sha256(body).hexdigest()
    assert app.executed == {"c-1": 1}


async def test_frames_and_header_blocks_that_are_half_there_move_as_bytes(pair: Pair, app: App) -> None:
    peer = await pair.peer()
    pair.start_moving()
    number = peer.h2.get_next_available_stream_id()
    peer.replies[number] = Reply()
    head = [
        (":method", "GET"),
        (":scheme", "http"),
        (":authority", "test"),
        (":path", "/"),
        ("x-request-id", "c"),
    ]
    peer.h2.send_headers(number, head, end_stream=True)
    whole = peer.h2.data_to_send()
    block = whole[9:]
    data = frame(1, 1, number, block[:5]) + frame(9, 0, number, block[5:8]) + frame(9, 4, number, block[8:])
    for cut in range(0, len(data), 3):
        peer.raw(data[cut : cut + 3])
        await asyncio.sleep(0.01)
        client = next(iter(pair.predecessor.clients))
        assert isinstance(client, Http2Connection)
        await pair.ready(client)
        pair.move(client)
        pair.predecessor, pair.successor = pair.successor, pair.predecessor
        await eventually(lambda: pair.predecessor.clients, "the moved connection")
    assert (await peer.reply(number)).status == 200
    assert app.executed == {"c": 1}


async def test_a_header_block_that_was_begun_before_the_move_still_has_to_end(pair: Pair) -> None:
    peer = await pair.peer()
    peer.raw(frame(1, 0, 1, b"\x82"))
    await eventually(lambda: pair.client.engine.in_head, "the block's beginning")
    pair.start_moving()
    pair.successor.limits = replace(pair.successor.limits, header_s=0.3)
    pair.move(pair.client)
    await eventually(lambda: peer.closed, "the end")
    assert peer.goaways == [(0, 11)]


async def test_what_is_taken_back_goes_on_as_if_nothing_had_been(
    pair: Pair, app: App, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "HOLD_S", 60.0)
    peer = await pair.peer()
    assert (await peer.get()).status == 200
    pair.start_moving()
    client = pair.client
    number = peer.ask("/echo", "POST", name="c-1", body=b"abc")
    await peer.ping()
    await pair.ready(client)
    client.pack()
    client.tick(pair.predecessor.now + 1e6)
    client.drain()
    client.cut()
    client.close_silent()
    client.take_back()
    assert (await peer.reply(number)).body.decode() == hashlib.sha256(b"abc").hexdigest()
    later = peer.ask("/", name="c-2")
    await pair.ready(client)
    pair.move(client)
    assert (await peer.reply(later)).status == 200
    assert (peer.goaways, app.executed["c-1"], app.executed["c-2"]) == ([], 1, 1)


async def test_streams_wait_only_shortly_and_a_connection_that_never_rests_is_told(
    pair: Pair, app: App, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "HOLD_S", 0.2)
    monkeypatch.setattr(connections, "GIVE_UP", 1.0)
    peer = await pair.peer()
    held = peer.ask("/hold", name="slow")
    await eventually(lambda: app.executed["slow"], "the request")
    pair.start_moving()
    client = pair.client
    for number in range(connections.HOLDS):
        assert not client.told
        assert (await peer.get("/", f"c-{number}")).status == 200  # after the bound, by the predecessor
    await eventually(lambda: peer.goaways, "the GOAWAY")
    assert client.stays
    await eventually(lambda: len(peer.goaways) == 2, "the second GOAWAY")
    assert not peer.closed
    app.released.set()
    assert (await peer.reply(held)).body == b"held"
    await eventually(lambda: peer.closed, "the end")
    await eventually(lambda: pair.counts, "the drain's end")
    assert pair.counts == {"finished": 0, "told": 1, "moved": 0, "forced": 0, "forced_silent": 0}
    assert set(app.executed.values()) == {1}


async def test_a_connection_that_does_not_rest_in_half_the_drain_is_told(pair: Pair, app: App) -> None:
    peer = await pair.peer()
    held = peer.ask("/hold")
    await eventually(lambda: app.executed.total() == 1, "the request")
    pair.start_moving()
    drain = pair.predecessor.drain
    assert drain is not None
    await eventually(lambda: peer.goaways, "the GOAWAY")
    assert drain.began + connections.GIVE_UP * 4.0 <= asyncio.get_running_loop().time() < drain.deadline
    app.released.set()
    assert (await peer.reply(held)).body == b"held"


async def test_when_moving_ends_the_waiting_streams_are_dispatched(pair: Pair, app: App) -> None:
    peer = await pair.peer()
    held = peer.ask("/hold")
    await eventually(lambda: app.executed.total() == 1, "the request")
    pair.start_moving(drain=False)
    waiting = peer.ask("/")
    await peer.ping()
    assert not peer.replies[waiting].over
    pair.predecessor.rest = None
    assert (await peer.reply(waiting)).status == 200
    app.released.set()
    assert (await peer.reply(held)).body == b"held"
    assert peer.goaways == []


async def test_a_connection_that_was_told_does_not_move(pair: Pair) -> None:
    peer = await pair.peer()
    held = peer.ask("/hold")
    await peer.ping()
    client = pair.client
    pair.start_moving()
    client.stays = True
    client.drain()
    await eventually(lambda: len(peer.goaways) == 2, "both GOAWAYs")
    assert not client.ready()
    assert not peer.replies[held].over


@pytest.mark.case(29)
async def test_the_second_goaway_follows_the_answer_to_the_ping(
    pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "ROUND_S", 60.0)
    peer = await pair.peer()
    peer.answers_pings = False
    pair.predecessor.start_drain(60.0, 30.0, pair.counts.update)
    await eventually(lambda: peer.goaways, "the first GOAWAY")
    assert peer.goaways == [(2**31 - 1, 0)]
    peer.pong()
    await eventually(lambda: peer.closed, "the end")
    assert peer.goaways == [(2**31 - 1, 0), (0, 0)]
    await eventually(lambda: pair.counts, "the drain's end")
    assert (pair.counts["told"], pair.counts["forced"]) == (1, 0)


async def test_a_document_that_makes_no_sense_ends_the_connection_and_nothing_else(pair: Pair) -> None:
    peer = await pair.peer()
    await pair.ready(pair.client)
    pair.start_moving()
    client = pair.client
    parcel = client.pack()
    sock = socket.socket(fileno=os.dup(parcel.descriptors[0]))
    client.let_go()
    pair.successor.unpack(parcel._replace(data=b"{}"), pair.listener, [sock])
    await eventually(lambda: peer.closed, "the end")
    assert (pair.successor.arriving, pair.successor.clients) == (0, set())


@pytest.mark.parametrize("protocol", ["http1", "h2"])
async def test_ten_moves_in_a_row_under_load_fail_nothing(protocol: str, app: App) -> None:
    other = Http2App()
    await other.start()
    pair = Pair(other.port if protocol == "h2" else app.port, protocol)
    executed = other.executed if protocol == "h2" else app.executed
    peers = [await pair.peer() for _ in range(4)]
    ended = False
    sent = 0

    async def load(peer: Peer, number: int) -> None:
        nonlocal sent
        turn = 0
        while not ended:
            turn += 1
            sent += 1
            name = f"{number}-{turn}"
            body = os.urandom(turn * 37 % 3000 + 1)
            reply = await peer.reply(
                peer.ask("/echo", "POST", name=name, body=body, more=[("x-n", str(turn % 5))])
            )
            assert (reply.status, reply.body.decode()) == (200, hashlib.sha256(body).hexdigest())

    async def more(count: int) -> None:
        enough = sent + count
        await eventually(lambda: sent > enough, "requests in between")

    tasks = [
        asyncio.create_task(load(peer, n * 10 + lane)) for n, peer in enumerate(peers) for lane in range(5)
    ]
    giving, taking = pair.predecessor, pair.successor
    for _ in range(10):
        giving.rest = pair.rested.append
        while giving.clients:
            for client in list(giving.clients):
                if client.ready():
                    assert isinstance(client, Http2Connection)
                    pair.move(client, into=taking)
            await asyncio.sleep(0.002)
        giving.rest = None
        giving, taking = taking, giving
        await more(40)
    ended = True
    await asyncio.gather(*tasks)
    assert all(peer.goaways == [] and not peer.closed for peer in peers)
    assert set(executed.values()) == {1}
    assert executed.total() == sent
    await pair.end()
    await other.stop()
