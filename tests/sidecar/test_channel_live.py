"""The control channel as real processes use it: what is cut, wrong, late or left over, and who asks (cases 8 to 14)."""

from __future__ import annotations

import asyncio
import os
import resource
import socket
import subprocess
import sys

import pytest

from sidecar.handover import directory, frames
from tests.sidecar import peer
from tests.sidecar.rig import PACKAGE, WITHIN_S, Client, Pod, Sidecar, eventually
from tests.sidecar.test_handover_live import working

pytestmark = pytest.mark.integration
STRANGER = 12345  # a uid
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")


def descriptors(sidecar: Sidecar) -> list[int]:
    return sorted(int(name) for name in os.listdir(f"/proc/{sidecar.process.pid}/fd"))


async def answers(pod: Pod, instance: str) -> None:
    """A new connection is served, by this instance."""
    client = await pod.client()
    answer = await client.get()
    assert (answer.status, answer.headers["x-sidecar-instance"], answer.closes) == (200, instance, False)
    client.close()


@pytest.mark.case(8)
async def test_an_offer_for_which_the_successor_has_too_few_descriptors_is_refused_and_leaks_none(
    pod: Pod,
) -> None:
    with peer.predecessor(pod) as first:
        successor = await pod.start(12, 1)
        control = await first.requested()
        before = descriptors(successor)
        room = resource.prlimit(successor.process.pid, resource.RLIMIT_NOFILE)
        resource.prlimit(successor.process.pid, resource.RLIMIT_NOFILE, (before[-1] + 2, room[1]))
        first.offer["listeners"] = [first.offer["listeners"][0]] * 9
        control.say(frames.OFFER, first.offer, [first.listener.fileno()] * 9)
        refusal = await control.hear(frames.ABORT)
        resource.prlimit(successor.process.pid, resource.RLIMIT_NOFILE, room)
        assert "descriptors were lost" in refusal.body["reason"]
        # It asks again, over a connection that replaces the first: nothing of the offer is left.
        control = await first.requested()
        assert len(descriptors(successor)) == len(before)
        del first.offer["listeners"][1:]
        first.hand_out(control)
        await control.hear(frames.PREPARED)


@pytest.mark.case(7, 8)
async def test_as_many_listeners_as_one_message_holds_are_handed_over(pod: Pod) -> None:
    paths = [f"{pod.directory.parent}/{number}" for number in range(frames.MAX_DESCRIPTORS)]
    listen = ",".join(f"unix:{path}" for path in paths)
    predecessor = await working(pod, 1, 0, SIDECAR_LISTEN=listen)
    successor = await working(pod, 12, 1, SIDECAR_LISTEN=listen)
    await predecessor.saw("drained")
    assert len((await successor.saw("listener_received"))["listeners"]) == frames.MAX_DESCRIPTORS
    for path in (paths[0], paths[-1]):
        client = Client(*await asyncio.open_unix_connection(path))
        assert (await client.get()).headers["x-sidecar-instance"] == "12"
        client.close()


@pytest.mark.case(9)
@pytest.mark.parametrize("reads", [False, True])
async def test_a_receiver_that_ends_without_taking_the_descriptors_costs_no_connection(
    pod: Pod, reads: bool
) -> None:
    predecessor = await working(pod)
    with peer.successor(pod) as successor:
        successor.say(frames.REQUEST, peer.REQUEST)
        await predecessor.saw("listener_sent")
        if reads:  # plainly: the kernel closes what came with it
            await asyncio.to_thread(successor.sock.recv, frames.MAX_FRAME)
    await predecessor.saw("handover_aborted")
    await answers(pod, "1")
    # The same, and it even commits: who waits while nobody accepts is served by the predecessor after all.
    with peer.successor(pod) as successor:
        successor.say(frames.REQUEST, peer.REQUEST)
        await asyncio.to_thread(successor.sock.recv, frames.MAX_FRAME)
        await peer.committed(successor)
        queued = await pod.client()
        queued.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        await predecessor.saw("drained")
    assert (await queued.answer()).headers["x-sidecar-instance"] == "1"
    queued.close()


@pytest.mark.case(10)
@pytest.mark.parametrize("cut", [1, 7, 8, -1])
async def test_part_of_a_frame_is_refused_by_either_side(pod: Pod, cut: int) -> None:
    with peer.predecessor(pod) as first:
        successor = await pod.start(12, 1, SIDECAR_HANDOVER_TIMEOUT_S="2")
        control = await first.requested()
        control.send(frames.encode(frames.OFFER, first.offer)[:cut], [first.listener.fileno()])
        await control.hear(frames.ABORT)
        control.close()
        await successor.saw("handover_aborted")
        await successor.end(9)
    predecessor = await working(pod)
    async with peer.asked(pod) as control:
        control.send(frames.encode(frames.PREPARED)[:cut])
        await control.hear(frames.ABORT)
    await predecessor.saw("handover_aborted")
    await answers(pod, "1")


@pytest.mark.case(11)
@pytest.mark.parametrize("step", ["request", "prepared"])
async def test_a_successor_gives_a_silent_predecessor_up_and_says_so(pod: Pod, step: str) -> None:
    with peer.predecessor(pod) as first:
        successor = await pod.start(12, 1, SIDECAR_HANDOVER_TIMEOUT_S="0.4")
        hook = asyncio.create_task(successor.run("sidecar.hook"))
        control = await first.requested()
        if step != "request":
            first.hand_out(control)
            await control.hear(frames.PREPARED)
        refusal = await control.hear(frames.ABORT)
        assert refusal.body["reason"] == "the predecessor was silent for 0.2 s"
        assert await asyncio.wait_for(successor.process.wait(), WITHIN_S) == 1
        code, output = await hook
        assert (code, output.count("\n"), "silent" in output) == (1, 1, True)
    assert successor.events("commit") == []


@pytest.mark.case(11, 18)
async def test_a_successor_whose_predecessor_falls_silent_when_it_accepts_already_serves_on(pod: Pod) -> None:
    with peer.predecessor(pod) as first:
        successor = await pod.start(12, 1, SIDECAR_HANDOVER_TIMEOUT_S="0.4")
        control = await first.requested()
        first.hand_out(control)
        await control.hear(frames.PREPARED)
        control.say(frames.ACCEPT)
        await control.hear(frames.ACCEPTING)
        client = await pod.client()
        await client.get()
        assert (await control.hear(frames.ABORT)).body["reason"] == "the predecessor was silent for 0.2 s"
        assert (await successor.saw("handover_aborted"))["outcome"] == "orphaned"
        assert await successor.run("sidecar.hook") == (0, "")
        assert not (await client.get()).closes
        client.close()
        await answers(pod, "12")


@pytest.mark.case(11)
async def test_peers_that_take_their_time_for_each_step_come_to_the_commit(pod: Pod) -> None:
    slowly = 0.3  # of the second that each step has: three of them are more than one
    predecessor = await working(pod, SIDECAR_HANDOVER_TIMEOUT_S="2")
    async with peer.asked(pod) as successor:
        for kind, answer in ((frames.PREPARED, frames.ACCEPT), (frames.ACCEPTING, frames.COMMIT)):
            await asyncio.sleep(slowly)
            successor.say(kind)
            await successor.hear(answer)
    await predecessor.saw("resumed")
    await predecessor.end()
    with peer.predecessor(pod) as first:
        after = await pod.start(12, 1, SIDECAR_HANDOVER_TIMEOUT_S="2")
        control = await first.requested()
        await asyncio.sleep(slowly)
        first.hand_out(control)
        for kind, answer in ((frames.PREPARED, frames.ACCEPT), (frames.ACCEPTING, frames.COMMIT)):
            await control.hear(kind)
            await asyncio.sleep(slowly)
            control.say(answer)
        await after.saw("commit")
    assert after.events("handover_aborted") == []


@pytest.mark.case(12)
async def test_a_successor_that_fails_leaves_the_living_ones_path_and_takes_its_own_away(pod: Pod) -> None:
    await working(pod)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        listen = f"127.0.0.1:{pod.port},127.0.0.1:{taken.getsockname()[1]}"
        failing = await pod.start(12, 1, SIDECAR_LISTEN=listen, SIDECAR_HANDOVER_TIMEOUT_S="0.4")
        assert await asyncio.wait_for(failing.process.wait(), WITHIN_S) == 1
    assert sorted(os.listdir(pod.directory)) == ["1.admin", "1.sock"]
    successor = await working(pod, 12, 1)  # it is a living one
    await successor.saw("commit")
    assert await pod.sidecars[0].run("sidecar.probe") in [(0, "draining\n"), (0, "drained\n")]


@pytest.mark.case(12)
async def test_what_earlier_processes_left_is_swept_whatever_it_is(pod: Pod) -> None:
    directory.ensure(str(pod.directory))
    directory.listen(str(pod.directory), "7").close()  # of one that was killed
    directory.listen(str(pod.directory), "12").close()  # of an earlier start of this very generation
    (pod.directory / "8.sock").touch()  # no socket at all
    await working(pod, 12, 7)
    await eventually(lambda: sorted(os.listdir(pod.directory)) == ["12.admin", "12.sock"], "the others swept")
    await answers(pod, "12")


def stranger(script: str, *arguments: object) -> str:
    """What a script prints that another user runs. It imports what it needs before it becomes that user."""
    return subprocess.run(
        [sys.executable, "-c", script, str(STRANGER), *map(str, arguments)],
        env={"PYTHONPATH": str(PACKAGE)},
        capture_output=True,
        text=True,
        timeout=WITHIN_S,
        check=True,
    ).stdout


ASKS = """
import os, socket, sys
from sidecar.handover import frames
request = frames.encode(frames.REQUEST, {"protocols": [1], "generation": "12", "release": "x"})
os.setgroups([])
os.setresuid(*[int(sys.argv[1])] * 3)
sock = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
try:
    sock.connect(sys.argv[2])
    sock.send(request)
    print(socket.recv_fds(sock, 65536, 253)[:2])
except OSError as error:
    print(type(error).__name__)
"""


@pytest.mark.case(13)
@as_root
async def test_another_user_gets_no_socket_even_if_the_path_is_open_to_all(pod: Pod) -> None:
    predecessor = await working(pod)
    path = pod.directory / "1.sock"
    assert await asyncio.to_thread(stranger, ASKS, path) == "PermissionError\n"
    for each, mode in ((pod.directory.parent, 0o755), (pod.directory, 0o755), (path, 0o666)):
        each.chmod(mode)  # somebody opened the directory after it was checked
    turned_away = ("(b'', [])\n", "BrokenPipeError\n", "ConnectionResetError\n")
    assert await asyncio.to_thread(stranger, ASKS, path) in turned_away
    assert predecessor.events("handover_requested") == []
    await answers(pod, "1")


LURES = """
import os, socket, sys
os.setgroups([])
os.setresuid(*[int(sys.argv[1])] * 3)
sock = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
sock.bind(sys.argv[2])
sock.listen()
sock.settimeout(float(sys.argv[3]))
print("listening", flush=True)
try:
    print(sock.accept()[0].recv(65536))
except TimeoutError:
    print("nobody")
"""


@pytest.mark.case(13)
@as_root
async def test_a_successor_asks_nobody_who_runs_as_another_user(pod: Pod) -> None:
    pod.directory.parent.chmod(0o755)
    pod.directory.mkdir(mode=0o777)
    pod.directory.chmod(0o777)
    lure = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", LURES, str(STRANGER), str(pod.directory / "1.sock"), "30"),
        stdout=asyncio.subprocess.PIPE,
    )
    assert lure.stdout is not None
    assert await lure.stdout.readline() == b"listening\n"
    pod.directory.chmod(0o700)
    await working(pod, 12, 1)
    await answers(pod, "12")
    assert await lure.stdout.read() == b"b''\n"  # who connected hung up without a word
    await lure.wait()


AS_STRANGER = """
import os, sys
from importlib import import_module
import encodings.ascii
main = import_module(sys.argv[2]).main
os.setgroups([])
os.setresuid(*[int(sys.argv[1])] * 3)
sys.exit(main())
"""


async def start_as_stranger(pod: Pod, module: str, environment: dict[str, str]) -> asyncio.subprocess.Process:
    pod.directory.parent.chmod(0o755)
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", AS_STRANGER, str(STRANGER), module),
        env=environment,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )


@pytest.mark.case(14)
@pytest.mark.trap(12)
@as_root
async def test_a_successor_of_another_user_is_refused_in_one_line_before_the_commit(pod: Pod) -> None:
    predecessor = await working(pod)
    client = await pod.client()
    await client.get()
    process = await start_as_stranger(pod, "sidecar.process", pod.environment(12, 1))
    output, _ = await asyncio.wait_for(process.communicate(), WITHIN_S)
    assert (process.returncode, output.count(b"\n")) == (1, 1)
    assert b"belongs to uid 0, this is uid 12345; run both as one user" in output
    assert predecessor.events("handover_requested") == []
    assert not (await client.get()).closes
    client.close()


@pytest.mark.case(14, 17)
@pytest.mark.trap(11, 12)
@as_root
async def test_an_image_that_changes_its_user_fails_in_its_hook_and_the_predecessor_serves_on(
    pod: Pod,
) -> None:
    """As with the default directory: each user has one of its own, and finds nobody there."""
    predecessor = await working(pod)
    client = await pod.client()
    await client.get()
    own = pod.directory.parent / f"sidecar-{STRANGER}"
    own.mkdir(mode=0o700)
    os.chown(own, STRANGER, STRANGER)
    environment = pod.environment(12, 1, SIDECAR_HANDOVER_DIR=str(own), SIDECAR_HANDOVER_TIMEOUT_S="1")
    (pod.directory.parent / "release-12").chmod(0o644)
    hook = await start_as_stranger(pod, "sidecar.hook", environment)
    process = await start_as_stranger(pod, "sidecar.process", environment)
    output, _ = await asyncio.wait_for(hook.communicate(), WITHIN_S)
    assert (hook.returncode, output.count(b"\n")) == (1, 1)
    assert b"is in use and nobody hands it over; is it held by another user or program?" in output
    assert (await asyncio.wait_for(process.communicate(), WITHIN_S))[0].count(b'"listening"') == 0
    assert process.returncode == 1
    assert predecessor.events("handover_requested") == []
    assert not (await client.get()).closes
    client.close()


@pytest.mark.case(14)
async def test_a_directory_that_cannot_be_made_is_one_line_and_the_predecessor_serves_on(pod: Pod) -> None:
    await working(pod)
    environment = pod.environment(12, 1, SIDECAR_HANDOVER_DIR="/proc/sidecar")  # nobody can write there
    failing = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "sidecar"),
        env=environment,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    output, _ = await asyncio.wait_for(failing.communicate(), WITHIN_S)
    assert (failing.returncode, output.count(b"\n")) == (1, 1)
    assert b"/proc/sidecar cannot be made" in output
    assert b"SIDECAR_HANDOVER_DIR" in output
    await answers(pod, "1")
