"""What clients have under way when a hand-over comes: idle, racing, long, pipelined (cases 23 to 27, 31, 32)."""

from __future__ import annotations

import asyncio
import hashlib
import os
import random
import signal

import pytest

from tests.sidecar.rig import Answer, Pod, eventually
from tests.sidecar.test_handover_live import working

pytestmark = pytest.mark.integration


def digest(body: bytes) -> str:
    return hashlib.sha256(body).hexdigest()


@pytest.mark.case(23, 24)
@pytest.mark.parametrize("frozen", [False, True])
async def test_a_post_that_crosses_with_the_close_of_its_connection_is_answered_or_was_never_executed(
    pod: Pod, frozen: bool
) -> None:
    """Connections that cannot move are closed after a second of silence: requests come around that moment."""
    predecessor = await working(pod)
    clients = [await pod.client() for _ in range(60)]
    successor = await pod.scripted("1")
    await successor.commit()
    await asyncio.sleep(0.8)
    if frozen:  # the second is over when it goes on, and the requests are there
        predecessor.process.send_signal(signal.SIGSTOP)
        await asyncio.sleep(0.4)

    async def late(number: int) -> Answer:
        await asyncio.sleep(number * 0.008)
        return await clients[number].post(b"body", f"late-{number}")

    requests = [asyncio.create_task(late(number)) for number in range(60)]
    await asyncio.sleep(0.5)
    predecessor.process.send_signal(signal.SIGCONT)
    for number, answer in enumerate(await asyncio.gather(*requests, return_exceptions=True)):
        answered = isinstance(answer, Answer)
        assert answered or isinstance(answer, OSError | EOFError)
        assert pod.app.executed[f"late-{number}"] == answered, f"request {number}: {answer!r}"
        clients[number].close()
    drained = await predecessor.saw("drained")
    assert drained["told"] + drained["forced_silent"] == 60
    successor.close()


@pytest.mark.case(25)
async def test_connections_without_a_first_byte_and_new_ones_are_served_after_several_hand_overs(
    pod: Pod,
) -> None:
    await working(pod)
    silent = [await pod.client() for _ in range(10)]
    for version, alt in ((2, 1), (3, 2), (4, 3)):
        await working(pod, version, alt)
        await pod.sidecars[-2].saw("drained")
        silent.append(await pod.client())
    for client in silent:
        answer = await client.get()
        assert (answer.status, answer.headers["x-sidecar-instance"], answer.closes) == (200, "4", False)
        client.close()


@pytest.mark.case(26)
@pytest.mark.parametrize("moves", [False, True])
async def test_an_answer_given_before_the_body_was_read_arrives_whole_and_without_a_reset(
    pod: Pod, moves: bool
) -> None:
    predecessor = await working(pod, SIDECAR_BODY_LIMIT="1000")
    client = await pod.client()
    if moves:
        await working(pod, 12, 1, SIDECAR_BODY_LIMIT="1000")
        await predecessor.saw("drained")
    else:
        successor = await pod.scripted("1")
        await successor.commit()
        successor.close()
    client.send(b"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 5000000\r\n\r\n" + bytes(5_000_000))
    answer = await client.answer()
    assert (answer.status, answer.closes) == (413, True)
    assert answer.body
    assert await client.rest() == b""  # an end, no reset
    client.close()


@pytest.mark.case(24)
async def test_requests_that_cross_with_a_told_close_are_not_executed_and_leave_the_answer_whole(
    pod: Pod,
) -> None:
    await working(pod)
    client = await pod.client()
    client.send(b"GET /hold HTTP/1.1\r\nHost: a\r\n\r\n")
    await eventually(pod.app.executed.total, "the request at the application")
    successor = await pod.scripted("1")
    await successor.commit()
    pod.app.released.set()
    assert (await client.head())[0] == 200
    client.send(b"GET /late HTTP/1.1\r\nHost: a\r\n\r\n" * 2000)  # it has been told, but may not have read it
    assert await client.rest() == b"held"
    assert not any(b"/late" in head for head in pod.app.heads)
    client.close()
    successor.close()


CHUNKS = [os.urandom(size) for size in (1, 70_000, 17, 300_000)]
CODED = b"".join(b"%x\r\n%b\r\n" % (len(chunk), chunk) for chunk in CHUNKS) + b"0\r\nX-Sum: 1\r\n\r\n"
BODY = os.urandom(200_000)
UPLOADS = {  # a head, a body, what the application makes of it
    "with a length": (b"Content-Length: 200000\r\n", BODY, BODY),
    "in chunks": (b"Transfer-Encoding: chunked\r\n", CODED, b"".join(CHUNKS)),
    "after 100": (b"Expect: 100-continue\r\nContent-Length: 200000\r\n", BODY, BODY),
}


@pytest.mark.case(27)
@pytest.mark.parametrize("moves", [False, True])
async def test_uploads_and_streams_that_span_the_hand_over_are_complete_to_the_byte(
    pod: Pod, moves: bool
) -> None:
    predecessor = await working(pod)
    uploads, cuts = {}, {}
    for name, (head, body, _) in UPLOADS.items():
        client = uploads[name] = await pod.client()
        client.send(
            b"POST /echo HTTP/1.1\r\nHost: a\r\nx-request-id: %b\r\n" % name.encode() + head + b"\r\n"
        )
        if "100" in name:
            assert (await client.head())[0] == 100
        cuts[name] = random.randrange(len(body))
        client.send(body[: cuts[name]])
    events = await pod.client()
    events.send(b"GET /events HTTP/1.1\r\nHost: a\r\n\r\n")
    assert (await events.head())[1]["content-type"] == "text/event-stream"
    await eventually(lambda: len(pod.app.heads) == 4, "all of them at the application")
    if moves:
        successor = await working(pod, 12, 1)
        await predecessor.saw("draining")
    else:
        scripted = await pod.scripted("1")
        await scripted.commit()
    for name, client in uploads.items():
        rest = UPLOADS[name][1][cuts[name] :]
        for at in range(0, len(rest), 40_000):
            client.send(rest[at : at + 40_000])
            await asyncio.sleep(0.02)  # slowly
        answer = await client.answer()
        # An upload that is whole moves if its answer is still to come half a second after the commit.
        assert answer.headers["x-sidecar-instance"] in (("1", "12") if moves else ("1",))
        assert (answer.status, answer.body.decode()) == (200, digest(UPLOADS[name][2])), name
        assert answer.closes is not moves
    pod.app.released.set()
    seen, size = b"", 1
    while size:
        size = int(await events.reader.readuntil(b"\r\n"), 16)
        seen += (await events.reader.readexactly(size + 2))[:-2]
    assert seen == b"".join(b"data: %d\n\n" % number for number in range(seen.count(b"\n\n")))
    for client in (*uploads.values(), events):
        client.close()
    drained = await predecessor.saw("drained")
    assert drained["forced"] == 0
    assert [pod.app.executed[name] for name in UPLOADS] == [1, 1, 1]
    if moves:
        assert await successor.run("sidecar.hook") == (0, "")
    else:
        scripted.close()


@pytest.mark.case(31)
async def test_an_empty_predecessor_is_done_at_once_whatever_its_deadline(pod: Pod) -> None:
    forever = {"SIDECAR_DRAIN_DEADLINE_S": "86400", "SIDECAR_DRAIN_IDLE_S": "86400"}
    predecessor = await working(pod, 1, 0, (), **forever)
    client = await pod.client()
    client.send(b"GET /hold HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
    await eventually(pod.app.executed.total, "the request at the application")
    successor = await working(pod, 12, 1, (), **forever)
    await predecessor.saw("draining")
    assert predecessor.events("drained") == []
    pod.app.released.set()
    assert (await client.answer()).body == b"held"
    client.close()
    drained = await predecessor.saw("drained")
    assert (drained["finished"], drained["forced"]) == (1, 0)
    assert await successor.run("sidecar.hook") == (0, "")


@pytest.mark.case(32)
async def test_pipelined_posts_cut_anywhere_are_answered_in_order_and_once_over_five_hand_overs(
    pod: Pod,
) -> None:
    await working(pod)
    chance = random.Random(32)
    bodies = [chance.randbytes(chance.randrange(2000)) for _ in range(400)]
    requests = [
        b"POST /echo HTTP/1.1\r\nHost: a\r\nx-request-id: p%d\r\nContent-Length: %d\r\n\r\n"
        % (number, len(body))
        for number, body in enumerate(bodies)
    ]
    client = await pod.client()

    async def send(numbers: range, ahead: int) -> int:
        """These requests, but for what has been sent; and the first bytes of the next one's head."""
        wire = b"".join(requests[number] + bodies[number] for number in numbers)[ahead:]
        more = chance.randrange(len(requests[0])) if numbers.stop < len(requests) else 0
        wire += requests[numbers.stop][:more] if more else b""
        while wire:
            size = chance.choice((1, 10, 200, 3000))
            client.send(wire[:size])
            wire = wire[size:]
            await asyncio.sleep(0.002)
        return more

    async def read() -> list[str]:
        instances = []
        for body in bodies:
            answer = await client.answer()
            assert (answer.status, answer.body.decode(), answer.closes) == (200, digest(body), False)
            instances.append(answer.headers["x-sidecar-instance"])
        return instances

    reading = asyncio.create_task(read())
    ahead = 0
    for turn in range(5):
        sending = asyncio.create_task(send(range(turn * 80, turn * 80 + 80), ahead))
        await working(pod, turn + 2, turn + 1)
        ahead = await sending
        await pod.sidecars[-2].saw("drained")
    instances = await reading
    assert instances == sorted(instances)  # it goes from each to the next, and never back
    assert len(set(instances)) > 4
    assert {f"p{number}": 1 for number in range(400)} == dict(pod.app.executed)
    client.close()


@pytest.mark.case(32)
async def test_what_was_read_ahead_travels_even_if_it_is_larger_than_any_frame(pod: Pod) -> None:
    large = {"SIDECAR_HEADER_LIMIT": "1000000"}
    predecessor = await working(pod, 1, 0, (), **large)
    client = await pod.client()
    head = b"GET / HTTP/1.1\r\nHost: a\r\n" + b"".join(b"X-%d: %b\r\n" % (n, b"v" * 900) for n in range(300))
    client.send(head)
    await asyncio.sleep(0.2)  # most of it is read
    await working(pod, 12, 1, (), **large)
    assert (await predecessor.saw("connections_moved"))["bytes"] > 65536
    client.send(b"\r\n")
    answer = await client.answer()
    assert (answer.status, answer.headers["x-sidecar-instance"]) == (200, "12")
    assert pod.app.heads[0].startswith(head[: len(head) // 2])
    for number in (0, 299):
        assert b"X-%d: %b\r\n" % (number, b"v" * 900) in pod.app.heads[0]
    client.close()
