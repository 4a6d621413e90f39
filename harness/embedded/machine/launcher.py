"""Starts a machine from the host's side, and ends it. Knows nothing of what runs inside.

    launcher ──lifeline──▶ keeper ──▶ process 1 of the machine ──▶ control plane, containers

Whichever of them dies takes everything to its right along: the kernel kills a process whose parent died, the
end of the lifeline says the same where that signal cannot come, and a PID namespace ends with its process 1.
All mounts, interfaces and files live in the machine's namespaces and vanish with its last process.
"""

from __future__ import annotations

import json
import os
import select
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path

from harness.errors import ClusterError

START_WITHIN_S = 20.0  # takes a tenth of a second; a machine that swaps may take longer
RELEASE_WITHIN_S = 5.0  # one round trip to a process that waits for it
KILL_WITHIN_S = 5.0  # after SIGKILL only the kernel's own work is left
SOURCE_ROOT = Path(__file__).resolve().parents[3]
ENTRY = "import sys; sys.path.insert(0, {root!r}); from harness.embedded.machine.{module} import main; main()"
"""A module's `main` in a new interpreter, wherever this package was imported from."""


class Machine:
    """A started machine. It dies with this process or this object, unless `release` was called."""

    def __init__(self, process: subprocess.Popen[bytes], lifeline: socket.socket) -> None:
        self._process, self._lifeline = process, lifeline
        self._handle = os.pidfd_open(process.pid)
        self.pid = process.pid
        """The keeper, as the host sees it: SIGTERM or SIGKILL to it ends the machine; it ends last."""

    def release(self) -> None:
        """Lets the machine live on when this process ends; ClusterError if it is gone already."""
        try:
            self._lifeline.settimeout(RELEASE_WITHIN_S)
            self._lifeline.sendall(b"release\n")
            if not self._lifeline.recv(64).startswith(b"released"):
                raise ClusterError("the machine ended before it could be released")
        except OSError as error:
            raise ClusterError(f"the machine cannot be released: {error}") from error
        self._process.returncode = 0  # it outlives this process, which therefore never reaps it

    def alive(self) -> bool:
        """Whether it still runs."""
        return not select.select([self._handle], [], [], 0)[0]

    def wait(self, timeout_s: float | None = None) -> bool:
        """Waits for its end; False when the time is over first."""
        return bool(select.select([self._handle], [], [], timeout_s)[0])

    def stop(self, timeout_s: float = KILL_WITHIN_S) -> None:
        """Ends it and everything in it; returns when nothing is left. May be called again."""
        for number, within in ((signal.SIGTERM, timeout_s), (signal.SIGKILL, KILL_WITHIN_S)):
            if not self.alive():
                break
            try:
                signal.pidfd_send_signal(self._handle, number)
            except ProcessLookupError:
                break
            self.wait(within)
        self._lifeline.close()
        if self.alive():
            raise ClusterError(f"the machine (process {self.pid}) does not end")
        self._process.poll()

    def __del__(self) -> None:
        os.close(self._handle)


def launch(
    argv: Sequence[str],
    *,
    images: Sequence[Path],
    pass_fds: Sequence[int] = (),
    env: Mapping[str, str] | None = None,
    name: str,
    log_fd: int | None = None,
) -> Machine:
    """Starts a machine named `name` that runs `argv` as its control plane; ClusterError.

    The control plane inherits `pass_fds`, `env` (None: this process's) and, as its output, `log_fd` (None:
    nowhere). It reaches the runtime by `harness.embedded.machine.client.connect`, which finds `images` too.
    When it ends, so does the machine.
    """
    ours, theirs = socket.socketpair()
    keeper = ENTRY.format(root=str(SOURCE_ROOT), module="keeper")
    try:
        with theirs:
            process = subprocess.Popen(
                [sys.executable, "-c", keeper, str(theirs.fileno()), f"hotupgrade-machine={name}"],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL if log_fd is None else log_fd,
                stderr=subprocess.DEVNULL if log_fd is None else log_fd,
                pass_fds=[theirs.fileno(), *pass_fds],
                env=env,
                start_new_session=True,
            )
        machine = Machine(process, ours)
    except BaseException:
        ours.close()
        raise
    try:
        _start(ours, argv, images, pass_fds, name)
    except BaseException:
        machine.stop()
        raise
    return machine


def _start(
    lifeline: socket.socket, argv: Sequence[str], images: Sequence[Path], fds: Sequence[int], name: str
) -> None:
    order = {
        "argv": list(argv),
        "images": [str(folder.resolve()) for folder in images],
        "fds": list(fds),
        "name": name,
        # The kernel's signal comes when the starting *thread* ends; only the main one lives on.
        "parent": os.getpid() if threading.current_thread() is threading.main_thread() else None,
    }
    lifeline.settimeout(START_WITHIN_S)
    try:
        lifeline.sendall(json.dumps(order).encode() + b"\n")
        with lifeline.makefile("rb", buffering=0) as stream:
            answer = json.loads(stream.readline() or b"{}")
    except TimeoutError:
        raise ClusterError(f"the machine did not start within {START_WITHIN_S:.0f} s") from None
    except (OSError, ValueError) as error:
        raise ClusterError(f"the machine did not start: {error}") from error
    if answer != {"up": True}:
        raise ClusterError(f"the machine did not start: {answer.get('error', 'its first process died')}")
