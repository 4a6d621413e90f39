"""Processes on cores of their own: started, looked at, ended by their number. Knows nothing of what they are.

The kernel ends them as well if this process is killed.
"""

from __future__ import annotations

import os
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from benchmarks import BenchError

UP_WITHIN_S = 20.0  # from start to the first connection that is accepted
END_WITHIN_S = 5.0  # from TERM to KILL
_TICKS = os.sysconf("SC_CLK_TCK")


def pinned(core: int, command: list[str]) -> list[str]:
    """The command, on one core, and not outliving this process."""
    return ["setpriv", "--pdeathsig", "KILL", "taskset", "-c", str(core), *command]


def free_port() -> int:
    """A port of the loopback that nobody uses now."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


@contextmanager
def running(
    command: list[str], port: int, core: int, output: Path, environment: Mapping[str, str]
) -> Iterator[int]:
    """A server that answers on its port, by its process number; ended on any way out."""
    with output.open("wb") as log:
        process = subprocess.Popen(
            pinned(core, command), stdout=log, stderr=log, env={**os.environ, **environment}
        )
    try:
        deadline = time.monotonic() + UP_WITHIN_S
        while not _accepts(port):
            if process.poll() is not None or time.monotonic() > deadline:
                said = output.read_text(errors="replace").strip().splitlines()[-1:]
                raise BenchError(f"{command[0]} does not come up: {''.join(said)}")
            time.sleep(0.02)
        yield process.pid
    finally:
        process.terminate()
        try:
            process.wait(END_WITHIN_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def cpu_seconds(pid: int) -> float:
    """Processor time of a process so far, all threads, user and system."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


def _accepts(port: int) -> bool:
    with socket.socket() as sock:
        return sock.connect_ex(("127.0.0.1", port)) == 0
