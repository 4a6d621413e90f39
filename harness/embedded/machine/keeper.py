"""The process between launcher and machine: makes the namespaces, starts process 1, waits for its end.

Lifeline, a stream socket: the launcher sends one line of JSON (what to start) and later maybe `release`; the
answer is one line of JSON, {"up": true} or {"error": text}, and `released`. Its end before `release` ends the
machine. Kept small: it stays in memory as long as the machine lives. Knows nothing of containers.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import socket
import sys
from typing import Any

from harness.embedded.machine import linux

NAMESPACES = (
    linux.CLONE_NEWNS | linux.CLONE_NEWPID | linux.CLONE_NEWNET | linux.CLONE_NEWIPC | linux.CLONE_NEWUTS
)
CAP_SYS_ADMIN = 21


def privileged() -> bool:
    """Whether this process may make namespaces without a user namespace of its own."""
    with open("/proc/self/status") as status:
        effective = next(int(line.split()[1], 16) for line in status if line.startswith("CapEff:"))
    return os.geteuid() == 0 and bool(effective >> CAP_SYS_ADMIN & 1)


def enter_user_namespace() -> None:
    """A user namespace in which the caller is root, and the only user."""
    uid, gid = os.geteuid(), os.getegid()
    linux.unshare(linux.CLONE_NEWUSER)
    for file, text in (("setgroups", "deny"), ("uid_map", f"0 {uid} 1"), ("gid_map", f"0 {gid} 1")):
        with open(f"/proc/self/{file}", "w") as stream:
            stream.write(text)


def die_with_parent(parent: int) -> None:
    """SIGKILL for this process when its parent ends, or at once if it has ended already."""
    linux.prctl(linux.PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)


def main() -> None:
    """Entry point; the first argument is the lifeline's descriptor."""
    lifeline = socket.socket(fileno=int(sys.argv[1]))
    lifeline.set_inheritable(False)
    line = b""
    while not line.endswith(b"\n"):
        chunk = lifeline.recv(65536)
        if not chunk:
            sys.exit(1)
        line += chunk
    order = json.loads(line)
    if order["parent"] is not None:
        die_with_parent(order["parent"])
    held, keeper_gone = os.pipe()  # process 1 reads the end of this keeper from it
    try:
        if not privileged():
            enter_user_namespace()
        linux.unshare(NAMESPACES)
        child = os.fork()
    except OSError as error:
        lifeline.sendall(json.dumps({"error": f"{error}; see `hotupgrade doctor`"}).encode() + b"\n")
        sys.exit(1)
    if child == 0:
        os.close(keeper_gone)
        _become_process_1(order, lifeline, held)
    os.close(held)
    for fd in order["fds"]:
        os.close(fd)
    os._exit(_keep(child, lifeline))


def _become_process_1(order: dict[str, Any], lifeline: socket.socket, keeper: int) -> None:
    try:
        linux.prctl(linux.PR_SET_PDEATHSIG, signal.SIGKILL)
        from harness.embedded.machine.init import run  # the keeper itself does without

        code = run(order, lifeline, keeper)
    except BaseException as error:
        code = 1
        sys.excepthook(type(error), error, error.__traceback__)
        sys.stderr.flush()
        if lifeline.fileno() >= 0:
            lifeline.sendall(json.dumps({"error": str(error)}).encode() + b"\n")
    os._exit(code)


def _keep(child: int, lifeline: socket.socket) -> int:
    """Ends the machine on SIGTERM and at the end of the lifeline.

    Returns when process 1 has ended, with its code.
    """
    handle = os.pidfd_open(child)
    wake_read, wake_write = os.pipe()
    os.set_blocking(wake_write, False)
    signal.set_wakeup_fd(wake_write)
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, lambda *_: None)
    watched: list[Any] = [handle, wake_read, lifeline]
    while True:
        ready = select.select(watched, [], [])[0]
        if handle in ready:
            return max(0, os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
        ending = wake_read in ready and os.read(wake_read, 16) != b""
        if lifeline in ready:
            if lifeline.recv(64).startswith(b"release"):
                linux.prctl(linux.PR_SET_PDEATHSIG, 0)
                watched.remove(lifeline)
                _confirm(lifeline)
            else:
                ending = True
        if ending:
            watched = [handle]
            signal.pidfd_send_signal(handle, signal.SIGKILL)


def _confirm(lifeline: socket.socket) -> None:
    with contextlib.suppress(OSError):  # a launcher that died after asking; what it asked for is done
        lifeline.sendall(b"released\n")
    lifeline.close()
