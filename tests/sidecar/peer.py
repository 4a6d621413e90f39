"""One end of a control channel, played by a test: says bytes, hears frames, holds what came with them.

Knows the order of no hand-over: each test writes its own.
"""

from __future__ import annotations

import array
import asyncio
import contextlib
import os
import socket
from collections.abc import AsyncIterator, Iterator, Sequence
from typing import Any

from sidecar.handover import directory, frames
from tests.sidecar.rig import WITHIN_S, Pod, eventually

REQUEST = {"protocols": [1], "generation": "12", "release": "x"}


class Peer:
    """A connection to a sidecar, whoever began it."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self.descriptors: list[int] = []  # received and not yet taken
        sock.settimeout(WITHIN_S)

    def say(self, kind: int, body: dict[str, Any] | None = None, descriptors: Sequence[int] = ()) -> None:
        self.send(frames.encode(kind, body), descriptors)

    def send(self, record: bytes, descriptors: Sequence[int] = ()) -> None:
        rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", descriptors))]
        self.sock.sendmsg([record], rights if descriptors else [])

    async def hear(self, *kinds: int) -> frames.Frame:
        """The next frame, which has to be of one of these kinds."""
        record, fds, _, _ = await asyncio.to_thread(socket.recv_fds, self.sock, frames.MAX_FRAME, 253)
        assert record, f"the other side hung up instead of sending a frame of kind {kinds}"
        self.descriptors += fds
        frame = frames.decode(record)
        assert frame.kind in kinds, frame
        return frame

    async def ended(self) -> bool:
        """Waits until the other side has hung up."""
        return not await asyncio.to_thread(self.sock.recv, frames.MAX_FRAME)

    def take(self) -> socket.socket:
        """The first socket that was received; the caller's from now on."""
        return socket.socket(fileno=self.descriptors.pop(0))

    def close(self) -> None:
        for descriptor in self.descriptors:
            os.close(descriptor)
        self.descriptors.clear()
        self.sock.close()


@contextlib.contextmanager
def successor(pod: Pod, generation: str = "1") -> Iterator[Peer]:
    """A connection to the process of a generation, on which nothing has been said."""
    sock = directory.connect(directory.path_of(str(pod.directory), generation), 1)
    assert sock is not None, f"nobody lives at generation {generation}"
    peer = Peer(sock)
    try:
        yield peer
    finally:
        peer.close()


@contextlib.asynccontextmanager
async def asked(pod: Pod) -> AsyncIterator[Peer]:
    """A successor that has its offer."""
    with successor(pod) as peer:
        peer.say(frames.REQUEST, REQUEST)
        await peer.hear(frames.OFFER)
        yield peer


async def committed(peer: Peer) -> None:
    """From the offer to the commit."""
    peer.say(frames.PREPARED)
    await peer.hear(frames.ACCEPT)
    peer.say(frames.ACCEPTING)
    await peer.hear(frames.COMMIT)


class Predecessor:
    """Lives at generation 1, holds the pod's listener, and accepts nothing on it."""

    def __init__(self, pod: Pod) -> None:
        directory.ensure(str(pod.directory))
        self.listener = socket.create_server(("127.0.0.1", pod.port), backlog=1024)
        self._control = directory.listen(str(pod.directory), "1")
        self._peers: list[Peer] = []
        self.offer: dict[str, Any] = {
            "protocol": 1,
            "generation": "1",
            "release": "x",
            "listeners": [{"family": "inet", "kind": "stream", "host": "127.0.0.1", "port": pod.port}],
        }

    async def requested(self) -> Peer:
        """The next successor, which has asked."""

        def accept() -> socket.socket | None:
            with contextlib.suppress(BlockingIOError):
                return self._control.accept()[0]
            return None

        peer = Peer(await eventually(accept, "a successor that connects"))
        self._peers.append(peer)
        await peer.hear(frames.REQUEST)
        return peer

    def hand_out(self, peer: Peer) -> None:
        peer.say(frames.OFFER, self.offer, [self.listener.fileno()])

    def close(self) -> None:
        for peer in self._peers:
            peer.close()
        self._control.close()
        self.listener.close()


@contextlib.contextmanager
def predecessor(pod: Pod) -> Iterator[Predecessor]:
    """Somebody who serves, until the block ends."""
    one = Predecessor(pod)
    try:
        yield one
    finally:
        one.close()
