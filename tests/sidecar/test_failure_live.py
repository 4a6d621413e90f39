"""Either process ends, hangs or never comes to be: nothing changes before the commit, somebody serves in the end.

Cases 15 to 22.
"""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from sidecar import config, hook
from sidecar.handover import frames
from tests.sidecar import peer
from tests.sidecar.rig import WITHIN_S, Pod, Sidecar, eventually
from tests.sidecar.test_handover_live import Load, working

pytestmark = pytest.mark.integration


async def phases(*sidecars: Sidecar) -> list[str]:
    return [output.strip() for _, output in [await sidecar.run("sidecar.probe") for sidecar in sidecars]]


@asynccontextmanager
async def unharmed(pod: Pod, instance: str = "1") -> AsyncIterator[None]:
    """Strict clients before, during and after the block are all answered by this instance, once."""
    load = Load(pod)
    await eventually(lambda: load.answered > 50, "load")
    yield
    before = load.answered
    await eventually(lambda: load.answered > before + 50, "load afterwards")
    await load.stop()
    assert load.failures == []
    assert load.instances == {instance}
    assert {name: count for name, count in pod.app.executed.items() if count != 1} == {}


@pytest.mark.case(15, 17)
@pytest.mark.parametrize("end", ["is killed", "has a hook that fails"])
async def test_a_successor_that_ends_while_its_predecessor_hangs_costs_no_request(pod: Pod, end: str) -> None:
    predecessor = await working(pod)
    async with unharmed(pod):
        predecessor.process.send_signal(signal.SIGSTOP)
        successor = await pod.start(12, 1, SIDECAR_HANDOVER_TIMEOUT_S="2")
        await successor.saw("started")
        if end == "is killed":
            await successor.end(signal.SIGKILL)
        else:
            code, output = await successor.run("sidecar.hook")
            assert (code, output) == (1, "migrate.sh: the predecessor was silent for 1 s\n")
            await successor.end(signal.SIGKILL)  # what the kubelet does then
        predecessor.process.send_signal(signal.SIGCONT)
    assert predecessor.events("commit") == []
    # And the container's next start takes over.
    await working(pod, 12, 1)
    await predecessor.saw("drained")


@pytest.mark.case(18)
async def test_a_predecessor_that_ends_before_its_offer_is_replaced_by_binding_afresh(pod: Pod) -> None:
    predecessor = await working(pod)
    predecessor.process.send_signal(signal.SIGSTOP)
    successor = await pod.start(12, 1)
    await successor.saw("started")
    await predecessor.end(signal.SIGKILL)
    await successor.saw("accepting")
    assert await successor.run("sidecar.hook") == (0, "")
    client = await pod.client()
    assert (await client.get()).headers["x-sidecar-instance"] == "12"
    client.close()
    # The outage is in the log, from its reason to its end.
    assert [line["event"] for line in successor.log][-2:] == ["listening", "accepting"]


@pytest.mark.case(18, 32)
@pytest.mark.parametrize("accepts", [False, True])
async def test_a_predecessor_that_ends_in_mid_transfer_leaves_what_has_moved_and_its_queue(
    pod: Pod, accepts: bool
) -> None:
    with peer.predecessor(pod) as first:
        first.offer["protocol"] = 2
        moved, queued = await pod.client(), await pod.client()
        connection = first.listener.accept()[0]
        queued.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        successor = await pod.start(12, 1)
        control = await first.requested()
        first.hand_out(control)
        await control.hear(frames.PREPARED)
        row = {"kind": "http1", "listener": f"127.0.0.1:{pod.port}", "state": {"peer": "127.0.0.1"}}
        control.send(frames.carry(0, b"GET / HTTP/1.1\r\nHo")[0])
        control.say(
            frames.MOVE,
            {"first": 0, "connections": [{**row, "size": 18, "descriptors": 1}]},
            [connection.fileno()],
        )
        assert (await control.hear(frames.MOVED)).body == {"through": 0, "refused": []}
        connection.close()
        if accepts:
            control.say(frames.ACCEPT)
            await control.hear(frames.ACCEPTING)
    moved.send(b"st: a\r\n\r\n")
    for client in (moved, queued):
        answer = await client.answer()
        assert (answer.headers["x-sidecar-instance"], answer.closes) == ("12", False)
        client.close()
    assert (await successor.saw("handover_aborted"))["reason"] == "the predecessor ended"
    assert await successor.run("sidecar.hook") == (0, "")


@pytest.mark.case(19)
async def test_when_both_have_ended_and_both_come_back_one_of_them_serves(pod: Pod) -> None:
    for sidecar in (await working(pod), await working(pod, 12, 1)):
        await sidecar.end(signal.SIGKILL)
    predecessor, successor = await pod.start(1, 12), await pod.start(12, 1)
    for sidecar in (predecessor, successor):
        assert await sidecar.run("sidecar.hook") == (0, "")
    await predecessor.saw("started")
    found = await phases(predecessor, successor)
    serving = found.index("working")
    assert found[1 - serving] in {"silent", "draining", "drained"}
    client = await pod.client()
    assert (await client.get()).headers["x-sidecar-instance"] == ("1", "12")[serving]
    client.close()


@pytest.mark.case(21)
async def test_a_roll_back_to_the_image_before_is_one_more_hand_over_in_the_right_direction(pod: Pod) -> None:
    await working(pod, 1, 0)
    client = await pod.client()
    seen = []
    for version, alt, release in ((12, 1, "v12"), (31, 12, "v1"), (32, 31, "v12")):
        successor = await working(
            pod, version, alt, SIDECAR_RELEASE_FILE=str(pod.directory.parent / f"release-{release[1:]}")
        )
        assert await successor.run("sidecar.hook") == (0, "")
        answer = await client.get()
        seen.append((answer.headers["x-sidecar-instance"], answer.headers["x-sidecar-version"]))
        assert not answer.closes
        await pod.sidecars[-2].end()
    assert seen == [("12", "v12"), ("31", "v1"), ("32", "v12")]
    client.close()


@pytest.mark.case(21)
async def test_the_next_upgrade_may_come_while_the_one_before_still_drains(pod: Pod) -> None:
    first = await working(pod, 1, 0)
    held = await pod.client()
    # An upload in its middle does not move.
    held.send(b"POST /echo HTTP/1.1\r\nHost: a\r\nx-request-id: held\r\nContent-Length: 8\r\n\r\nhalf")
    await eventually(lambda: pod.app.heads, "the request at the application")
    client = await pod.client()
    for version, alt in ((2, 1), (3, 2), (4, 3)):
        await working(pod, version, alt)
        await pod.sidecars[-2].saw("commit")
        answer = await client.get()
        assert (answer.headers["x-sidecar-instance"], answer.closes) == (str(version), False)
    assert first.events("drained") == []
    held.send(b"half")
    assert (await held.answer()).headers["x-sidecar-instance"] == "1"
    held.close()
    client.close()
    await first.saw("drained")
    assert pod.app.executed["held"] == 1
    assert [sidecar.events("resumed") for sidecar in pod.sidecars] == [[]] * 4


@pytest.mark.case(17, 22)
@pytest.mark.trap(3)
@pytest.mark.parametrize("image", ["exits at once", "is configured wrongly", "hangs"])
async def test_an_image_that_does_not_run_fails_in_its_hook_and_costs_nothing(
    pod: Pod, image: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(hook, "START_S", 0.5)
    await working(pod)
    environment = pod.environment(12, 1, SIDECAR_HANDOVER_TIMEOUT_S="0.1")
    command = {
        "exits at once": ("-c", "raise SystemExit(3)"),
        "is configured wrongly": (
            "-c",
            "import os; os.environ['SIDECAR_LISTEN'] = ''; import sidecar.__main__",
        ),
        "hangs": ("-c", "import signal; signal.pause()"),
    }[image]
    async with unharmed(pod):
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, *command), env=environment, stderr=asyncio.subprocess.DEVNULL
        )
        assert await asyncio.to_thread(hook.wait, config.read(environment)) == 1
        assert capsys.readouterr().err == "migrate.sh: the sidecar did not start, or ended before it served\n"
        if process.returncode is None:
            process.kill()
        await asyncio.wait_for(process.wait(), WITHIN_S)
