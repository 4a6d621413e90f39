"""The process that writes containers' logs: one for the machine, so that a chatty container delays no other.

Control socket, SOCK_SEQPACKET: process 1 sends {"id", "log", "streams": [names]} with one descriptor per
name; the logger answers {"id"} when all streams of that container have ended and are in the file. A line is
`<RFC 3339 nano> <stream> F <text>`. Knows nothing of containers but their ids.
"""

from __future__ import annotations

import contextlib
import json
import os
import selectors
import socket
import time

from harness.embedded.machine import wire

MAX_LINE_BYTES = 16384  # longer ones are cut into several, as container runtimes do
MAX_LOG_BYTES = 10 << 20  # then the file becomes <log>.1 and a new one begins, as the kubelet does
CHUNK_BYTES = 65536


class Log:
    """One container's log file."""

    def __init__(self, id: str, path: str, streams: int) -> None:
        self.id, self._path, self.open_streams = id, path, streams
        self._open()

    def _open(self) -> None:
        self._fd = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
        self._size = os.fstat(self._fd).st_size

    def write(self, stream: str, lines: list[bytes]) -> None:
        """Appends lines with the present time; what does not fit on the file system is lost."""
        prefix = f"{stamp(time.time_ns())} {stream} F ".encode()
        data = b"".join(prefix + line + b"\n" for line in lines)
        if self._size + len(data) > MAX_LOG_BYTES and self._size:
            os.close(self._fd)
            os.replace(self._path, self._path + ".1")
            self._open()
        with contextlib.suppress(OSError):
            self._size += os.write(self._fd, data)

    def close(self) -> None:
        """Ends it."""
        os.close(self._fd)


class Lines:
    """Cuts one stream into lines."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, data: bytes) -> list[bytes]:
        """The lines that are complete now."""
        *lines, self._rest = (self._rest + data).split(b"\n")
        if len(self._rest) >= MAX_LINE_BYTES:
            whole = len(self._rest) - len(self._rest) % MAX_LINE_BYTES
            lines.append(self._rest[:whole])
            self._rest = self._rest[whole:]
        return [piece for line in lines for piece in _pieces(line)]

    def end(self) -> list[bytes]:
        """The last line, if it had no line end."""
        rest, self._rest = self._rest, b""
        return _pieces(rest) if rest else []


def _pieces(line: bytes) -> list[bytes]:
    return [line[at : at + MAX_LINE_BYTES] for at in range(0, len(line), MAX_LINE_BYTES)] or [b""]


def stamp(nanoseconds: int) -> str:
    """RFC 3339 in UTC with nanoseconds."""
    seconds, rest = divmod(nanoseconds, 1_000_000_000)
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds)) + f".{rest:09d}Z"


def serve(control: socket.socket) -> None:
    """Runs until process 1 is gone."""
    selector = selectors.DefaultSelector()
    selector.register(control, selectors.EVENT_READ)
    while True:
        for key, _ in selector.select():
            if key.fileobj is control:
                data, fds = wire.receive(control)
                if not data:
                    return
                _begin(selector, json.loads(data), fds)
            else:
                _continue(selector, control, key)


def _begin(selector: selectors.BaseSelector, order: dict[str, str], fds: list[int]) -> None:
    log = Log(order["id"], order["log"], len(fds))
    for name, fd in zip(order["streams"], fds, strict=True):
        selector.register(fd, selectors.EVENT_READ, (log, name, Lines()))


def _continue(selector: selectors.BaseSelector, control: socket.socket, key: selectors.SelectorKey) -> None:
    log, name, lines = key.data
    try:
        data = os.read(key.fd, CHUNK_BYTES)
    except OSError:  # a terminal whose other side is closed
        data = b""
    if written := lines.feed(data) if data else lines.end():
        log.write(name, written)
    if data:
        return
    selector.unregister(key.fd)
    os.close(key.fd)
    log.open_streams -= 1
    if log.open_streams == 0:
        log.close()
        control.send(json.dumps({"id": log.id}).encode())
