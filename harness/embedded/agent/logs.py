"""Containers' log files as `kubectl logs` wants them: from the end, since a time, with or without times,
followed.

Lines are `<RFC 3339 time> stdout|stderr F <text>`; the machine moves a long file to `<log>.1`. Knows
nothing of pods.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path

from harness.embedded.events import unix
from harness.embedded.seams import LogOptions

LOOK_AGAIN_S = 0.1  # while following; nobody who reads a log sees a tenth of a second


class LogFile:
    """Reads one log from its beginning on, over a rotation."""

    def __init__(self, path: Path) -> None:
        self._path, self._rest, self._files = path, b"", [path.with_name(path.name + ".1"), path]
        self._position, self._inode = 0, 0

    def lines(self) -> list[bytes]:
        """The whole lines that have come since the last call."""
        return self._read_rotated() + self._read_current()

    def _read_rotated(self) -> list[bytes]:
        """What is left of a file that was moved away since the last call, or all of it at the first."""
        rotated = self._files[0]
        try:
            inode = rotated.stat().st_ino
        except FileNotFoundError:
            return []
        first, same = self._inode == 0, inode == self._inode
        if not first and not same:
            return []
        found = self._read(rotated)
        self._position, self._inode = 0, -1  # the next one begins anew
        return found

    def _read_current(self) -> list[bytes]:
        try:
            inode = self._path.stat().st_ino
        except FileNotFoundError:
            return []
        if inode != self._inode:
            self._position, self._inode = 0, inode
        return self._read(self._path)

    def _read(self, path: Path) -> list[bytes]:
        with path.open("rb") as file:
            file.seek(self._position)
            data = self._rest + file.read()
            self._position = file.tell()
        *whole, self._rest = data.split(b"\n")
        return whole


def _wanted(options: LogOptions, now: float) -> float:
    """The time from which on lines are wanted, in Unix seconds."""
    since = now - options.since_seconds if options.since_seconds is not None else 0.0
    return max(since, unix(options.since_time)) if options.since_time else since


def _text(line: bytes, timestamps: bool) -> bytes:
    """A line without what the machine put in front, but for the time if that is asked for."""
    time, _, rest = line.partition(b" ")
    text = rest.partition(b" ")[2].partition(b" ")[2]
    return (time + b" " + text if timestamps else text) + b"\n"


async def read(
    path: Path, options: LogOptions, ended: Callable[[], bool], now: float
) -> AsyncIterator[bytes]:
    """The log's bytes; when following, until the container has ended and all was read."""
    log, since, left = LogFile(path), _wanted(options, now), options.limit_bytes
    tail = options.tail_lines
    while True:
        over = ended() or not options.follow
        lines = [line for line in log.lines() if not since or unix(line.partition(b" ")[0].decode()) >= since]
        if tail is not None:
            lines, tail = lines[len(lines) - tail :] if tail < len(lines) else lines, None
        data = b"".join(_text(line, options.timestamps) for line in lines)
        if left is not None:
            data = data[:left]
            left -= len(data)
        if data:
            yield data
        if over or left == 0:
            return
        await asyncio.sleep(LOOK_AGAIN_S)
