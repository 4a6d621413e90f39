"""One connection of the control channel on an event loop: whole frames and descriptors in and out.

Knows nothing of what the frames mean. A frame that cannot be sent at once means a peer that does not read:
the few frames of a hand-over never fill a socket's queue, so that counts as a broken peer.
"""

from __future__ import annotations

import array
import asyncio
import contextlib
import os
import socket
from collections.abc import Callable, Sequence
from typing import Any

from sidecar.errors import PeerHandoverError
from sidecar.handover import frames
from sidecar.handover.frames import Frame

_SPACE = socket.CMSG_SPACE(frames.MAX_DESCRIPTORS * array.array("i").itemsize)


class Channel:
    """Calls `on_frame(frame, descriptors)`, `on_fault(error)`, and `on_lost()` once, if the peer ends."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self.on_frame: Callable[[Frame, list[int]], None]
        self.on_fault: Callable[[PeerHandoverError], None]
        self.on_lost: Callable[[], None]
        self._loop = asyncio.get_running_loop()
        self._open = False

    def start(
        self,
        on_frame: Callable[[Frame, list[int]], None],
        on_fault: Callable[[PeerHandoverError], None],
        on_lost: Callable[[], None],
    ) -> None:
        """Begins to read, or gives what comes from now on to somebody else."""
        self.on_frame, self.on_fault, self.on_lost = on_frame, on_fault, on_lost
        if not self._open:
            self._open = True
            self.sock.setblocking(False)
            self._loop.add_reader(self.sock.fileno(), self._readable)

    def send(self, kind: int, body: dict[str, Any] | None = None, descriptors: Sequence[int] = ()) -> None:
        """Sends a frame. If the peer cannot take it, `on_lost` follows. The descriptors stay the caller's."""
        if not self._open:
            return
        ancillary = (
            [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", descriptors))] if descriptors else []
        )
        try:
            self.sock.sendmsg([frames.encode(kind, body)], ancillary)
        except OSError:
            self._loop.call_soon(self._lose)

    def close(self) -> None:
        """Hangs up; nothing is called any more."""
        if self._open:
            self._open = False
            self._loop.remove_reader(self.sock.fileno())
        self.sock.close()

    def _readable(self) -> None:
        while self._open:
            try:
                record, ancillary, flags, _ = self.sock.recvmsg(
                    frames.MAX_FRAME + 1, _SPACE, socket.MSG_CMSG_CLOEXEC
                )
            except BlockingIOError:
                return
            except ConnectionResetError:
                continue  # the peer died with unread data; what it had sent before is still to come
            except OSError:
                record, ancillary, flags = b"", [], 0
            if not record:
                self._lose()
                return
            self._received(record, _descriptors(ancillary), flags)

    def _received(self, record: bytes, descriptors: list[int], flags: int) -> None:
        try:
            if flags & (socket.MSG_TRUNC | socket.MSG_CTRUNC):
                raise PeerHandoverError("a frame was cut short: too long, or too few free descriptors here")
            frame = frames.decode(record)
            if descriptors and frame.kind != frames.OFFER:
                raise PeerHandoverError(
                    f"a frame of kind {frame.kind} brought {len(descriptors)} descriptors"
                )
        except PeerHandoverError as error:
            close_all(descriptors)
            self.on_fault(error)
            return
        if frame.kind in frames.KNOWN:
            self.on_frame(frame, descriptors)

    def _lose(self) -> None:
        if self._open:
            self.close()
            self.on_lost()


def _descriptors(ancillary: list[tuple[int, int, bytes]]) -> list[int]:
    found = array.array("i")
    for level, kind, data in ancillary:
        if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
            found.frombytes(data[: len(data) - len(data) % found.itemsize])
    return found.tolist()


def close_all(descriptors: Sequence[int]) -> None:
    """Closes descriptors that were received and are not wanted."""
    for descriptor in descriptors:
        with contextlib.suppress(OSError):
            os.close(descriptor)
