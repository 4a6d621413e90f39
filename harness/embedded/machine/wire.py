"""Frames between the machine's process 1 and the control plane, over one Unix stream socket.

Frame: 4 bytes length of the body, 1 byte number of descriptors, body (JSON object, UTF-8). The descriptors
travel with the frame's first byte (SCM_RIGHTS). Three kinds of bodies:

    {"call": n, "verb": …, …}    control plane to process 1; n is unique, calls are taken in order
    {"call": n, "result": …}     its answer, in any order; or {"call": n, "error": text}
    {"event": …, …}              process 1 to control plane, unasked

Both ends come from one checkout, so an unknown verb or event is a defect and raises. A frame may be read in
any number of pieces. Who queues a descriptor gives it away: it is closed once it was sent, or when the queue
is closed.
"""

from __future__ import annotations

import array
import contextlib
import json
import os
import socket
import struct
from collections import deque
from collections.abc import Sequence
from typing import Any

RUNTIME_FD = "HOTUPGRADE_RUNTIME_FD"
IMAGES = "HOTUPGRADE_IMAGES"
"""The control plane's environment: its end of the socket, and the folders of images as a JSON list."""

HEADER = struct.Struct("!IB")
MAX_FDS = 8  # a frame carries three at most
CHUNK_BYTES = 65536

Body = dict[str, Any]


class Decoder:
    """Frames out of the bytes and descriptors as they arrive."""

    def __init__(self) -> None:
        self._data = bytearray()
        self._fds: deque[int] = deque()

    def feed(self, data: bytes, fds: Sequence[int] = ()) -> list[tuple[Body, list[int]]]:
        """The frames that are complete now, each with its descriptors, which the caller then owns."""
        self._data += data
        self._fds.extend(fds)
        frames = []
        while len(self._data) >= HEADER.size:
            length, count = HEADER.unpack_from(self._data)
            end = HEADER.size + length
            if len(self._data) < end:
                break
            body = json.loads(self._data[HEADER.size : end])
            del self._data[:end]
            frames.append((body, [self._fds.popleft() for _ in range(count)]))
        return frames


class Outbox:
    """Frames on their way into a socket that takes them when it can."""

    def __init__(self) -> None:
        self._frames: deque[tuple[bytes, list[int]]] = deque()

    def put(self, body: Body, fds: Sequence[int] = ()) -> None:
        """Queues a frame."""
        data = json.dumps(body, separators=(",", ":")).encode()
        self._frames.append((HEADER.pack(len(data), len(fds)) + data, list(fds)))

    def flush(self, connection: socket.socket) -> bool:
        """Sends what the socket takes without blocking; True when nothing is left."""
        while self._frames:
            data, fds = self._frames[0]
            try:
                sent = socket.send_fds(connection, [data], fds) if fds else connection.send(data)
            except BlockingIOError:
                return False
            for fd in fds:
                os.close(fd)
            if sent == len(data):
                self._frames.popleft()
            else:
                self._frames[0] = (data[sent:], [])
        return True

    def close(self) -> None:
        """Drops what was not sent."""
        for _, fds in self._frames:
            for fd in fds:
                with contextlib.suppress(OSError):
                    os.close(fd)
        self._frames.clear()


def receive(connection: socket.socket) -> tuple[bytes, list[int]]:
    """What has arrived; no bytes at the end of the stream. Descriptors are not inheritable."""
    fds = array.array("i")
    room = socket.CMSG_SPACE(MAX_FDS * fds.itemsize)
    # Not socket.recv_fds: it drops the flags, and every container would inherit what arrives.
    data, ancillary, _, _ = connection.recvmsg(CHUNK_BYTES, room, socket.MSG_CMSG_CLOEXEC)
    for level, kind, content in ancillary:
        if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
            fds.frombytes(content[: len(content) - len(content) % fds.itemsize])
    return data, fds.tolist()
