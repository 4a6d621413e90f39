"""Real sidecars, one directory, strict clients: nothing is lost, and nothing is closed without a word."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from sidecar import hook
from sidecar.config import read
from sidecar.handover import directory, frames
from sidecar.handover.query import states
from tests.sidecar.rig import PACKAGE, WITHIN_S, Client, Pod, Sidecar, eventually

pytestmark = pytest.mark.integration


class Load:
    """Strict clients of four kinds, until they are told to stop; `failures` says what was lost."""

    def __init__(self, pod: Pod) -> None:
        self.pod = pod
        self.failures: list[str] = []
        self.answered = 0
        self.instances: set[str] = set()
        self._stop = asyncio.Event()
        self._tasks = [
            asyncio.create_task(self._guard(kind, number))
            for number in range(2)
            for kind in (self._keep_alive, self._fresh, self._post, self._stream, self._idle)
        ]

    async def stop(self) -> None:
        self._stop.set()
        await asyncio.gather(*self._tasks)

    async def _guard(self, kind, number) -> None:  # type: ignore[no-untyped-def]
        count = 0
        try:
            while not self._stop.is_set():
                count = await kind(f"{kind.__name__}{number}", count)
        except (OSError, EOFError, AssertionError, TimeoutError) as error:
            self.failures.append(f"{kind.__name__}{number}-{count}: {error!r}")

    def _note(self, headers: dict[str, str]) -> None:
        self.answered += 1
        self.instances.add(headers["x-sidecar-instance"])

    async def _keep_alive(self, name: str, count: int, pause: float = 0.002, post: bool = False) -> int:
        client = await self.pod.client()
        while not self._stop.is_set():
            count += 1
            body = os.urandom(300)
            answer = (
                await client.post(body, f"{name}-{count}")
                if post
                else await client.get(x_request_id=f"{name}-{count}")
            )
            assert answer.status == 200, (answer.status, answer.headers)
            assert not post or answer.body.decode() == hashlib.sha256(body).hexdigest()
            self._note(answer.headers)
            assert not answer.closes, "this client does not reconnect"
            await asyncio.sleep(pause)
        client.close()
        return count

    async def _idle(self, name: str, count: int) -> int:
        return await self._keep_alive(name, count, pause=0.4, post=True)

    async def _post(self, name: str, count: int) -> int:
        return await self._keep_alive(name, count, post=True)

    async def _fresh(self, name: str, count: int) -> int:
        client = await self.pod.client()
        answer = await client.get(x_request_id=f"{name}-{count}", connection="close")
        assert answer.status == 200
        self._note(answer.headers)
        client.close()
        return count + 1

    async def _stream(self, name: str, count: int) -> int:
        client = await self.pod.client()
        answer = await client.get("/stream", x_request_id=f"{name}-{count}")
        assert answer.body == b"".join(b"%04d\n" % number for number in range(20))
        self._note(answer.headers)
        client.close()
        return count + 1


async def working(
    pod: Pod, version: int | None = 1, alt: int | None = 0, command: tuple[str, ...] = (), **more: str
) -> Sidecar:
    sidecar = await pod.start(version, alt, command, **more)
    await sidecar.saw("accepting")
    return sidecar


@pytest.mark.case(5, 23, 25, 32)
async def test_a_handover_under_load_loses_and_closes_nothing(pod: Pod) -> None:
    predecessor = await working(pod)
    load = Load(pod)
    await eventually(lambda: load.answered > 100, "load")
    successor = await pod.start(12, 1)
    assert await successor.run("sidecar.hook") == (0, "")
    drained = await predecessor.saw("drained")
    await eventually(lambda: "12" in load.instances, "answers of the successor")
    await load.stop()
    assert load.failures == []
    assert load.instances == {"1", "12"}
    assert {name: count for name, count in pod.app.executed.items() if count != 1} == {}
    assert (drained["forced"], drained["told"]) == (0, 0)
    assert drained["moved"] >= 6  # the connections that are kept
    # No pause: the successor accepts before the predecessor stops.
    accepting, commit = await successor.saw("accepting"), await predecessor.saw("commit")
    assert accepting["monotonic"] < commit["monotonic"]
    assert await predecessor.end() == 0


@pytest.mark.case(12, 21)
async def test_handovers_alternate_for_ever_and_leave_nothing_behind(pod: Pod) -> None:
    sidecar, version = await working(pod), 1
    load = Load(pod)
    for _ in range(5):
        successor = await pod.start(version + 7, version)
        assert await successor.run("sidecar.hook") == (0, "")
        assert await sidecar.end() == 0
        sidecar, version = successor, version + 7
    await load.stop()
    assert load.failures == []
    assert {name: count for name, count in pod.app.executed.items() if count != 1} == {}
    assert sorted(os.listdir(pod.directory)) == [f"{version}.admin", f"{version}.sock"]
    assert await sidecar.end() == 0
    assert os.listdir(pod.directory) == []


@pytest.mark.case(31)
async def test_a_request_under_way_is_finished_and_cut_only_at_the_deadline(pod: Pod) -> None:
    predecessor = await working(pod, SIDECAR_DRAIN_DEADLINE_S="1.5")
    finished, cut = await pod.client(), await pod.client()
    finished.send(b"GET /stream HTTP/1.1\r\nHost: a\r\n\r\n")
    # An upload in its middle cannot move, and this one never ends.
    cut.send(b"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\nhalf")
    await eventually(lambda: len(pod.app.heads) == 2, "both requests at the application")
    successor = await pod.start(12, 1)
    assert (await finished.answer()).body.endswith(b"0019\n")
    with contextlib.suppress(ConnectionResetError):
        assert await cut.rest() == b""
    drained = await predecessor.saw("drained")
    assert (drained["moved"], drained["forced"], drained["forced_silent"]) == (1, 1, 0)
    finished.close()
    cut.close()
    assert await successor.run("sidecar.hook") == (0, "")


@pytest.mark.case(12)
@pytest.mark.trap(6)
async def test_a_successor_that_finds_nobody_binds_and_stale_paths_mean_nothing(pod: Pod) -> None:
    dead = await working(pod, 1, 0)
    await dead.end(signal.SIGKILL)
    assert sorted(os.listdir(pod.directory)) == ["1.admin", "1.sock"]
    successor = await working(pod, 12, 1)
    assert await successor.run("sidecar.hook") == (0, "")
    assert successor.events("listening")
    await eventually(
        lambda: sorted(os.listdir(pod.directory)) == ["12.admin", "12.sock"], "the dead one's paths swept"
    )


@pytest.mark.case(16, 20)
async def test_the_predecessor_accepts_again_when_the_successor_is_killed_after_the_commit(pod: Pod) -> None:
    predecessor = await working(pod)
    for attempt in (1, 2):  # the container restarts and takes over again: no stuck state
        successor = await working(pod, 12, 1)
        await predecessor.saw("drained", attempt)
        await successor.end(signal.SIGKILL)
        await predecessor.saw("resumed", attempt)
        client = await pod.client()
        answer = await client.get()
        assert (answer.status, answer.headers["x-sidecar-instance"], answer.closes) == (200, "1", False)
        client.close()


@pytest.mark.case(3, 16)
async def test_a_successor_that_is_told_to_end_gives_everything_back(pod: Pod) -> None:
    predecessor = await working(pod)
    successor = await working(pod, 12, 1)
    await predecessor.saw("drained")
    client = await pod.client()
    assert (await client.get()).headers["x-sidecar-instance"] == "12"
    assert await successor.end() == 0
    await predecessor.saw("resumed")
    client.close()
    client = await pod.client()
    assert (await client.get()).headers["x-sidecar-instance"] == "1"
    client.close()


@pytest.mark.case(21)
async def test_a_retired_predecessor_does_not_come_back_when_its_successor_ends_in_turn(pod: Pod) -> None:
    first = await working(pod)
    second = await working(pod, 2, 1)
    await first.saw("drained")
    third = await working(pod, 3, 2)
    await second.saw("drained")
    assert await second.end() == 0
    client = await pod.client()
    assert (await client.get()).headers["x-sidecar-instance"] == "3"
    client.close()
    assert first.events("resumed") == []
    assert await third.end() == 0


@pytest.mark.case(9, 10, 11, 15, 20)
@pytest.mark.parametrize("step", ["nothing", "request", "prepared", "accepting"])
@pytest.mark.parametrize("end", ["dies", "is silent", "talks nonsense"])
async def test_a_successor_that_fails_before_the_commit_changes_nothing(
    pod: Pod, step: str, end: str
) -> None:
    predecessor = await working(pod, SIDECAR_HANDOVER_TIMEOUT_S="0.6")
    client = await pod.client()
    loop = asyncio.get_running_loop()
    sock = directory.connect(directory.path_of(str(pod.directory), "1"), 1)
    assert sock is not None
    sock.setblocking(False)

    async def say(kind: int, body: dict[str, object] | None = None) -> None:
        await loop.sock_sendall(sock, frames.encode(kind, body))

    async def hear(kind: int) -> None:
        record = await asyncio.wait_for(loop.sock_recv(sock, frames.MAX_FRAME), WITHIN_S)
        assert frames.decode(record).kind == kind

    with sock:
        if step != "nothing":
            await say(frames.REQUEST, {"protocols": [1], "generation": "12", "release": "x"})
            await hear(frames.OFFER)
        if step in ("prepared", "accepting"):
            await say(frames.PREPARED)
            await hear(frames.ACCEPT)
        if step == "accepting":
            await say(frames.PREPARED if end == "talks nonsense" else frames.WATCH)  # never `accepting`
        elif end == "talks nonsense":
            await loop.sock_sendall(sock, b"nonsense")
        if end == "dies":
            sock.close()
        assert (await client.get()).status == 200
        if step != "nothing":
            await predecessor.saw("handover_aborted")
    answer = await client.get()
    assert (answer.status, answer.closes) == (200, False)
    client.close()
    assert predecessor.events("commit") == []
    # And the next attempt finds no stuck state.
    await working(pod, 12, 1)
    await predecessor.saw("commit")


@pytest.mark.case(10)
async def test_a_peer_with_no_common_protocol_is_refused_with_a_reason(pod: Pod) -> None:
    predecessor = await working(pod)
    sock = directory.connect(directory.path_of(str(pod.directory), "1"), 1)
    assert sock is not None
    with sock:
        sock.send(frames.encode(frames.REQUEST, {"protocols": [98, 3], "generation": "12"}))
        sock.settimeout(WITHIN_S)
        answer = frames.decode(await asyncio.to_thread(sock.recv, frames.MAX_FRAME))
    assert answer.kind == frames.ABORT
    assert "[98, 3]" in answer.body["reason"]
    assert "protocols" in (await predecessor.saw("handover_aborted"))["reason"]


@pytest.mark.case(10)
@pytest.mark.parametrize(
    "offer", ["no descriptor", "a file", "not listening", "another address", "a datagram socket"]
)
async def test_a_successor_refuses_what_is_not_the_listener(pod: Pod, offer: str, tmp_path: Path) -> None:
    directory.ensure(str(pod.directory))
    loop = asyncio.get_running_loop()
    with directory.listen(str(pod.directory), "1") as server, contextlib.ExitStack() as stack:
        if offer != "not listening":
            held = stack.enter_context(socket.socket())
            held.bind(("127.0.0.1", pod.port))
            held.listen()
        if offer == "a file":
            fds = [stack.enter_context((tmp_path / "x").open("w")).fileno()]
        elif offer == "no descriptor":
            fds = []
        else:
            kind = socket.SOCK_DGRAM if offer == "a datagram socket" else socket.SOCK_STREAM
            wrong = stack.enter_context(socket.socket(socket.AF_INET, kind))
            wrong.bind(("127.0.0.1", 0 if offer == "another address" else pod.port))
            if offer == "another address":
                wrong.listen()
            fds = [wrong.fileno()]
        successor = await pod.start(12, 1, SIDECAR_HANDOVER_TIMEOUT_S="0.4")
        peer, _ = await asyncio.wait_for(loop.sock_accept(server), WITHIN_S)
        with peer:
            peer.setblocking(False)
            assert frames.decode(await loop.sock_recv(peer, frames.MAX_FRAME)).kind == frames.REQUEST
            row = {"family": "inet", "kind": "stream", "host": "127.0.0.1", "port": pod.port}
            socket.send_fds(peer, [frames.encode(frames.OFFER, {"protocol": 1, "listeners": [row]})], fds)
            refusal = frames.decode(await asyncio.wait_for(loop.sock_recv(peer, frames.MAX_FRAME), WITHIN_S))
        assert refusal.kind == frames.ABORT
        server.close()
        code, output = await successor.run("sidecar.hook")
        assert code == 1
        assert output.count("\n") == 1
        assert await asyncio.wait_for(successor.process.wait(), WITHIN_S) == 1
    assert successor.events("handover_aborted")


@pytest.mark.case(1, 18)
async def test_a_predecessor_that_dies_after_the_offer_leaves_its_queue_to_the_successor(pod: Pod) -> None:
    directory.ensure(str(pod.directory))
    loop = asyncio.get_running_loop()
    listener = socket.create_server(("127.0.0.1", pod.port))
    server = directory.listen(str(pod.directory), "1")
    successor = await pod.start(12, 1)
    peer, _ = await asyncio.wait_for(loop.sock_accept(server), WITHIN_S)
    peer.setblocking(False)
    await loop.sock_recv(peer, frames.MAX_FRAME)
    row = {"family": "inet", "kind": "stream", "host": "127.0.0.1", "port": pod.port}
    socket.send_fds(
        peer, [frames.encode(frames.OFFER, {"protocol": 1, "listeners": [row]})], [listener.fileno()]
    )
    queued = await pod.client()
    queued.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    for sock in (listener, server, peer):
        sock.close()
    answer = await queued.answer()
    assert (answer.status, answer.headers["x-sidecar-instance"]) == (200, "12")
    queued.close()
    assert await successor.run("sidecar.hook") == (0, "")


@pytest.mark.case(17)
async def test_a_hook_that_cannot_get_the_port_fails_with_one_line_and_the_holder_serves_on(pod: Pod) -> None:
    predecessor = await working(pod)
    # Another user's directory: nobody answers there, and the port is in use.
    other = pod.directory.parent / "other"
    successor = await pod.start(12, 1, SIDECAR_HANDOVER_DIR=str(other), SIDECAR_HANDOVER_TIMEOUT_S="3")
    code, output = await successor.run("sidecar.hook")
    assert (code, output.count("\n")) == (1, 1)
    assert "in use" in output
    assert await asyncio.wait_for(successor.process.wait(), WITHIN_S) == 1
    client = await pod.client()
    assert (await client.get()).headers["x-sidecar-instance"] == "1"
    client.close()
    assert predecessor.events("handover_requested") == []


@pytest.mark.trap(4)
async def test_the_hook_may_run_before_the_process_and_ignores_what_earlier_ones_left(pod: Pod) -> None:
    await working(pod)
    directory.listen(str(pod.directory), "12").close()  # an earlier start of this very generation
    environment = pod.environment(12, 1)
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-S", "-m", "sidecar.hook", env=environment
    )
    await asyncio.sleep(0.15)
    assert process.returncode is None
    await pod.start(12, 1)
    assert await asyncio.wait_for(process.wait(), WITHIN_S) == 0


async def test_the_hook_waits_for_the_drain(pod: Pod) -> None:
    predecessor = await working(pod)
    client = await pod.client()
    client.send(b"GET /hold HTTP/1.1\r\nHost: a\r\n\r\n")
    await eventually(pod.app.executed.total, "the request at the application")
    successor = await working(pod, 12, 1)
    waiting = asyncio.create_task(successor.run("sidecar.hook"))
    await predecessor.saw("draining")
    done, _ = await asyncio.wait({waiting}, timeout=0.3)
    assert not done
    pod.app.released.set()
    assert not (await client.answer()).closes
    assert await waiting == (0, "")
    client.close()


@pytest.mark.trap(5)
async def test_after_the_commit_the_hook_succeeds_even_if_the_process_dies(
    pod: Pod, monkeypatch: pytest.MonkeyPatch
) -> None:
    await working(pod)
    client = await pod.client()
    client.send(b"GET /hold HTTP/1.1\r\nHost: a\r\n\r\n")
    await eventually(pod.app.executed.total, "the request at the application")
    successor = await working(pod, 12, 1)
    knows = threading.Event()

    def watched(path: str, deadline: float) -> Iterator[dict[str, Any]]:
        for state in states(path, deadline):
            if state["committed"]:
                knows.set()
            yield state

    monkeypatch.setattr(hook, "states", watched)
    waiting = asyncio.create_task(asyncio.to_thread(hook.wait, read(successor.environment)))
    await eventually(knows.is_set, "the hook told of the commit")
    await successor.end(signal.SIGKILL)
    assert await waiting == 0
    client.close()


@pytest.mark.trap(8)
@pytest.mark.parametrize(("version", "alt"), [(None, None), (5, 0), (5, None)])
async def test_a_first_start_binds_and_its_hook_returns_when_it_listens(
    pod: Pod, version: int | None, alt: int | None
) -> None:
    sidecar = await pod.start(version, alt)
    assert await sidecar.run("sidecar.hook") == (0, "")
    client = await pod.client()
    answer = await client.get()
    assert answer.headers.get("x-sidecar-instance") == (None if version is None else str(version))
    client.close()
    assert await sidecar.run("sidecar.probe") == (0, "working\n")


async def test_version_zero_idles_serves_nothing_and_ends_at_once(pod: Pod) -> None:
    sidecar = await pod.start(0, 1)
    assert await sidecar.run("sidecar.hook") == (0, "")
    await sidecar.saw("started")
    await eventually(pod.directory.joinpath("0.sock").exists, "its control socket")
    assert await sidecar.run("sidecar.probe") == (0, "idle\n")
    with pytest.raises(ConnectionRefusedError):
        await pod.client()
    assert await sidecar.end() == 0


@pytest.mark.case(19)
async def test_a_predecessor_that_restarts_in_mid_upgrade_is_silent_while_the_successor_serves(
    pod: Pod,
) -> None:
    successor = await working(pod, 12, 0)
    restarted = await pod.start(1, 12)
    assert await restarted.run("sidecar.hook") == (0, "")
    await restarted.saw("started")
    await eventually(pod.directory.joinpath("1.sock").exists, "its control socket")
    assert await restarted.run("sidecar.probe") == (0, "silent\n")
    assert restarted.events("accepting") == []
    await successor.end(signal.SIGKILL)
    await restarted.saw("accepting")
    client = await pod.client()
    assert (await client.get()).headers["x-sidecar-instance"] == "1"
    client.close()
    # The successor comes back: it takes over again.
    await working(pod, 12, 1)
    await restarted.saw("drained")


@pytest.mark.case(7)
async def test_ipv6_and_unix_listeners_are_handed_over_too(pod: Pod) -> None:
    path = str(pod.directory.parent / "in.sock")
    listen = f"127.0.0.1:{pod.port},[::1]:{pod.port},unix:{path}"
    await working(pod, 1, 0, SIDECAR_LISTEN=listen)
    successor = await working(pod, 12, 1, SIDECAR_LISTEN=listen)
    received = await successor.saw("listener_received")
    assert len(received["listeners"]) == 3
    await successor.saw("commit")
    clients = [
        await pod.client(),
        await Client.connect(pod.port, "::1"),
        Client(*await asyncio.open_unix_connection(path)),
    ]
    for client in clients:
        assert (await client.get()).headers["x-sidecar-instance"] == "12"
        client.close()


@pytest.mark.parametrize(
    ("name", "value"),
    [("SIDECARSET_VERSION", "one"), ("SIDECAR_LISTEN", "nowhere"), ("SIDECAR_STOP_S", "-1")],
)
def test_a_wrong_environment_is_one_line_and_exit_code_2(name: str, value: str, tmp_path: Path) -> None:
    environment = {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": str(PACKAGE),
        name: value,
    }
    found = subprocess.run(
        [sys.executable, "-m", "sidecar"], env=environment, capture_output=True, timeout=WITHIN_S
    )
    assert (found.returncode, found.stdout, found.stderr.count(b"\n")) == (2, b"", 1)
    assert name.encode() in found.stderr


@pytest.mark.case(13)
async def test_a_directory_open_to_others_is_refused_before_anything_is_bound(pod: Pod) -> None:
    pod.directory.mkdir(mode=0o777)
    pod.directory.chmod(0o777)
    sidecar = await pod.start(1, 0)
    assert await asyncio.wait_for(sidecar.process.wait(), WITHIN_S) == 1
    assert sidecar.log == []


async def test_a_working_process_finishes_what_is_under_way_when_told_to_end(pod: Pod) -> None:
    sidecar = await working(pod)
    client, idle = await pod.client(), await pod.client()
    await idle.get()
    client.send(b"GET /hold HTTP/1.1\r\nHost: a\r\n\r\n")
    await eventually(lambda: pod.app.executed.total() == 2, "the request at the application")
    sidecar.process.terminate()
    await sidecar.saw("ending")
    pod.app.released.set()
    answer = await client.answer()
    assert (answer.body, answer.closes) == (b"held", True)
    client.close()
    assert await idle.rest() == b""
    idle.close()
    assert await sidecar.end() == 0
