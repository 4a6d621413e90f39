"""One end of the control channel on an event loop."""

from __future__ import annotations

import asyncio
import socket

import pytest

from sidecar.handover import frames
from sidecar.handover.channel import Channel

pytestmark = pytest.mark.integration
RECORDS = 50


async def test_others_have_their_turn_while_many_records_come() -> None:
    loop = asyncio.get_running_loop()
    mine, peer = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    turns, all_read = 0, loop.create_future()
    seen = 0

    def turn() -> None:
        nonlocal turns
        turns += 1
        loop.call_soon(turn)

    def frame(_: frames.Frame, __: list[int]) -> None:
        nonlocal seen
        seen += 1
        if seen == RECORDS:
            all_read.set_result(turns)

    with peer:
        for _ in range(RECORDS):
            peer.send(frames.encode(frames.MOVED))
        channel = Channel(mine)
        channel.start(frame, lambda _: None, lambda: None)
        loop.call_soon(turn)
        assert await asyncio.wait_for(all_read, 10) > RECORDS / 4
        channel.close()
