"""A command in a container as the control plane holds it: its streams and its end; see `seams.Session`.

Knows nothing of how the command was started.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
import struct
import termios
from collections.abc import Awaitable, Callable
from typing import Any, Literal

CHUNK_BYTES = 65536
Stream = Literal["stdout", "stderr"]


class ClientSession:
    """Reads with one reader; bytes stay in the pipes until they are read, so that nothing grows here."""

    def __init__(self, kill: Callable[[], Awaitable[Any]]) -> None:
        self._kill = kill
        self._loop = asyncio.get_running_loop()
        self._outputs: dict[int, Stream] = {}
        self._input: int | None = None
        self._is_terminal = False
        self._code: asyncio.Future[int] = self._loop.create_future()

    def pipes(self, stdin: bool) -> list[int]:
        """Makes pipes; returns the command's ends: stdout, stderr and, if wanted, stdin."""
        theirs = []
        names: tuple[Stream, ...] = ("stdout", "stderr")
        for name in names:
            read, write = os.pipe()
            os.set_blocking(read, False)
            self._outputs[read] = name
            theirs.append(write)
        if stdin:
            read, self._input = os.pipe()
            os.set_blocking(self._input, False)
            theirs.append(read)
        return theirs

    def terminal(self, fd: int) -> None:
        """Uses a terminal's end instead of pipes."""
        os.set_blocking(fd, False)
        self._outputs[fd] = "stdout"
        self._input, self._is_terminal = os.dup(fd), True

    def ended(self, code: int) -> None:
        """The command has ended with this exit code."""
        if not self._code.done():
            self._code.set_result(code)

    def __del__(self) -> None:
        self.close()  # a reader may stop before the end: a hook's output interests nobody

    def close(self) -> None:
        """Closes what is open."""
        for fd in list(self._outputs):
            self._drop(fd)
        self._close_input()

    async def read(self) -> tuple[Stream, bytes] | None:
        """The next output, or None when both streams have ended."""
        while self._outputs:
            for fd, name in list(self._outputs.items()):
                try:
                    data = os.read(fd, CHUNK_BYTES)
                except BlockingIOError:
                    continue
                except OSError:  # a terminal's other side is closed
                    data = b""
                if data:
                    return name, data
                self._drop(fd)
            if self._outputs:
                await self._readable()
        return None

    async def write(self, data: bytes) -> None:
        """To its standard input; ignored once that is closed."""
        while data and self._input is not None:
            try:
                data = data[os.write(self._input, data) :]
            except BlockingIOError:
                await self._writable(self._input)
            except OSError:
                self._close_input()

    async def close_input(self) -> None:
        """End of its standard input; for a terminal the character that says so."""
        if self._is_terminal:
            await self.write(b"\x04")
        self._close_input()

    async def resize(self, columns: int, rows: int) -> None:
        """New size of its terminal, if it has one."""
        if self._is_terminal and self._input is not None:
            fcntl.ioctl(self._input, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    async def wait(self) -> int:
        """Its exit code; 128 + n after signal n."""
        return await asyncio.shield(self._code)

    async def kill(self) -> None:
        """SIGKILL to the command and all that it started."""
        await self._kill()

    def _drop(self, fd: int) -> None:
        del self._outputs[fd]
        os.close(fd)

    def _close_input(self) -> None:
        if self._input is not None:
            os.close(self._input)
            self._input = None

    async def _readable(self) -> None:
        await self._when(list(self._outputs), self._loop.add_reader, self._loop.remove_reader)

    async def _writable(self, fd: int) -> None:
        await self._when([fd], self._loop.add_writer, self._loop.remove_writer)

    async def _when(self, fds: list[int], add: Callable[..., Any], remove: Callable[[int], Any]) -> None:
        ready = asyncio.Event()
        for fd in fds:
            add(fd, ready.set)
        try:
            await ready.wait()
        finally:
            for fd in fds:
                with contextlib.suppress(OSError, ValueError):
                    remove(fd)
