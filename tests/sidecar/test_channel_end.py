"""What the peer has said counts, however it ended; what waits keeps its order."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable

import pytest

from sidecar.handover import frames
from sidecar.handover.channel import Channel
from tests.sidecar.rig import eventually

pytestmark = pytest.mark.integration


@pytest.mark.case(16)
@pytest.mark.parametrize(
    "say",
    [
        lambda channel: channel.post(frames.encode(frames.MOVE, {})),
        lambda channel: channel.send(frames.COMMIT),
    ],
    ids=["post", "send"],
)
async def test_what_a_peer_said_before_it_ended_is_heard_even_if_nothing_can_be_said_to_it(
    say: Callable[[Channel], object],
) -> None:
    ours, peer = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    channel = Channel(ours)
    heard: list[object] = []
    channel.start(
        lambda frame, descriptors: heard.append(frame.kind), heard.append, lambda: heard.append("lost")
    )
    peer.send(frames.encode(frames.MOVED, {"through": 1, "refused": []}))
    channel.post(frames.encode(frames.MOVE, {}))  # which it does not read
    peer.close()
    say(channel)
    await eventually(lambda: "lost" in heard, "the end")
    assert heard == [frames.MOVED, "lost"]


async def test_a_full_queue_keeps_the_order_and_loses_nothing() -> None:
    ours, peer = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    peer.setblocking(False)
    channel = Channel(ours)
    channel.start(lambda frame, descriptors: None, lambda error: None, lambda: None)
    for number in range(1000):
        for record in frames.carry(number, bytes(1000)):
            channel.post(record)
    numbers: list[int] = []
    while len(numbers) < 1000:
        frame = frames.decode(await asyncio.get_running_loop().sock_recv(peer, frames.MAX_FRAME))
        numbers.append(frame.body["number"])
    assert numbers == list(range(1000))
    channel.close()
    peer.close()


async def test_after_taking_back_the_peer_cannot_say_anything_any_more() -> None:
    ours, peer = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    channel = Channel(ours)
    channel.start(lambda frame, descriptors: None, lambda error: None, lambda: None)
    peer.send(frames.encode(frames.MOVED, {"through": 1, "refused": []}))
    assert [frame.kind for frame in channel.rest()] == [frames.MOVED]
    with pytest.raises(BrokenPipeError):
        peer.send(frames.encode(frames.MOVED, {"through": 2, "refused": []}))
    channel.close()
    peer.close()
