"""What a real cluster adds: hooks, restarts, roles, users, signals (traps 3 to 8, 10, 13)."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from pathlib import Path

import pytest

from tests.sidecar.rig import WITHIN_S, Pod, Sidecar, eventually
from tests.sidecar.test_handover_live import working

pytestmark = pytest.mark.integration
FOREVER_S = "86400"


@pytest.mark.trap(3)
async def test_the_hook_has_a_bound_of_its_own_if_the_predecessor_hangs_in_its_drain(pod: Pod) -> None:
    predecessor = await working(pod, 1, 0, SIDECAR_DRAIN_DEADLINE_S=FOREVER_S)
    client = await pod.client()
    client.send(b"GET /hold HTTP/1.1\r\nHost: a\r\n\r\n")
    await eventually(pod.app.executed.total, "the request at the application")
    successor = await working(pod, 12, 1, SIDECAR_DRAIN_DEADLINE_S="0.3")
    await successor.saw("commit")
    predecessor.process.send_signal(signal.SIGSTOP)
    assert await asyncio.wait_for(successor.run("sidecar.hook"), WITHIN_S) == (0, "")
    assert successor.events("predecessor_drained") == successor.events("predecessor_gone") == []
    client.close()


@pytest.mark.trap(4)
async def test_the_hook_waits_for_its_own_generation_whoever_else_serves(pod: Pod) -> None:
    await working(pod, 120, 0)  # a name that begins alike, and settled
    environment = pod.environment(12, 1, SIDECAR_HANDOVER_TIMEOUT_S="1")
    hook = await asyncio.create_subprocess_exec(sys.executable, "-S", "-m", "sidecar.hook", env=environment)
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(hook.wait(), 0.5)
    await pod.start(12, 1)
    assert await asyncio.wait_for(hook.wait(), WITHIN_S) == 0


@pytest.mark.trap(5)
async def test_after_the_commit_neither_hook_nor_process_needs_a_place_for_its_lines(pod: Pod) -> None:
    predecessor = await working(pod)
    environment = pod.environment(12, 1)
    reader, writer = os.pipe()
    os.close(reader)  # nobody reads what the successor writes
    successor = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "sidecar", env=environment, stdout=writer
    )
    os.close(writer)
    closed = ("sh", "-c", 'exec "$@" >&- 2>&-', "sh", sys.executable, "-S", "-m", "sidecar.hook")
    hook = await asyncio.create_subprocess_exec(*closed, env=environment)
    assert await asyncio.wait_for(hook.wait(), WITHIN_S) == 0
    await predecessor.saw("drained")
    client = await pod.client()
    assert (await client.get()).headers["x-sidecar-instance"] == "12"
    client.close()
    successor.terminate()
    await successor.wait()


@pytest.mark.trap(6)
async def test_a_successor_that_restarts_with_alt_still_set_after_the_predecessor_was_emptied_binds(
    pod: Pod,
) -> None:
    predecessor, successor = await working(pod), await working(pod, 12, 1)
    await predecessor.saw("drained")
    assert await predecessor.end() == 0  # the reset
    await pod.start(0, 12)  # what is there instead, and says that it does not serve
    await successor.end(signal.SIGKILL)
    for _ in range(2):
        again = await working(pod, 12, 1)
        assert await again.run("sidecar.hook") == (0, "")
        assert await again.run("sidecar.probe") == (0, "working\n")
        assert again.events("listening")
        client = await pod.client()
        assert (await client.get()).headers["x-sidecar-instance"] == "12"
        client.close()
        await again.end(signal.SIGKILL)


@pytest.mark.trap(7)
async def test_versions_of_64_bits_are_names_and_an_order_to_the_last_digit(pod: Pod) -> None:
    largest = 2**64 - 1
    client = None
    for version, alt in ((largest - 2, 0), (largest - 1, largest - 2), (largest, largest - 1)):
        sidecar = await working(pod, version, alt)
        assert await sidecar.run("sidecar.hook") == (0, "")
        client = client or await pod.client()
        assert (await client.get()).headers["x-sidecar-instance"] == str(version)
    assert len(sidecar.events("listener_received")) == 1
    assert client is not None
    client.close()


@pytest.mark.trap(10)
async def test_the_predecessor_idles_after_the_hand_over_and_its_probe_succeeds(pod: Pod) -> None:
    predecessor, successor = await working(pod), await working(pod, 12, 1)
    assert await successor.run("sidecar.hook") == (0, "")
    await predecessor.saw("drained")
    for sidecar, phase in ((predecessor, "drained\n"), (successor, "working\n")):
        assert await sidecar.run("sidecar.probe") == (0, phase)
    assert predecessor.process.returncode is None
    assert [line["event"] for line in predecessor.log][-1] == "drained"


def handles(number: signal.Signals, sidecar: Sidecar) -> bool:
    """Process 1 of a namespace ignores a signal for which it has no handler."""
    status = Path(f"/proc/{sidecar.process.pid}/status").read_text()
    return bool(int(status.split("SigCgt:")[1].split()[0], 16) >> (number - 1) & 1)


@pytest.mark.trap(13)
async def test_term_ends_a_drained_predecessor_at_once_also_as_process_1(pod: Pod) -> None:
    predecessor = await working(pod, 1, 0, SIDECAR_STOP_S=FOREVER_S)
    client = await pod.client()
    await client.get()
    await working(pod, 12, 1)
    await predecessor.saw("drained")
    assert handles(signal.SIGTERM, predecessor)
    assert await predecessor.end() == 0
    assert predecessor.events("ending") == []  # there was nothing to wait for
    assert not (await client.get()).closes
    client.close()
