"""Moving a pod over from openkruise/samples and back, under clients that connect for every request."""

from __future__ import annotations

import array
import asyncio
import contextlib
import os
import resource
import socket
import sys
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from sidecar import address, config
from sidecar.address import Address
from sidecar.errors import PeerHandoverError
from sidecar.handover import sample
from tests.sidecar.rig import WITHIN_S, App, Client, Pod, Sidecar, eventually, free_port

pytestmark = pytest.mark.integration

# The path is the sample's and no setting, so that nobody has to be told not to change it: tests replace it.
AT_PATH = """
import sys
from sidecar import config, process
config.SAMPLE_SOCKET = sys.argv[1]
sys.exit(process.main())
"""
SAMPLE = Path(__file__).with_name("kruise_sample.py")
TRIGGER = "GET /migrate HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n\r\n"


class Sample:
    """One process of the stand-in."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process
        self.said: list[str] = []
        self._reading = asyncio.create_task(self._read())

    async def _read(self) -> None:
        assert self.process.stdout is not None
        async for line in self.process.stdout:
            self.said.append(line.decode().strip())

    async def says(self, text: str) -> None:
        await eventually(lambda: any(text in line for line in self.said), f"{text}; said: {self.said}")

    async def end(self) -> None:
        if self.process.returncode is None:
            self.process.kill()
        await self.process.wait()
        await self._reading


class SamplePod(Pod):
    """A pod in which containers of the sample run as well, or instead."""

    def __init__(self, app: App, directory: Path) -> None:
        super().__init__(app, directory)
        self.path = str(directory.parent / "migrate.sock")
        self.samples: list[Sample] = []

    async def start(
        self,
        version: int | None = None,
        alt: int | None = None,
        command: tuple[str, ...] = (),
        **more: str,
    ) -> Sidecar:
        on = {"MIGRATION_PROTOCOL": "kruise-sample", "SIDECAR_LISTEN": f"0.0.0.0:{self.port}"}
        at_path = (*command, sys.executable, "-c", AT_PATH, self.path)
        return await super().start(version, alt, at_path, **{**on, **more})

    async def sample(self, version: int, alt: int, started_s: float = 0.2) -> Sample:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, str(SAMPLE), f"v{version}", str(self.port), self.path, str(started_s)),
            env={**self.environment(version, alt), "PYTHONPATH": ""},
            stdout=asyncio.subprocess.PIPE,
        )
        found = Sample(process)
        self.samples.append(found)
        return found

    def somebody_waits(self) -> bool:
        """Whether the sample's socket is there."""
        return os.path.exists(self.path)

    async def who(self) -> str:
        """Who serves a new connection."""
        client = await self.client()
        answer = await client.get("/serve", connection="close")
        client.close()
        assert answer.status == 200
        return answer.headers.get("x-sidecar-instance") or answer.body.decode()


class Fresh:
    """Clients that open a connection for each request; `failures` says which were not served whole."""

    def __init__(self, pod: SamplePod) -> None:
        self.pod = pod
        self.served: Counter[str] = Counter()
        self.failures: list[str] = []
        self._stop = asyncio.Event()
        self._tasks = [asyncio.create_task(self._run()) for _ in range(6)]

    async def _run(self) -> None:
        while not self._stop.is_set():
            try:
                self.served[await self.pod.who()] += 1
            except (OSError, EOFError, AssertionError, TimeoutError) as error:
                self.failures.append(repr(error))
            await asyncio.sleep(0.001)

    async def saw(self, who: str) -> None:
        before = self.served[who]
        await eventually(lambda: self.served[who] > before + 20, f"answers of {who}; {self.served}")

    async def stop(self) -> None:
        self._stop.set()
        await asyncio.gather(*self._tasks)


@pytest.fixture
async def moved(pod: Pod) -> AsyncIterator[SamplePod]:
    pod = SamplePod(pod.app, pod.directory)
    yield pod
    for theirs in pod.samples:
        await theirs.end()
    for sidecar in pod.sidecars:
        await sidecar.end(9)


async def working(pod: SamplePod, version: int, **more: str) -> Sidecar:
    sidecar = await pod.start(version, 0, (), **more)
    await sidecar.saw("accepting")
    return sidecar


async def test_a_pod_is_moved_over_from_the_sample_and_loses_no_new_connection(moved: SamplePod) -> None:
    predecessor = await moved.sample(1, 0)
    await predecessor.says("started")
    load = Fresh(moved)
    await load.saw("This is version(v1) sidecar")
    successor = await moved.start(12, 1)
    assert await successor.run("sidecar.hook") == (0, "")
    received = await successor.saw("listener_received")
    assert received["listeners"] == [f"0.0.0.0:{moved.port}"]
    await predecessor.end()
    await load.saw("12")
    await load.stop()
    assert load.failures == []
    assert not moved.somebody_waits()


async def test_a_pod_is_moved_back_to_the_sample_and_loses_no_new_connection(moved: SamplePod) -> None:
    predecessor = await working(moved, 1)
    load = Fresh(moved)
    await load.saw("1")
    successor = await moved.sample(12, 1)
    await successor.says("started")
    await predecessor.saw("drained")
    await load.saw("This is version(v12) sidecar")
    assert await predecessor.end() == 0
    await load.saw("This is version(v12) sidecar")
    await load.stop()
    assert load.failures == []


async def test_upgrades_go_on_in_both_directions_with_the_one_listener(moved: SamplePod) -> None:
    first = await moved.sample(1, 0)
    await first.says("started")
    current: Sample | Sidecar = first
    load = Fresh(moved)
    for version, ours in [(2, True), (3, True), (4, False), (5, False), (6, True)]:
        if ours:
            successor = await moved.start(version, version - 1)
            assert await successor.run("sidecar.hook") == (0, "")
            await current.end()
            await load.saw(str(version))
            current = successor
        else:
            theirs = await moved.sample(version, version - 1)
            await theirs.says("started")
            await current.end()
            await load.saw(f"This is version(v{version}) sidecar")
            current = theirs
    await load.stop()
    assert load.failures == []
    # Between two of ours the sample's protocol is not spoken.
    second, third = moved.sidecars[0], moved.sidecars[1]
    assert third.events("commit")
    assert second.events("handover_requested")[0]["successor"]["generation"] == "3"


async def test_the_hook_leaves_the_sample_time_for_what_it_still_serves(moved: SamplePod) -> None:
    await (await moved.sample(1, 0)).says("started")
    successor = await moved.start(12, 1, SIDECAR_DRAIN_IDLE_S="0.7")
    hook = asyncio.create_task(successor.run("sidecar.hook"))
    await successor.saw("accepting")
    done, _ = await asyncio.wait({hook}, timeout=0.3)
    assert not done
    assert await hook == (0, "")


async def test_a_kept_connection_is_served_by_the_predecessor_and_told_to_close(moved: SamplePod) -> None:
    predecessor = await working(moved, 1)
    client = await moved.client()
    assert not (await client.get()).closes
    await (await moved.sample(12, 1)).says("serving")
    await predecessor.saw("draining")
    answer = await client.get()
    assert (answer.status, answer.headers["x-sidecar-instance"], answer.closes) == (200, "1", True)
    client.close()
    assert (await predecessor.saw("drained"))["told"] == 1


async def test_a_successor_of_the_sample_that_dies_and_comes_again_can_listen(moved: SamplePod) -> None:
    await working(moved, 1)
    successor = await moved.sample(12, 1)
    await successor.says("started")
    await successor.end()
    again = await moved.sample(12, 1)
    await again.says("serving")
    assert await moved.who() == "This is version(v12) sidecar"


async def test_a_successor_that_finds_nobody_on_the_port_binds(moved: SamplePod) -> None:
    with socket.socket(socket.AF_UNIX) as stale:
        stale.bind(moved.path)  # left by a successor that was killed
    successor = await moved.start(12, 1)
    await successor.saw("listening")
    assert await moved.who() == "12"
    assert successor.events("handover_aborted") == []


# -- off -----------------------------------------------------------------------------------------------------


async def test_unless_asked_for_migrate_is_a_path_of_the_application(moved: SamplePod) -> None:
    sidecar = await working(moved, 1, MIGRATION_PROTOCOL="")
    with socket.socket(socket.AF_UNIX) as thief:
        thief.bind(moved.path)
        thief.listen()
        thief.settimeout(0)
        client = await moved.client()
        client.send(TRIGGER.format(port=moved.port).encode())
        answer = await client.answer()
        assert (answer.status, answer.body) == (200, b"ok")
        assert moved.app.heads[-1].startswith(b"GET /migrate HTTP/1.1\r\n")
        with pytest.raises(BlockingIOError):
            thief.accept()
        client.close()
    os.unlink(moved.path)
    # Nor does a successor open the sample's socket, or ask.
    successor = await moved.start(12, 1, MIGRATION_PROTOCOL="")
    await successor.saw("commit")
    assert not moved.somebody_waits()
    assert len([head for head in moved.app.heads if b"/migrate" in head]) == 1
    assert sidecar.events("handover_requested")[0]["successor"]["generation"] == "12"


@pytest.mark.parametrize(
    "request_",
    [
        "POST /migrate HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n\r\n",
        "GET /migrate HTTP/1.1\r\nHost: example.org\r\n\r\n",
        "GET /migrate?now HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n\r\n",
        "GET /migrate/ HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n\r\n",
        "GET /migrate HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nContent-Length: 1\r\n\r\nx",
    ],
)
async def test_only_exactly_the_trigger_is_one(moved: SamplePod, request_: str) -> None:
    sidecar = await working(moved, 1)
    client = await moved.client()
    for _ in range(2):
        client.send(request_.format(port=moved.port).encode())
        answer = await client.answer()
        assert (answer.status, answer.body, answer.closes) == (200, b"ok", False)
    client.close()
    assert sidecar.events("handover_requested") == []


async def test_a_client_from_elsewhere_cannot_trigger(moved: SamplePod) -> None:
    sidecar = await working(moved, 1)
    loop = asyncio.get_running_loop()
    with socket.socket() as sock:
        sock.bind(("127.0.0.2", 0))  # any source but the one that the sample has
        sock.setblocking(False)
        await loop.sock_connect(sock, ("127.0.0.1", moved.port))
        client = Client(*await asyncio.open_connection(sock=sock.dup()))
        client.send(TRIGGER.format(port=moved.port).encode())
        assert (await client.answer()).body == b"ok"
        client.close()
    assert sidecar.events("handover_requested") == []


# -- failures ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "fault", ["no socket", "nobody listens", "never accepts", "hangs up unread", "talks"]
)
async def test_a_successor_that_does_not_take_the_listener_changes_nothing(
    moved: SamplePod, fault: str
) -> None:
    predecessor = await working(moved, 1, SIDECAR_HANDOVER_TIMEOUT_S="0.6")
    kept = await moved.client()
    loop = asyncio.get_running_loop()
    load = Fresh(moved)
    with socket.socket(socket.AF_UNIX) as waiting:
        waiting.setblocking(False)
        if fault != "no socket":
            waiting.bind(moved.path)
        if fault not in ("no socket", "nobody listens"):
            waiting.listen()
        client = await moved.client()
        client.send(TRIGGER.format(port=moved.port).encode())
        if fault in ("hangs up unread", "talks"):
            peer, _ = await asyncio.wait_for(loop.sock_accept(waiting), WITHIN_S)
            with peer:
                if fault == "talks":
                    peer.send(b"?")
                    await asyncio.wait_for(loop.sock_recv(peer, 1), WITHIN_S)
        answer = await client.answer()
        client.close()
    assert (answer.status, answer.body) == (200, b"failed")
    assert "\n" not in (await predecessor.saw("handover_aborted"))["reason"]
    await load.saw("1")
    await load.stop()
    assert load.failures == []
    assert not (await kept.get()).closes
    kept.close()
    # And the next attempt finds no stuck state.
    with contextlib.suppress(FileNotFoundError):
        os.unlink(moved.path)
    await (await moved.sample(12, 1)).says("received")


async def test_a_listener_is_not_sent_to_a_process_of_another_user(
    pod: Pod, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sample, "peer_uid", lambda _: os.geteuid() + 1)
    path = str(pod.directory.parent / "migrate.sock")
    with socket.socket(socket.AF_UNIX) as thief:
        thief.bind(path)
        thief.listen()
        with pytest.raises(PeerHandoverError, match="run both as one user"):
            await sample.give(thief.fileno(), path, WITHIN_S)
        connection, _ = thief.accept()
        with connection:
            assert connection.recvmsg(32, 32)[:2] == (b"", [])


async def test_a_listener_is_not_taken_from_a_process_of_another_user(
    pod: Pod, monkeypatch: pytest.MonkeyPatch
) -> None:
    uids = iter([os.geteuid() + 1, 0])
    monkeypatch.setattr(sample, "peer_uid", lambda _: next(uids))
    path = str(pod.directory.parent / "migrate.sock")
    environment = {"SIDECAR_LISTEN": f"127.0.0.1:{pod.port}", "MIGRATION_PROTOCOL": "kruise-sample"}
    settings = config.read(environment)._replace(sample_socket=path)
    with (
        address.bind(sample.listener(settings).address) as held,
        address.bind(Address("inet", "127.0.0.1", free_port())) as wrong,
    ):
        taking = asyncio.create_task(sample.take(settings))
        await eventually(lambda: os.path.exists(path), "its socket")
        for sock in (wrong, held):  # root's, which may be trusted, comes second
            with socket.socket(socket.AF_UNIX) as sender:
                sender.connect(path)
                socket.send_fds(sender, [b"\0"], [sock.fileno()])
        taken = await taking
        assert taken is not None
        with taken:
            assert taken.getsockname() == ("127.0.0.1", pod.port)
            assert not taken.get_inheritable()
            assert not taken.getblocking()


async def test_a_second_trigger_while_one_is_under_way_is_answered_failed(moved: SamplePod) -> None:
    predecessor = await working(moved, 1)
    with socket.socket(socket.AF_UNIX) as waiting:
        waiting.bind(moved.path)
        waiting.listen()
        first, second = await moved.client(), await moved.client()
        first.send(TRIGGER.format(port=moved.port).encode())
        await predecessor.saw("handover_requested")
        second.send(TRIGGER.format(port=moved.port).encode())
        assert (await second.answer()).body == b"failed"
        assert predecessor.events("handover_aborted") == []
        # Told to end meanwhile: it says so and ends at once.
        predecessor.process.terminate()
        assert (await first.answer()).body == b"failed"
        for client in (first, second):
            client.close()
    assert await predecessor.end() == 0


@pytest.mark.parametrize(
    "offer",
    [
        "silence",
        "no descriptor",
        "two descriptors",
        "too many descriptors",
        "a file",
        "not listening",
        "another address",
        "refused",
        "not the sample",
    ],
)
async def test_a_successor_refuses_what_is_not_the_listener_and_the_predecessor_serves_on(
    moved: SamplePod, offer: str, tmp_path: Path
) -> None:
    loop = asyncio.get_running_loop()
    served = 0

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal served
        head = await reader.readuntil(b"\r\n\r\n")
        answer = b"HTTP/1.1 200 OK\r\nContent-Length: 7\r\nConnection: close\r\n\r\nsuccess"
        if head.startswith(b"GET /migrate "):
            served += 1
            if offer == "silence":
                await reader.read()
            elif offer in ("refused", "not the sample"):
                answer = answer.replace(b"success", b"failed!" if offer == "refused" else b"\0\r\n\r\n ")
            else:
                with socket.socket(socket.AF_UNIX) as sock:
                    sock.setblocking(False)
                    await loop.sock_connect(sock, moved.path)
                    rights = array.array("i", descriptors).tobytes()
                    sock.sendmsg([b"\0"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, rights)] if rights else [])
        with contextlib.suppress(OSError):
            writer.write(answer)
            writer.close()

    with contextlib.ExitStack() as stack:
        server = await asyncio.start_server(serve, "127.0.0.1", moved.port)
        held = server.sockets[0].fileno()
        wrong = stack.enter_context(socket.socket())
        wrong.bind(("127.0.0.1", 0))
        if offer == "another address":
            wrong.listen()
        descriptors = {
            "two descriptors": [held, held],
            "too many descriptors": [held] * 200,
            "a file": [stack.enter_context((tmp_path / "x").open("w")).fileno()],
            "not listening": [wrong.fileno()],
            "another address": [wrong.fileno()],
        }.get(offer, [])
        successor = await moved.start(
            12, 1, SIDECAR_HANDOVER_TIMEOUT_S="0.8", SIDECAR_LISTEN=f"127.0.0.1:{moved.port}"
        )
        code, output = await successor.run("sidecar.hook")
        assert (code, output.count("\n")) == (1, 1)
        assert await asyncio.wait_for(successor.process.wait(), WITHIN_S) == 1
        [aborted] = successor.events("handover_aborted")
        assert "\n" not in aborted["reason"]
        assert served == 1
        client = await moved.client()
        client.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        assert (await client.answer()).status == 200
        client.close()
        server.close()
    assert not moved.somebody_waits()


async def test_ancillary_data_that_was_cut_is_refused(moved: SamplePod) -> None:
    """Too few free descriptors in the successor: the kernel drops what does not fit and says so."""
    held = address.bind(Address("inet", "127.0.0.1", moved.port))
    loop = asyncio.get_running_loop()
    with held:
        successor = await moved.start(12, 1, SIDECAR_LISTEN=f"127.0.0.1:{moved.port}")
        await eventually(lambda: moved.somebody_waits(), "its socket")
        trigger, _ = await asyncio.wait_for(loop.sock_accept(held), WITHIN_S)
        # What is open now stays open; from here on nothing more can be.
        limit = len(os.listdir(f"/proc/{successor.process.pid}/fd"))
        with trigger, socket.socket(socket.AF_UNIX) as sock:
            sock.setblocking(False)
            await loop.sock_connect(sock, moved.path)
            await eventually(
                lambda: len(os.listdir(f"/proc/{successor.process.pid}/fd")) > limit, "it has accepted"
            )
            resource.prlimit(successor.process.pid, resource.RLIMIT_NOFILE, (limit, limit))
            rights = array.array("i", [held.fileno()] * 3)
            sock.sendmsg([b"\0"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, rights)])
            aborted = await successor.saw("handover_aborted")
        assert "cut short" in aborted["reason"]
