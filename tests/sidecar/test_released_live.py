"""Peers of every release, played byte for byte, and one of a release to come: each hand-over is completed."""

from __future__ import annotations

import asyncio
import socket
from typing import Any

import pytest

from sidecar.handover import frames
from tests.sidecar import peer
from tests.sidecar.formats import RELEASED
from tests.sidecar.rig import Client, Pod
from tests.sidecar.test_handover_live import working

pytestmark = pytest.mark.integration


async def instance(client: Client) -> tuple[str, bool]:
    """Who answers, and whether that was the connection's last answer."""
    answer = await client.get()
    assert answer.status == 200
    return answer.headers["x-sidecar-instance"], answer.closes


@pytest.mark.case(10, 21)
@pytest.mark.parametrize("protocol", RELEASED)
async def test_a_successor_of_every_release_takes_over_from_this_one(pod: Pod, protocol: int) -> None:
    predecessor = await working(pod)
    client = await pod.client()
    assert await instance(client) == ("1", False)
    released = RELEASED[protocol]
    with peer.successor(pod) as successor:
        successor.send(released["request"].at(pod.port))
        offer = await successor.hear(frames.OFFER)
        assert offer.body["protocol"] == protocol
        listener = successor.take()
        successor.send(released["prepared"].at(pod.port))
        if protocol >= frames.MOVING:
            move = await successor.hear(frames.MOVE)
            assert len(move.body["connections"]) == 1
            moved = successor.take()
            successor.send(released["moved"].record)
        await successor.hear(frames.ACCEPT)
        successor.send(released["accepting"].record)
        await successor.hear(frames.COMMIT)
        listener.setblocking(False)
        fresh = await pod.client()  # is the successor's
        (await asyncio.get_running_loop().sock_accept(listener))[0].close()
        fresh.close()
        if protocol >= frames.MOVING:
            await answers_once(moved, client)
        else:  # the listener alone has moved: the client is told
            assert await instance(client) == ("1", True)
            assert await client.rest() == b""
        client.close()
        counts = (await successor.hear(frames.DRAINED)).body
        assert (counts["told"], counts["moved"]) == ((0, 1) if protocol >= frames.MOVING else (1, 0))
        successor.send(released["released"].record)
        assert await successor.ended()
        listener.close()
    assert predecessor.events("resumed") == []
    assert await predecessor.end() == 0


async def answers_once(moved: socket.socket, client: Client) -> None:
    """The connection is whole in its new place."""
    client.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    moved.setblocking(False)
    assert (await asyncio.get_running_loop().sock_recv(moved, 100)).startswith(b"GET / ")
    moved.sendall(b"HTTP/1.1 204 No Content\r\n\r\n")
    assert (await client.answer()).status == 204
    moved.close()


@pytest.mark.case(10, 21)
@pytest.mark.parametrize("protocol", RELEASED)
async def test_a_predecessor_of_every_release_hands_over_to_this_one(pod: Pod, protocol: int) -> None:
    released = RELEASED[protocol]
    with peer.predecessor(pod) as first:
        client = await pod.client()
        connection = first.listener.accept()[0]
        successor = await pod.start(12, 1)
        control = await first.requested()
        control.send(released["offer"].at(pod.port), [first.listener.fileno()])
        await control.hear(frames.PREPARED)
        if protocol >= frames.MOVING:
            control.send(released["carry"].record)
            control.send(released["move"].at(pod.port), [connection.fileno()])
            assert (await control.hear(frames.MOVED)).body == released["moved"].body
        control.send(released["accept"].record)
        await control.hear(frames.ACCEPTING)
        control.send(released["commit"].record)
        await successor.saw("commit")
        first.listener.close()
        if protocol >= frames.MOVING:
            client.send(b"st: a\r\n\r\n")
            assert (await client.answer()).headers["x-sidecar-instance"] == "12"
        connection.close()
        client.close()
        fresh = await pod.client()
        assert await instance(fresh) == ("12", False)
        fresh.close()
        control.send(released["drained"].record)
        assert await successor.run("sidecar.hook") == (0, "")
        drained = await successor.saw("predecessor_drained")
        assert drained["told"] == 3
        assert successor.events("handover_aborted") == []


@pytest.mark.parametrize("protocol", RELEASED)
async def test_a_peer_of_every_release_is_refused_in_words_that_this_one_acts_on(
    pod: Pod, protocol: int
) -> None:
    with peer.predecessor(pod) as first:
        successor = await pod.start(12, 1)
        for _ in range(2):  # busy: it asks again
            control = await first.requested()
            control.send(RELEASED[protocol]["abort"].record)
        first.hand_out(await first.requested())
        await successor.saw("listener_received")
    # And a watcher of that release is answered in a way that it knows.
    with peer.successor(pod, "12") as watcher:
        watcher.send(RELEASED[protocol]["watch"].record)
        state = await watcher.hear(frames.STATE)
    for name, value in RELEASED[protocol]["state"].body.items():
        assert type(state.body[name]) is type(value)


LATER: dict[str, Any] = {"later": {"deep": [1, None]}, "protocol": 99}
UNKNOWN = 200  # a kind of frame


@pytest.mark.case(10)
async def test_a_successor_of_a_release_to_come_is_served_as_far_as_both_know(pod: Pod) -> None:
    predecessor = await working(pod)
    client = await pod.client()
    await instance(client)
    with peer.successor(pod) as successor:
        moves = {"http1": "1", "http9": "1", "http2": {"formats": [1]}}
        successor.say(
            frames.REQUEST,
            {**LATER, "protocols": [1, 99, "2x", 2, None], "generation": "12", "room": 10, "moves": moves},
        )
        assert (await successor.hear(frames.OFFER)).body["protocol"] == 2
        successor.say(UNKNOWN, LATER)
        successor.say(frames.PREPARED, {**LATER, "listeners": [f"127.0.0.1:{pod.port}", "quic:[::]:443"]})
        await successor.hear(frames.MOVE)
        successor.say(UNKNOWN)
        successor.say(frames.MOVED, {**LATER, "through": 0, "refused": []})
        await successor.hear(frames.ACCEPT)
        successor.say(UNKNOWN)
        successor.say(frames.ACCEPTING, LATER)
        await successor.hear(frames.COMMIT)
        successor.say(UNKNOWN)
        await predecessor.saw("drained")
        assert predecessor.events("handover_aborted") == []
    await predecessor.saw("resumed")
    client.close()


@pytest.mark.case(10, 32)
async def test_a_predecessor_of_a_release_to_come_keeps_what_this_one_does_not_know(pod: Pod) -> None:
    with peer.predecessor(pod) as first:
        clients = [await pod.client() for _ in range(7)]
        connections = [first.listener.accept()[0] for _ in clients]
        successor = await pod.start(12, 1)
        control = await first.requested()
        row = {**first.offer["listeners"][0], **LATER}
        control.say(UNKNOWN, LATER)
        control.say(
            frames.OFFER,
            {**first.offer, "later": 1, "protocol": 2, "listeners": [row]},
            [first.listener.fileno()],
        )
        await control.hear(frames.PREPARED)
        known = {
            "kind": "http1",
            "listener": f"127.0.0.1:{pod.port}",
            "state": {"peer": "::1", "later": 1},
            "size": 0,
            "descriptors": 1,
            "later": 2,
        }
        rows = [
            *(known, {**known, "kind": "http9"}, known, {**known, "listener": "quic:[::]:443"}),
            *({**known, "state": {"peer": peer}} for peer in ("\ud800", "::1\r\nX-Forged: 1", ["::1"])),
        ]
        control.say(UNKNOWN, LATER)
        control.say(
            frames.MOVE, {**LATER, "first": 0, "connections": rows}, [one.fileno() for one in connections]
        )
        assert (await control.hear(frames.MOVED)).body == {"through": 6, "refused": [1, 3, 4, 5, 6]}
        control.say(frames.ACCEPT, LATER)
        await control.hear(frames.ACCEPTING)
        control.say(UNKNOWN)
        control.say(frames.COMMIT, LATER)
        await successor.saw("commit")
        for number, (client, connection) in enumerate(zip(clients, connections, strict=True)):
            if number in (0, 2):
                assert await instance(client) == ("12", False)
            else:  # still whole, and the predecessor's
                await answers_once(connection, client)
            client.close()
            connection.close()
        control.say(frames.DRAINED, {**LATER, "moved": 2, "told": 2})
        await successor.saw("predecessor_drained")
