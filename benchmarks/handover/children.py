"""The processes that a run starts: their lines, memory and descriptors, and that none outlives it.

Every one writes JSON lines; each is ended by its pid, and by the kernel if this process is killed.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import json
import os
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
SIDECAR = ROOT / "images" / "sidecar" / "base"
WITHIN_S = 30.0  # what a step may take on a busy machine
END_S = 5.0  # what a process gets after TERM
_PR_SET_PDEATHSIG = 1
_LIBC = ctypes.CDLL(None)


class NotSeen(Exception):
    """Something did not come in time, or a process ended before it came."""


class Child:
    """One process."""

    def __init__(self, name: str, process: asyncio.subprocess.Process) -> None:
        self.name, self.process = name, process
        self.lines: list[dict[str, Any]] = []
        self.text: list[str] = []  # what is no JSON
        self._changed = asyncio.Event()
        self._reading = asyncio.create_task(self._read())

    async def _read(self) -> None:
        assert self.process.stdout is not None
        async for line in self.process.stdout:
            try:
                self.lines.append(json.loads(line))
            except ValueError:
                self.text.append(line.decode(errors="replace"))
            self._changed.set()
        self._changed.set()

    def events(self, event: str) -> list[dict[str, Any]]:
        """All lines of one kind."""
        return [line for line in self.lines if line.get("event") == event]

    async def saw(self, event: str, count: int = 1, within_s: float = WITHIN_S) -> dict[str, Any]:
        """The count-th line of a kind, once it is there."""

        def found() -> dict[str, Any] | None:
            lines = self.events(event)
            return lines[count - 1] if len(lines) >= count else None

        line: dict[str, Any] = await self.until(found, f"{event!r} x {count}", within_s)
        return line

    async def until(self, check: Callable[[], Any], what: str, within_s: float = WITHIN_S) -> Any:
        """Waits until the lines make `check` true; NotSeen."""
        deadline = asyncio.get_running_loop().time() + within_s
        while not (found := check()):
            left = deadline - asyncio.get_running_loop().time()
            if left <= 0 or self._reading.done():
                last = [
                    " ".join(str(line[key]) for key in ("event", "reason") if key in line)
                    for line in self.lines[-5:]
                ]
                raise NotSeen(f"{self.name} did not say {what} within {within_s:g} s; its last lines: {last}")
            self._changed.clear()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._changed.wait(), min(left, 0.5))
        return found

    def tell(self, word: str) -> None:
        """One command."""
        assert self.process.stdin is not None
        self.process.stdin.write(word.encode() + b"\n")

    def send(self, number: int) -> None:
        """Sends a signal, unless it has ended."""
        # Not by the process object: it would reap the process before asyncio does, which then has no exit code.
        if self.process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.process.pid, number)

    async def end(self, number: int = signal.SIGTERM) -> int:
        """Ends it, with KILL if need be; its exit code, with everything read that it said."""
        self.send(number)
        try:
            await asyncio.wait_for(self.process.wait(), END_S)
        except TimeoutError:
            self.send(signal.SIGKILL)
            await self.process.wait()
        await self._reading
        assert self.process.returncode is not None
        return self.process.returncode

    @property
    def memory(self) -> int:
        """Resident bytes."""
        pages = Path(f"/proc/{self.process.pid}/statm").read_text().split()[1]
        return int(pages) * os.sysconf("SC_PAGE_SIZE")

    @property
    def busy(self) -> float:
        """Processor seconds used so far."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def descriptors(self, port: int) -> tuple[int, int]:
        """How many are open: of connections with a port of loopback at either end, and all others."""
        sockets = _sockets(port)
        links = _links(f"/proc/{self.process.pid}/fd")
        found = sum(link in sockets for link in links)
        return found, len(links) - found


class Children:
    """All processes of a run; leaving the block ends what is left of them."""

    def __init__(self) -> None:
        self._children: list[Child] = []

    async def __aenter__(self) -> Children:
        return self

    async def __aexit__(self, *_: object) -> None:
        left = [child for child in self._children if child.process.returncode is None]
        await asyncio.gather(*(child.end() for child in left))

    async def start(self, name: str, command: Sequence[str], environment: Mapping[str, str]) -> Child:
        """Starts a program."""
        process = await asyncio.create_subprocess_exec(
            *command,
            env=dict(environment),
            cwd=ROOT,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            start_new_session=True,  # Ctrl-C is for this process, which ends the others in order
            preexec_fn=_die_with_parent,
            limit=1 << 20,
        )
        child = Child(name, process)
        self._children.append(child)
        return child

    async def module(self, module: str, settings: Mapping[str, Any] | None = None) -> Child:
        """Starts a module of this package, which says `ready`."""
        command = [sys.executable, "-m", f"benchmarks.handover.{module}", json.dumps(settings or {})]
        child = await self.start(module, command, {**os.environ, "PYTHONPATH": str(ROOT)})
        await child.saw("ready")
        return child


def _links(directory: str) -> list[str]:
    """Where its entries point to, without those that go away meanwhile."""
    links = []
    for name in os.listdir(directory):
        with contextlib.suppress(FileNotFoundError):
            links.append(os.readlink(f"{directory}/{name}"))
    return links


def _sockets(port: int) -> set[str]:
    """Those that have an address of loopback with this port at either end, as links in /proc name them."""
    address = f"0100007F:{port:04X}"
    rows = (line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:])
    return {f"socket:[{row[9]}]" for row in rows if address in row[1:3]}


def _die_with_parent() -> None:
    _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
