"""The listener as two processes hold it: what is queued, what is shared, what is closed (cases 1 to 7)."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from sidecar.handover import frames
from tests.sidecar import peer
from tests.sidecar.rig import Client, Pod, Sidecar, eventually, free_port
from tests.sidecar.test_handover_live import working

pytestmark = pytest.mark.integration


@pytest.mark.case(1)
async def test_connections_queued_at_the_predecessor_are_all_served_by_the_successor(pod: Pod) -> None:
    with peer.predecessor(pod) as first:  # which never accepts
        clients = [await pod.client() for _ in range(40)]
        for number, client in enumerate(clients):
            client.send(b"GET / HTTP/1.1\r\nHost: a\r\nx-request-id: q%d\r\n\r\n" % number)
        successor = await pod.start(12, 1)
        control = await first.requested()
        first.hand_out(control)
        await control.hear(frames.PREPARED)
        control.say(frames.ACCEPT)
        await control.hear(frames.ACCEPTING)
        control.say(frames.COMMIT)
        await successor.saw("commit")
        first.listener.close()
        control.close()
        for client in clients:
            answer = await client.answer()
            assert (answer.status, answer.headers["x-sidecar-instance"], answer.closes) == (200, "12", False)
            client.close()
    assert set(pod.app.executed.values()) == {1}


def rebinds(listener: socket.socket) -> socket.socket:
    """A successor of the wrong kind: its own socket on the same port."""
    return socket.create_server(listener.getsockname(), reuse_port=True)


MIGRATES = Path("/proc/sys/net/ipv4/tcp_migrate_req").read_text().strip() != "0"


@pytest.mark.case(2)
@pytest.mark.skipif(MIGRATES, reason="this kernel moves queued connections between SO_REUSEPORT sockets")
@pytest.mark.parametrize(("successor", "lost"), [(rebinds, 20), (socket.socket.dup, 0)])
async def test_the_strict_client_tells_a_rebound_port_from_a_socket_that_was_passed(
    successor: Callable[[socket.socket], socket.socket], lost: int
) -> None:
    port = free_port()
    predecessor = socket.create_server(("127.0.0.1", port), reuse_port=True)
    clients = [await Client.connect(port) for _ in range(20)]
    for client in clients:
        client.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    listener = successor(predecessor)
    predecessor.close()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        writer.close()

    server = await asyncio.start_server(serve, sock=listener)
    fresh = await Client.connect(port)
    answers = await asyncio.gather(
        fresh.get(), *(client.answer() for client in clients), return_exceptions=True
    )
    server.close()
    assert not isinstance(answers[0], BaseException)  # a test of new connections alone sees nothing
    assert sum(isinstance(answer, OSError | EOFError) for answer in answers) == lost
    for client in (fresh, *clients):
        client.close()


@pytest.mark.case(3)
async def test_a_predecessor_that_ends_does_not_shut_the_listener_down(pod: Pod) -> None:
    predecessor = await working(pod)
    async with peer.asked(pod) as successor:
        await peer.committed(successor)
        await predecessor.saw("drained")
        assert await predecessor.end() == 0
        await accepts(successor.take(), pod)


@pytest.mark.case(3)
async def test_a_successor_that_gives_up_does_not_shut_the_listener_down(pod: Pod) -> None:
    with peer.predecessor(pod) as first:
        await pod.start(12, 1)
        control = await first.requested()
        first.hand_out(control)
        await control.hear(frames.PREPARED)
        control.say(frames.ABORT, {"reason": "the test says so"})
        await first.requested()  # it asks again: what it had is closed
        await accepts(first.listener.dup(), pod)


async def accepts(listener: socket.socket, pod: Pod) -> None:
    """A holder of the listener gets the next connection."""
    with listener:
        listener.setblocking(False)
        client = await pod.client()
        accepted, _ = await asyncio.get_running_loop().sock_accept(listener)
        accepted.close()
        client.close()


@pytest.mark.case(4)
async def test_a_successor_makes_the_shared_listener_non_blocking_again(pod: Pod) -> None:
    with peer.predecessor(pod) as first:
        first.listener.setblocking(True)
        await pod.start(12, 1)
        control = await first.requested()
        first.hand_out(control)
        await control.hear(frames.PREPARED)
        assert not os.get_blocking(first.listener.fileno())
        control.close()


@pytest.mark.case(4)
@pytest.mark.parametrize("commits", [False, True])
async def test_a_holder_that_makes_the_listener_blocking_does_not_stop_the_other(
    pod: Pod, commits: bool
) -> None:
    await working(pod)
    async with peer.asked(pod) as successor:
        os.set_blocking(successor.descriptors[0], True)
        if commits:
            await peer.committed(successor)
    for _ in range(2):  # a second one, since the first leaves an accept that would block
        client = await pod.client()
        for _ in range(2):
            assert (await client.get()).headers["x-sidecar-instance"] == "1"
        client.close()


@pytest.mark.case(1, 5)
async def test_connections_that_arrive_in_the_moment_of_the_commit_are_accepted_once_and_served(
    pod: Pod,
) -> None:
    predecessor = await working(pod)
    async with peer.asked(pod) as successor:
        listener = successor.take()
        listener.setblocking(False)
        successor.say(frames.PREPARED)
        await successor.hear(frames.ACCEPT)
        # Both are there when it goes on: connections to accept, and the word to accept no more.
        predecessor.process.send_signal(signal.SIGSTOP)
        clients = [await pod.client() for _ in range(200)]
        successor.say(frames.ACCEPTING)
        predecessor.process.send_signal(signal.SIGCONT)
        await successor.hear(frames.COMMIT)
        left = await queued(listener)
        for number, client in enumerate(clients):
            client.send(b"GET / HTTP/1.1\r\nHost: a\r\nx-request-id: m%d\r\n\r\n" % number)
        for sock in left:  # as a successor would
            await asyncio.get_running_loop().sock_sendall(
                sock, b"HTTP/1.1 200 OK\r\nx-sidecar-instance: 12\r\nContent-Length: 0\r\n\r\n"
            )
        instances = [(await client.answer()).headers["x-sidecar-instance"] for client in clients]
        assert instances.count("12") == len(left)
        assert instances.count("1") == 200 - len(left) == pod.app.executed.total()
        for client in clients:
            client.close()
        for sock in (listener, *left):
            sock.close()


async def queued(listener: socket.socket) -> list[socket.socket]:
    """What waits in the accept queue, and nobody else takes."""
    found = []
    while True:
        try:
            found.append(listener.accept()[0])
        except BlockingIOError:
            return found


def watched(sidecar: Sidecar) -> set[int]:
    """Inodes of what the process's epoll watches."""
    inodes = set()
    for info in Path(f"/proc/{sidecar.process.pid}/fdinfo").iterdir():
        with contextlib.suppress(FileNotFoundError):  # closed meanwhile
            for line in info.read_text().splitlines():
                if line.startswith("tfd:"):
                    inodes.add(int(line.split("ino:")[1].split()[0], 16))
    return inodes


@pytest.mark.case(6)
async def test_a_listener_that_is_closed_while_another_process_holds_it_is_watched_no_more(pod: Pod) -> None:
    path = str(pod.directory.parent / "gone.sock")
    predecessor = await working(pod, 1, 0, SIDECAR_LISTEN=f"127.0.0.1:{pod.port},unix:{path}")
    successor = await pod.scripted("1", protocols=(1, 2))
    inode = os.fstat(successor.descriptors[1]).st_ino
    await successor.send(frames.PREPARED, {"listeners": [f"127.0.0.1:{pod.port}"]})
    await successor.expect(frames.ACCEPT)
    await successor.send(frames.ACCEPTING)
    await successor.expect(frames.COMMIT)
    await predecessor.saw(
        "drained"
    )  # the unix socket is closed: the successor does not want it, yet holds it
    await eventually(lambda: inode not in watched(predecessor), "the listener out of epoll")
    # It would be readable for ever. And the number of its descriptor is used again: no fault, no ghost.
    waiting = await asyncio.open_unix_connection(path)
    successor.close()
    await predecessor.saw("resumed")
    for _ in range(3):
        client = await pod.client()
        assert (await client.get()).headers["x-sidecar-instance"] == "1"
        client.close()
    waiting[1].close()


@pytest.mark.case(6)
async def test_a_predecessor_watches_its_listener_no_more_after_the_commit(pod: Pod) -> None:
    predecessor = await working(pod)
    async with peer.asked(pod) as successor:
        inode = os.fstat(successor.descriptors[0]).st_ino
        assert inode in watched(predecessor)
        await peer.committed(successor)
        await eventually(lambda: inode not in watched(predecessor), "the listener out of epoll")
    await eventually(lambda: inode in watched(predecessor), "the listener watched again")


@pytest.mark.case(7)
async def test_a_successor_with_other_listeners_takes_those_that_match_and_binds_the_new(pod: Pod) -> None:
    gone, new = free_port(), free_port()
    predecessor = await working(pod, 1, 0, SIDECAR_LISTEN=f"127.0.0.1:{pod.port},127.0.0.1:{gone}")
    successor = await working(pod, 12, 1, SIDECAR_LISTEN=f"127.0.0.1:{pod.port},127.0.0.1:{new}")
    await predecessor.saw("drained")
    for port in (pod.port, new):
        client = await Client.connect(port)
        assert (await client.get()).headers["x-sidecar-instance"] == "12"
        client.close()
    assert await predecessor.end() == 0
    with pytest.raises(ConnectionRefusedError):
        await Client.connect(gone)
    assert len((await successor.saw("listener_received"))["listeners"]) == 2
