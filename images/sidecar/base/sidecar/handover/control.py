"""This process's end of the control channel: answers `watch`, passes a `request` on.

Knows nothing of what follows it.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
from collections.abc import Callable
from typing import Any

from sidecar.handover import directory, frames
from sidecar.handover.channel import Channel, close_all
from sidecar.handover.frames import Frame

FIRST_FRAME_S = 5.0  # who connects has something to say


class ControlServer:
    """Listens on the path of one generation."""

    def __init__(
        self,
        where: str,
        generation: str,
        state: Callable[[], dict[str, Any]],
        on_request: Callable[[Channel, Frame], None],
    ) -> None:
        self._where, self._generation = where, generation
        self._state, self._on_request = state, on_request
        self._loop = asyncio.get_running_loop()
        self._watchers: set[Channel] = set()
        self._silent: set[Channel] = set()
        self._sock = directory.listen(where, generation)
        self._inode = os.lstat(directory.path_of(where, generation)).st_ino
        self._loop.add_reader(self._sock.fileno(), self._accept)

    def publish(self) -> None:
        """Tells all watchers the present state."""
        for channel in list(self._watchers):
            channel.send(frames.STATE, self._state())

    def close(self) -> None:
        """Ends it, and removes its path."""
        self._loop.remove_reader(self._sock.fileno())
        directory.remove(self._where, self._generation, self._inode)
        self._sock.close()
        for channel in self._watchers | self._silent:
            channel.close()

    def _accept(self) -> None:
        with contextlib.suppress(BlockingIOError):
            while True:
                sock, _ = self._sock.accept()
                if directory.same_user(sock):
                    self._greet(sock)
                else:
                    sock.close()

    def _greet(self, sock: socket.socket) -> None:
        channel = Channel(sock)
        self._silent.add(channel)

        def forget() -> None:
            self._silent.discard(channel)
            self._watchers.discard(channel)

        def hang_up() -> None:
            if channel in self._silent:
                forget()
                channel.close()

        def first(frame: Frame, descriptors: list[int]) -> None:
            close_all(descriptors)
            if frame.kind == frames.WATCH:
                self._silent.discard(channel)
                self._watchers.add(channel)
                channel.send(frames.STATE, self._state())
            elif frame.kind == frames.REQUEST and channel in self._silent:
                forget()
                self._on_request(channel, frame)
            else:
                forget()
                channel.close()

        self._loop.call_later(FIRST_FRAME_S, hang_up)
        channel.start(first, lambda _: hang_up(), forget)


async def wait_while_serving(path: str) -> bool:
    """Watches another process: False at once if it does not serve, True when it has ceased to."""
    sock = directory.connect(path, within_s=0.2)
    if sock is None:
        return False
    loop = asyncio.get_running_loop()
    channel = Channel(sock)
    ended: asyncio.Future[bool] = loop.create_future()
    served = False

    def end() -> None:
        if not ended.done():
            ended.set_result(served)

    def on_frame(frame: Frame, descriptors: list[int]) -> None:
        nonlocal served
        close_all(descriptors)
        if frame.kind == frames.STATE:
            if frame.body.get("serves") is True:
                served = True
                silent.cancel()
            else:
                end()

    silent = loop.call_later(FIRST_FRAME_S, end)
    channel.start(on_frame, lambda _: end(), end)
    channel.send(frames.WATCH)
    try:
        return await ended
    finally:
        silent.cancel()
        channel.close()
