"""One connection of the control channel on an event loop: whole frames and descriptors in and out.

Knows nothing of what the frames mean. `send` is for the few frames that order a hand-over: they never fill a
socket's queue, so one that cannot be sent at once means a broken peer. `post` is for many: what the queue does
not take waits for its turn.
"""

from __future__ import annotations

import array
import asyncio
import contextlib
import errno
import os
import socket
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from sidecar.errors import PeerHandoverError
from sidecar.handover import frames
from sidecar.handover.frames import Frame

# A full queue (EAGAIN), or too many descriptors of this user in flight (unix(7)): both pass.
_LATER = frozenset({errno.EAGAIN, errno.ETOOMANYREFS, errno.ENOBUFS, errno.ENOMEM})
_LATER_S = 0.005  # until the next try where no event tells
# The peer has ended. Reading comes to the end by itself, after what it had sent: that counts.
_ENDED = (BrokenPipeError, ConnectionResetError)
# Records read in a turn of the loop. While connections move the peer answers as fast as this side reads: without
# a bound nothing else would have its turn until all of them have come.
_RECORDS = 2
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
        self._waiting: deque[tuple[bytes, Sequence[int]]] = deque()

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

    def send(self, kind: int, body: dict[str, Any] | None = None, descriptors: Sequence[int] = ()) -> bool:
        """Sends a frame at once; True if it is on its way. If it is not, `on_lost` follows, after what the
        peer has sent until now. The descriptors stay the caller's.
        """
        if not self._open:
            return False
        try:
            self._send(frames.encode(kind, body), descriptors)
        except _ENDED:
            return False
        except OSError:
            self._loop.call_soon(self._lose)
            return False
        return True

    def post(self, record: bytes, descriptors: Sequence[int] = ()) -> None:
        """Sends a record, in turn, when the queue takes it. The descriptors have to stay open until then."""
        if self._open:
            self._waiting.append((record, descriptors))
            if len(self._waiting) == 1:
                self._flush()

    def close(self) -> None:
        """Hangs up; nothing is called any more."""
        if self._open:
            self._open = False
            self._waiting.clear()
            self._loop.remove_reader(self.sock.fileno())
            self._loop.remove_writer(self.sock.fileno())
        self.sock.close()

    def rest(self) -> Iterator[Frame]:
        """What the peer has sent and this side has not read yet; after that the peer cannot send any more.

        So whatever it sent is either among these frames, or its sending failed and it knows.
        """
        if not self._open:
            return
        with contextlib.suppress(OSError):
            self.sock.shutdown(socket.SHUT_RD)
        with contextlib.suppress(BlockingIOError):  # where shutdown() was refused: the peer has ended
            while received := self._receive():
                close_all(received[1])
                with contextlib.suppress(PeerHandoverError):
                    yield frames.decode(received[0])

    def _send(self, record: bytes, descriptors: Sequence[int]) -> None:
        ancillary = (
            [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", descriptors))] if descriptors else []
        )
        self.sock.sendmsg([record], ancillary)

    def _flush(self) -> None:
        while self._open and self._waiting:
            try:
                self._send(*self._waiting[0])
            except OSError as error:
                if error.errno == errno.EAGAIN:
                    self._loop.add_writer(self.sock.fileno(), self._flush)
                elif error.errno in _LATER:
                    self._loop.call_later(_LATER_S, self._flush)
                elif isinstance(error, _ENDED):
                    self._waiting.clear()
                else:
                    self._loop.call_soon(self._lose)
                return
            self._waiting.popleft()
        if self._open:
            self._loop.remove_writer(self.sock.fileno())

    def _readable(self) -> None:
        for _ in range(_RECORDS):
            if not self._open:
                return
            try:
                received = self._receive()
            except BlockingIOError:
                return
            if received is None:
                self._lose()
                return
            self._received(*received)

    def _receive(self) -> tuple[bytes, list[int], int] | None:
        """A record with its descriptors and flags, None at the end; BlockingIOError."""
        while True:
            try:
                record, ancillary, flags, _ = self.sock.recvmsg(
                    frames.MAX_FRAME + 1, _SPACE, socket.MSG_CMSG_CLOEXEC
                )
            except BlockingIOError:
                raise
            except ConnectionResetError:
                continue  # the peer died with unread data; what it had sent before is still to come
            except OSError:
                return None
            return (record, descriptors_in(ancillary), flags) if record else None

    def _received(self, record: bytes, descriptors: list[int], flags: int) -> None:
        try:
            if flags & socket.MSG_TRUNC:
                raise PeerHandoverError("a frame was cut short: it is too long")
            frame = frames.decode(record)
            if flags & socket.MSG_CTRUNC and frame.kind != frames.MOVE:  # there the receiver counts
                raise PeerHandoverError("descriptors were lost: too few are free here")
            if descriptors and frame.kind not in frames.WITH_DESCRIPTORS:
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


def descriptors_in(ancillary: list[tuple[int, int, bytes]]) -> list[int]:
    """The descriptors that a message brought; they are the caller's."""
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
