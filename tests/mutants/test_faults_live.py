"""Each mutant beside the reference, in real processes: its fault is there, where it is said to be, and nowhere else."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import os

import pytest

from tests.mutants.conftest import MutantPod, names
from tests.sidecar.h2.peer import peer
from tests.sidecar.rig import WITHIN_S, Answer, Client, Sidecar, eventually, free_port
from tests.sidecar.test_handover_live import working

pytestmark = pytest.mark.integration

GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
HOLD = b"GET /hold HTTP/1.1\r\nHost: a\r\n\r\n"
BROKEN = (ConnectionError, asyncio.IncompleteReadError)


async def mutant(pod: MutantPod, name: str, version: int = 1, alt: int = 0, **more: str) -> Sidecar:
    """One that serves."""
    sidecar = await pod.mutant(name, version, alt, **more)
    await sidecar.saw("accepting")
    return sidecar


async def answered_by(client: Client) -> str | None:
    """Which instance answers one more request; None if the connection has ended."""
    try:
        return (await client.get()).headers["x-sidecar-instance"]
    except BROKEN:
        return None


async def refused(pod: MutantPod) -> bool:
    try:
        client = await pod.client()
    except ConnectionError:  # also a reset, from a listener that is just closing
        return True
    client.close()
    return False


async def eventually_refused(pod: MutantPod) -> None:
    async with asyncio.timeout(WITHIN_S):
        while not await refused(pod):
            await asyncio.sleep(0.005)


async def held(pod: MutantPod) -> Client:
    """A client in mid-exchange, until the application is released."""
    before = pod.app.executed.total()
    client = await pod.client()
    client.send(HOLD)
    await eventually(lambda: pod.app.executed.total() > before, "the request at the application")
    return client


async def idle(pod: MutantPod, count: int = 1) -> list[Client]:
    clients = [await pod.client() for _ in range(count)]
    for client in clients:
        await client.get()
    return clients


# -- all of them ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", names())
async def test_a_mutant_serves_and_says_its_name(name: str, pod: MutantPod) -> None:
    sidecar = await mutant(pod, name)
    (client,) = await idle(pod)
    said = "v1" if name == "wrong-version" else name
    assert (await client.get()).headers["x-sidecar-version"] == said
    assert (await sidecar.saw("accepting"))["release"] == name


async def test_their_base_is_sound_on_both_sides_of_a_handover(pod: MutantPod) -> None:
    predecessor, (client,) = await working(pod), await idle(pod)
    between = await mutant(pod, "base", 12, 1)
    await predecessor.saw("drained")
    assert await answered_by(client) == "12"
    await working(pod, 13, 12)
    drained = await between.saw("drained")
    assert await answered_by(client) == "13"
    assert (drained["moved"], drained["told"], drained["forced"]) == (1, 0, 0)


# -- listeners -----------------------------------------------------------------------------------------------


async def test_reuseport_leaves_connections_in_a_queue_that_is_reset(pod: MutantPod) -> None:
    predecessor, (client,) = await working(pod), await idle(pod)
    successor = await mutant(pod, "reuseport", 12, 1)
    await predecessor.saw("drained")
    assert await answered_by(client) == "12"  # connections move
    clients = [await pod.client() for _ in range(40)]
    for one in clients:
        one.send(GET)
    assert await predecessor.end() == 0
    ends = await asyncio.gather(*(one.answer() for one in clients), return_exceptions=True)
    assert {type(end) for end in ends} == {Answer, ConnectionResetError}
    await working(pod, 13, 12)
    await successor.saw("drained")
    assert await answered_by(client) == "13"  # a sound predecessor


async def test_close_before_commit_refuses_connections_for_a_while(pod: MutantPod) -> None:
    await mutant(pod, "close-before-commit")
    (client,) = await idle(pod)
    successor = await pod.start(12, 1)
    await eventually_refused(pod)
    await successor.saw("commit")
    assert await answered_by(client) == "12"
    assert not await refused(pod)


async def test_shutdown_listener_takes_the_listener_away_from_the_successor(pod: MutantPod) -> None:
    predecessor = await mutant(pod, "shutdown-listener")
    (client,) = await idle(pod)
    await working(pod, 12, 1)
    await predecessor.saw("commit")
    assert await refused(pod)
    assert await answered_by(client) == "12"


# -- connections ---------------------------------------------------------------------------------------------


async def test_no_drain_drops_idle_and_busy_connections(pod: MutantPod) -> None:
    predecessor = await mutant(pod, "no-drain")
    clients = [*await idle(pod), await held(pod)]
    await working(pod, 12, 1)
    assert (await predecessor.saw("drained"))["moved"] == 0
    pod.app.released.set()
    for client in clients:
        with pytest.raises(BROKEN):
            await client.answer()
    (client,) = await idle(pod)
    assert await answered_by(client) == "12"


async def test_rst_on_idle_resets_the_idle_ones_and_moves_the_others(pod: MutantPod) -> None:
    predecessor = await mutant(pod, "rst-on-idle")
    (quiet,), busy = await idle(pod), await held(pod)
    await working(pod, 12, 1)
    await predecessor.saw("draining")
    with pytest.raises(ConnectionResetError):
        await quiet.answer()
    pod.app.released.set()
    assert (await busy.answer()).headers["x-sidecar-instance"] == "1"
    assert (await predecessor.saw("drained"))["moved"] == 1
    assert await answered_by(busy) == "12"


async def test_read_ahead_lost_moves_half_a_head_without_that_half(pod: MutantPod) -> None:
    predecessor, (whole,) = await mutant(pod, "read-ahead-lost"), await idle(pod)
    half = await pod.client()
    half.send(GET + GET[:9])
    await half.answer()
    await working(pod, 12, 1)
    assert (await predecessor.saw("drained"))["moved"] == 2
    half.send(GET[9:])
    assert (await half.answer()).status == 400
    assert await answered_by(whole) == "12"


async def test_read_ahead_lost_moves_a_long_exchange_without_the_request_behind_it(pod: MutantPod) -> None:
    predecessor = await mutant(pod, "read-ahead-lost")
    client = await pod.client()
    client.send(HOLD + GET)
    await eventually(pod.app.executed.total, "the request at the application")
    await working(pod, 12, 1)
    assert (await predecessor.saw("drained"))["moved"] == 1
    pod.app.released.set()
    assert (await client.answer()).body == b"held"
    await client.post(b"next", "next")
    assert pod.app.executed == {"?": 1, "next": 1}


async def test_no_goaway_closes_http2_connections_without_a_word(pod: MutantPod) -> None:
    predecessor, (http1,) = await mutant(pod, "no-goaway"), await idle(pod)
    async with peer(pod.port) as one:
        assert (await one.get()).status == 200
        await working(pod, 12, 1)
        await eventually(lambda: one.closed, "the end of the connection")
        assert one.goaways == []
    assert (await predecessor.saw("drained"))["moved"] == 1
    assert await answered_by(http1) == "12"


async def test_websocket_cut_ends_tunnels_and_moves_the_others(pod: MutantPod) -> None:
    port = free_port()
    tcp = f"127.0.0.1:{port}=127.0.0.1:{pod.app.port}"
    predecessor, (http,) = await mutant(pod, "websocket-cut", SIDECAR_TCP=tcp), await idle(pod)
    tunnel = await Client.connect(port)
    pod.clients.append(tunnel)
    assert (await tunnel.get()).status == 200
    await working(pod, 12, 1, SIDECAR_TCP=tcp)
    assert (await predecessor.saw("drained"))["forced"] == 0  # it was gone before the drain
    with pytest.raises(BROKEN):
        await tunnel.answer()
    assert await answered_by(http) == "12"


async def test_third_upgrade_is_sound_twice_and_drops_its_connections_the_third_time(pod: MutantPod) -> None:
    sidecar = await mutant(pod, "third-upgrade")
    (client,) = await idle(pod)
    seen = []
    for version in (2, 3, 4, 5, 6, 7):  # the odd ones are mutants
        successor = (
            await mutant(pod, "third-upgrade", version, version - 1)
            if version % 2
            else await working(pod, version, version - 1)
        )
        await sidecar.saw("drained")
        await successor.saw("predecessor_drained")
        seen.append(await answered_by(client))
        if seen[-1] is None:
            (client,) = await idle(pod)
        sidecar = successor
    assert seen == ["2", "3", None, "5", "6", None]


# -- requests ------------------------------------------------------------------------------------------------


async def test_post_resent_has_every_200th_executed_twice(pod: MutantPod) -> None:
    await mutant(pod, "post-resent")
    (client,) = await idle(pod)
    for number in range(1, 401):
        body = b"%d" % number
        assert (await client.post(body, f"p{number}")).body.decode() == hashlib.sha256(body).hexdigest()
    await eventually(lambda: pod.app.executed["p400"] == 2, "the second execution")
    assert [name for name, count in pod.app.executed.items() if count == 2 and name != "?"] == [
        "p200",
        "p400",
    ]


@pytest.mark.parametrize(("name", "size"), [("body-truncated", 63), ("body-altered", 64)])
async def test_a_body_that_is_wrong_comes_in_a_sound_answer(name: str, size: int, pod: MutantPod) -> None:
    await mutant(pod, name)
    client = await pod.client()
    right = hashlib.sha256(b"body").hexdigest()
    wrong = {}
    for number in range(1, 1001):
        answer = await client.post(b"body", f"p{number}")
        if answer.body.decode() != right:
            wrong[number] = (answer.status, len(answer.body))
    assert wrong == {500: (200, size), 1000: (200, size)}


async def test_one_in_ten_thousand_closes_the_connection_of_that_one(pod: MutantPod) -> None:
    await mutant(pod, "one-in-ten-thousand")
    client = await pod.client()
    client.send(GET * 10_001)
    received = bytearray()
    with contextlib.suppress(ConnectionResetError):
        while data := await asyncio.wait_for(client.reader.read(1 << 20), WITHIN_S):
            received += data
    assert received.count(b"HTTP/1.1 200 OK") == pod.app.executed.total() == 9_999


async def test_black_hole_accepts_every_50th_connection_and_never_answers(pod: MutantPod) -> None:
    sidecar = await mutant(pod, "black-hole")
    clients = await idle(pod, 49)
    lost = await pod.client()
    lost.send(GET)
    clients += await idle(pod)
    for client in clients:
        assert await answered_by(client) == "1"
    assert await sidecar.run("sidecar.probe") == (0, "working\n")
    assert pod.app.executed.total() == 100
    assert await sidecar.end(9) == -9
    with pytest.raises(BROKEN):
        await lost.answer()


# -- processes -----------------------------------------------------------------------------------------------


async def test_stall_keeps_everything_waiting_after_it_has_begun_to_accept(pod: MutantPod) -> None:
    predecessor, (client,) = await working(pod), await idle(pod)
    successor = await pod.mutant("stall", 12, 1)
    settled, accepting = await successor.saw("predecessor_drained"), await successor.saw("accepting")
    assert settled["monotonic"] - accepting["monotonic"] > 0.3
    assert (await predecessor.saw("drained"))["monotonic"] < settled["monotonic"]
    assert await answered_by(client) == "12"


async def test_stays_old_idles_in_health_and_nobody_serves_after_the_reset(pod: MutantPod) -> None:
    predecessor, (client,) = await working(pod), await idle(pod)
    successor = await pod.mutant("stays-old", 12, 1)
    assert await (await pod.hook(successor)).wait() == 0
    assert await successor.run("sidecar.probe") == (0, "idle\n")
    assert predecessor.events("handover_requested") == []
    assert await answered_by(client) == "1"
    client.close()
    assert await predecessor.end() == 0
    assert await refused(pod)


async def test_fd_leak_keeps_50_descriptors_of_a_handover(pod: MutantPod) -> None:
    await working(pod)
    successor = await pod.mutant("fd-leak", 12, 1)
    await successor.saw("predecessor_drained")
    where = f"/proc/{successor.process.pid}/fd"
    links = [os.readlink(f"{where}/{name}") for name in os.listdir(where)]
    assert max(map(links.count, links)) == 51


async def test_empty_crash_dies_when_its_predecessor_ends(pod: MutantPod) -> None:
    predecessor = await working(pod)
    successor = await pod.mutant("empty-crash", 12, 1)
    assert await (await pod.hook(successor)).wait() == 0
    assert await predecessor.end() == 0
    assert await asyncio.wait_for(successor.process.wait(), WITHIN_S) == 1
    assert await refused(pod)


async def test_crash_before_ack_changes_nothing(pod: MutantPod) -> None:
    predecessor, (client,) = await working(pod), await idle(pod)
    for attempt in (1, 2):
        successor = await pod.mutant("crash-before-ack", 12, 1)
        assert await asyncio.wait_for(successor.process.wait(), WITHIN_S) == 1
        await predecessor.saw("handover_aborted", attempt)
    assert predecessor.events("moving") == []
    assert await answered_by(client) == "1"


@pytest.mark.parametrize(("name", "commits"), [("crash-after-ack", 0), ("crash-after-commit", 1)])
async def test_a_crash_around_the_commit_takes_what_has_moved_and_the_predecessor_resumes(
    name: str, commits: int, pod: MutantPod
) -> None:
    predecessor, (client,), busy = await working(pod), await idle(pod), await held(pod)
    successor = await pod.mutant(name, 12, 1)
    assert await asyncio.wait_for(successor.process.wait(), WITHIN_S) == 1
    await predecessor.saw("resumed")
    assert len(predecessor.events("commit")) == 1
    assert len(successor.events("accepting")) == 1
    assert len(successor.events("commit")) == commits
    assert await answered_by(client) is None
    pod.app.released.set()
    assert (await busy.answer()).body == b"held"
    (client,) = await idle(pod)
    assert await answered_by(client) == "1"


async def test_die_in_transfer_leaves_what_it_has_sent_and_takes_the_rest_with_it(pod: MutantPod) -> None:
    predecessor, clients = await mutant(pod, "die-in-transfer"), await idle(pod, 40)
    await working(pod, 12, 1)
    assert await asyncio.wait_for(predecessor.process.wait(), WITHIN_S) == 137
    answers = [await answered_by(client) for client in clients]
    assert (answers.count("12"), answers.count(None)) == (16, 24)
    (client,) = await idle(pod)
    assert await answered_by(client) == "12"


# -- hooks ---------------------------------------------------------------------------------------------------


async def test_early_hook_returns_before_anybody_is_asked(pod: MutantPod) -> None:
    predecessor = await working(pod)
    successor = await pod.mutant("early-hook", 12, 1)
    assert await (await pod.hook(successor)).wait() == 0
    assert predecessor.events("handover_requested") == []
    await predecessor.end()
    assert await refused(pod)
    await successor.saw("listening")


async def test_hanging_hook_waits_on_when_all_is_settled(pod: MutantPod) -> None:
    await working(pod)
    successor = await pod.mutant("hanging-hook", 12, 1)
    hook = await pod.hook(successor)
    await successor.saw("predecessor_drained")
    assert await successor.run("sidecar.hook") == (0, "")  # the reference's
    assert hook.returncode is None
    hook.kill()
    await hook.communicate()


async def test_hook_fails_with_one_line_although_its_process_serves(pod: MutantPod) -> None:
    await working(pod)
    hook = await pod.hook(await mutant(pod, "hook-fails", 12, 1))
    _, said = await hook.communicate()
    assert (hook.returncode, said.count(b"\n")) == (1, 1)
