"""With a peer of protocol 1 only the listeners move: each client is told to close, then the drain is over."""

from __future__ import annotations

import asyncio

import pytest

from sidecar.handover import frames
from tests.sidecar.rig import Pod, eventually
from tests.sidecar.test_handover_live import working

pytestmark = pytest.mark.integration


@pytest.mark.case(23, 25)
async def test_a_connection_that_was_silent_over_the_handover_is_served_then_told(pod: Pod) -> None:
    predecessor = await working(pod)
    used, unused = await pod.client(), await pod.client()
    await used.get()
    successor = await pod.scripted("1")
    await successor.commit()
    await asyncio.sleep(0.4)  # less than the second that the rig allows for silence
    for client in (used, unused):
        answer = await client.post(b"body", f"late-{id(client)}")
        assert (answer.status, answer.headers["x-sidecar-instance"], answer.closes) == (200, "1", True)
        assert await client.rest() == b""
        client.close()
    drained = await predecessor.saw("drained")
    assert (drained["told"], drained["forced"]) == (2, 0)
    counts = await successor.expect(frames.DRAINED)
    assert (counts.body["told"], counts.body["moved"]) == (2, 0)
    successor.close()


@pytest.mark.case(31)
async def test_connections_that_stay_silent_are_closed_and_counted_apart(pod: Pod) -> None:
    predecessor = await working(pod)
    client = await pod.client()
    await client.get()
    successor = await pod.scripted("1")
    await successor.commit()
    assert await client.rest() == b""
    client.close()
    drained = await predecessor.saw("drained")
    assert (drained["forced"], drained["forced_silent"], drained["told"]) == (1, 1, 0)
    successor.close()


async def test_pipelined_requests_are_all_answered_before_the_close_is_told(pod: Pod) -> None:
    await working(pod)
    client = await pod.client()
    client.send(b"GET /hold HTTP/1.1\r\nHost: a\r\n\r\n" + b"GET /1 HTTP/1.1\r\nHost: a\r\n\r\n" * 3)
    await eventually(pod.app.executed.total, "the request at the application")
    successor = await pod.scripted("1")
    await successor.commit()
    pod.app.released.set()
    answers = [await client.answer() for _ in range(4)]
    assert [answer.closes for answer in answers] == [False, False, False, True]
    client.close()
    successor.close()
