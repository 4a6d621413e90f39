"""Connections move to the successor: a strict client cannot tell that there was a hand-over."""

from __future__ import annotations

import asyncio
import hashlib
import os
import signal
import socket

import pytest

from sidecar.handover import frames
from tests.sidecar.rig import Client, Pod, eventually
from tests.sidecar.test_handover_live import working

pytestmark = pytest.mark.integration


@pytest.mark.case(23, 25, 32)
async def test_idle_and_unused_connections_are_served_by_the_successor_and_nobody_is_told(pod: Pod) -> None:
    predecessor = await working(pod)
    clients = [await pod.client() for _ in range(100)]
    for client in clients[:50]:
        assert (await client.get()).headers["x-sidecar-instance"] == "1"
    successor = await working(pod, 12, 1)
    drained = await predecessor.saw("drained")
    assert (drained["moved"], drained["told"], drained["forced"]) == (100, 0, 0)
    for number, client in enumerate(clients):
        body = os.urandom(200)
        answer = await client.post(body, f"late-{number}")
        assert answer.headers["x-sidecar-instance"] == "12"
        assert (answer.body.decode(), answer.closes) == (hashlib.sha256(body).hexdigest(), False)
        client.close()
    assert await successor.run("sidecar.hook") == (0, "")
    assert await predecessor.end() == 0


@pytest.mark.case(32)
async def test_a_busy_connection_moves_after_its_answer_with_the_requests_behind_it(pod: Pod) -> None:
    predecessor = await working(pod)
    client = await pod.client()
    client.send(b"GET /hold HTTP/1.1\r\nHost: a\r\n\r\n" + b"GET /1 HTTP/1.1\r\nHost: a\r\n\r\n" * 3)
    await eventually(pod.app.executed.total, "the request at the application")
    await working(pod, 12, 1)
    await predecessor.saw("draining")
    assert predecessor.events("drained") == []
    pod.app.released.set()
    answers = [await client.answer() for _ in range(4)]
    assert [answer.closes for answer in answers] == [False] * 4
    assert answers[0].headers["x-sidecar-instance"] == "1"
    await predecessor.saw("drained")
    assert (await client.get()).headers["x-sidecar-instance"] == "12"
    client.close()


@pytest.mark.case(32)
async def test_half_a_head_and_half_a_pipelined_request_travel_with_the_connection(pod: Pod) -> None:
    predecessor = await working(pod)
    head = b"POST /echo HTTP/1.1\r\nHost: a\r\nx-request-id: half\r\nContent-Length: 4\r\n\r\nbody"
    clients = []
    for cut in range(1, len(head) - 4, 3):
        client = await pod.client()
        client.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n" + head[:cut])
        await client.answer()
        clients.append((client, head[cut:]))
    await working(pod, 12, 1)
    await predecessor.saw("drained")
    for client, rest in clients:
        client.send(rest)
        answer = await client.answer()
        assert answer.body.decode() == hashlib.sha256(b"body").hexdigest()
        assert answer.headers["x-sidecar-instance"] == "12"
        client.close()
    assert pod.app.executed["half"] == len(clients)


@pytest.mark.case(27, 32)
async def test_an_upload_that_straddles_the_handover_is_whole_and_then_moves(pod: Pod) -> None:
    predecessor = await working(pod)
    client = await pod.client()
    body = os.urandom(300_000)
    client.send(b"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 300000\r\n\r\n" + body[:100_000])
    await eventually(lambda: pod.app.heads, "the head at the application")
    await working(pod, 12, 1)
    await predecessor.saw("draining")
    client.send(body[100_000:])
    answer = await client.answer()
    assert (answer.body.decode(), answer.closes) == (hashlib.sha256(body).hexdigest(), False)
    drained = await predecessor.saw("drained")
    assert drained["moved"] == 1
    assert (await client.get()).headers["x-sidecar-instance"] == "12"
    client.close()


@pytest.mark.case(15, 32)
async def test_what_the_successor_did_not_acknowledge_is_served_by_the_predecessor(pod: Pod) -> None:
    predecessor = await working(pod)
    clients = [await pod.client() for _ in range(40)]
    for client in clients:
        await client.get()
    successor = await pod.scripted("1", protocols=(1, 2))
    await successor.send(frames.PREPARED, {"listeners": [f"127.0.0.1:{pod.port}"]})
    # No room was announced: nothing moves, and the hand-over goes on.
    await successor.expect(frames.ACCEPT)
    successor.close()
    await predecessor.saw("handover_aborted")
    for client in clients:
        answer = await client.get()
        assert (answer.headers["x-sidecar-instance"], answer.closes) == ("1", False)
        client.close()


@pytest.mark.case(15, 32)
async def test_a_successor_that_dies_between_acknowledgements_takes_no_more_than_it_acknowledged(
    pod: Pod,
) -> None:
    predecessor = await working(pod)
    clients = [await pod.client() for _ in range(100)]
    for client in clients:
        await client.get()
    successor = await pod.scripted("1", protocols=(1, 2), room=1000, moves={"http1": "1"})
    await successor.send(frames.PREPARED, {"listeners": [f"127.0.0.1:{pod.port}"]})
    taken: list[socket.socket] = []
    for _ in range(2):
        move = await successor.expect(frames.MOVE)
        taken += [socket.socket(fileno=descriptor) for descriptor in successor.descriptors]
    through = move.body["first"] + len(move.body["connections"]) - 1
    await successor.send(frames.MOVED, {"through": through, "refused": []})
    successor.close()  # what a process does that dies
    for sock in taken:
        sock.close()
    aborted = await predecessor.saw("handover_aborted")
    lost = 0
    for client in clients:
        try:
            answer = await client.get()
            assert (answer.headers["x-sidecar-instance"], answer.closes) == ("1", False)
        except (OSError, EOFError):
            lost += 1
        client.close()
    assert (lost, aborted["moved"]) == (through + 1, 32), aborted


@pytest.mark.case(32)
async def test_a_refused_connection_stays_and_is_told(pod: Pod) -> None:
    predecessor = await working(pod)
    clients = [await pod.client() for _ in range(3)]
    for client in clients:
        await client.get()
    successor = await pod.scripted("1", protocols=(1, 2), room=1000, moves={"http1": "1"})
    await successor.send(frames.PREPARED, {"listeners": [f"127.0.0.1:{pod.port}"]})
    move = await successor.expect(frames.MOVE)
    assert [row["kind"] for row in move.body["connections"]] == ["http1"] * 3
    moved = [socket.socket(fileno=descriptor) for descriptor in successor.descriptors]
    await successor.send(frames.MOVED, {"through": 2, "refused": [1]})
    await successor.expect(frames.ACCEPT)
    await successor.send(frames.ACCEPTING)
    await successor.expect(frames.COMMIT)
    ports = {sock.getpeername()[1] for index, sock in enumerate(moved) if index != 1}
    for client in clients:
        if client.writer.get_extra_info("sockname")[1] not in ports:
            answer = await client.get()
            assert (answer.headers["x-sidecar-instance"], answer.closes) == ("1", True)
        client.close()
    drained = await predecessor.saw("drained")
    assert (drained["moved"], drained["told"]) == (2, 1)
    for sock in moved:
        sock.close()
    successor.close()


@pytest.mark.case(8, 32)
async def test_more_connections_than_the_successor_has_room_for_are_told(pod: Pod) -> None:
    predecessor = await working(pod)
    clients = [await pod.client() for _ in range(60)]
    for client in clients:
        await client.get()
    successor = await working(pod, 12, 1, command=("prlimit", "--nofile=50:50"))
    await predecessor.saw("successor_full")
    await successor.saw("commit")
    told = 0
    for client in clients:
        answer = await client.get()
        told += answer.closes
        assert answer.headers["x-sidecar-instance"] == ("1" if answer.closes else "12")
        client.close()
    drained = await predecessor.saw("drained")
    assert drained["moved"] > 10
    assert (drained["told"], drained["forced"]) == (told, 0)
    assert drained["moved"] + told == 60


@pytest.mark.case(15, 16)
async def test_a_successor_killed_while_connections_move_leaves_the_rest_with_the_predecessor(
    pod: Pod,
) -> None:
    predecessor = await working(pod)
    clients = [await pod.client() for _ in range(400)]
    for client in clients:
        await client.get()
    successor = await pod.start(12, 1)
    await predecessor.saw("moving")
    await successor.end(signal.SIGKILL)
    # Before the commit or after it: what it had acknowledged is gone with it, everything else is served.
    await eventually(
        lambda: predecessor.events("handover_aborted") or predecessor.events("resumed"), "the end noticed"
    )
    lost = 0
    for client in clients:
        try:
            answer = await client.get()
            assert (answer.status, answer.headers["x-sidecar-instance"]) == (200, "1")
        except (OSError, EOFError):
            lost += 1
        client.close()
    moved = predecessor.events("connections_moved") or predecessor.events("handover_aborted")
    assert lost == moved[-1]["moved"]
    fresh = await pod.client()
    assert (await fresh.get()).headers["x-sidecar-instance"] == "1"
    fresh.close()


@pytest.mark.case(7)
async def test_a_listener_that_the_successor_does_not_want_is_closed_after_the_drain(pod: Pod) -> None:
    path = str(pod.directory.parent / "gone.sock")
    both = f"127.0.0.1:{pod.port},unix:{path}"
    predecessor = await working(pod, 1, 0, SIDECAR_LISTEN=both)
    held = Client(*await asyncio.open_unix_connection(path))
    held.send(b"GET /hold HTTP/1.1\r\nHost: a\r\n\r\n")
    await eventually(pod.app.executed.total, "the request at the application")
    kept = await pod.client()
    await kept.get()
    await working(pod, 12, 1)
    await predecessor.saw("draining")
    # Nobody else accepts there: it is served, and told, until the drain is over.
    late = Client(*await asyncio.open_unix_connection(path))
    answer = await late.get()
    assert (answer.headers["x-sidecar-instance"], answer.closes) == ("1", True)
    late.close()
    assert (await kept.get()).headers["x-sidecar-instance"] == "12"
    kept.close()
    pod.app.released.set()
    assert (await held.answer()).closes
    held.close()
    await predecessor.saw("drained")
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_unix_connection(path)


@pytest.mark.case(27)
@pytest.mark.case(32)
async def test_an_answer_that_takes_long_moves_in_its_middle_and_is_whole(pod: Pod) -> None:
    predecessor = await working(pod)
    clients = [await pod.client() for _ in range(5)]
    for number, path in enumerate(("/endless", "/hold", "/trickle", "/hold", "/hold")):
        version = "1.0" if number == 4 else "1.1"
        clients[number].send(f"GET {path} HTTP/{version}\r\nHost: a\r\n\r\n".encode())
    clients[3].send(b"GET /behind HTTP/1.1\r\nHost: a\r\n\r\n")
    await eventually(lambda: pod.app.executed.total() == 5, "all requests at the application")
    await working(pod, 12, 1)
    drained = await predecessor.saw("drained")
    assert (drained["moved"], drained["forced"]) == (5, 0)
    assert await predecessor.end() == 0
    pod.app.released.set()
    endless, held, trickled, piped, old = [await client.answer() for client in clients]
    assert endless.body == b"".join(b"%06d\n" % number for number in range(1000))
    assert trickled.body == b"x" * 1000
    assert (held.body, piped.body, old.body) == (b"held", b"held", b"held")
    assert (await clients[3].answer()).body == b"ok"  # what was read ahead
    assert await clients[4].rest() == b""  # HTTP/1.0: the connection ends with its answer
    for client in clients[:4]:
        assert (await client.get()).headers["x-sidecar-instance"] == "12"
    for client in clients:
        client.close()
    assert {count for name, count in pod.app.executed.items() if name != "?"} <= {1}


@pytest.mark.case(32)
async def test_an_exchange_that_the_successor_refuses_is_finished_by_the_predecessor(pod: Pod) -> None:
    predecessor = await working(pod)
    client = await pod.client()
    client.send(b"GET /hold HTTP/1.1\r\nHost: a\r\n\r\n")
    await eventually(pod.app.executed.total, "the request at the application")
    successor = await pod.scripted("1", protocols=(1, 2), room=1000, moves={"http1": "1"})
    await successor.send(frames.PREPARED, {"listeners": [f"127.0.0.1:{pod.port}"]})
    await successor.expect(frames.ACCEPT)
    await successor.send(frames.ACCEPTING)
    await successor.expect(frames.COMMIT)
    move = await successor.expect(frames.MOVE)
    assert (move.body["connections"][0]["descriptors"], len(successor.descriptors)) == (2, 2)
    for descriptor in successor.descriptors:
        os.close(descriptor)
    await successor.send(frames.MOVED, {"through": 0, "refused": [0]})
    pod.app.released.set()
    answer = await client.answer()
    assert (answer.body, answer.closes) == (b"held", True)
    client.close()
    assert (await predecessor.saw("drained"))["told"] == 1
    successor.close()
