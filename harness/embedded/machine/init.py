"""Process 1 of the machine: makes mounts and network, starts the control plane, then serves (`runtime`).

The control plane starts first, since it takes longest; what it asks for meanwhile waits in the socket.
"""

from __future__ import annotations

import gc
import json
import os
import signal
import socket
from typing import Any

from harness.embedded.machine import children, layout, linux, logger, network, process, runtime, wire


def run(order: dict[str, Any], lifeline: socket.socket, keeper: int) -> int:
    """The life of process 1; `order` is the launcher's. Returns the control plane's exit code."""
    socket.sethostname(order["name"])
    process.raise_open_files()
    make_mounts()
    connection, theirs = socket.socketpair()
    with theirs:
        control_plane = _start_control_plane(order, theirs.fileno())
    lifeline.sendall(b'{"up": true}\n')
    lifeline.close()
    log_control = _start_logger()
    network.make_bridge()  # takes a while
    gc.freeze()  # children share this memory as long as nothing writes to it
    return runtime.RuntimeServer(connection, keeper, log_control, control_plane, children.Forge()).serve()


def make_mounts() -> None:
    """The machine sees the host's file system, with a /proc of its own and its state on a tmpfs at /run."""
    linux.mount("none", "/", flags=linux.MS_REC | linux.MS_PRIVATE)
    linux.mount("proc", "/proc", "proc", linux.MS_NOSUID | linux.MS_NODEV | linux.MS_NOEXEC)
    linux.mount("tmpfs", "/run", "tmpfs", linux.MS_NOSUID | linux.MS_NODEV, "mode=755")
    for folder in (layout.STATE, layout.BASE, layout.IMAGES, layout.VOLUMES, layout.ROOT):
        folder.mkdir()
    for path in layout.base_paths():
        show_in_base(path)


def show_in_base(path: str) -> None:
    """A read-only view of one of the host's paths; links are made anew where they are needed."""
    here = f"{layout.BASE}{path}"
    if os.path.islink(path):
        return
    os.makedirs(os.path.dirname(here), 0o755, exist_ok=True)
    if os.path.isdir(path):
        os.mkdir(here, 0o755)
    else:
        os.close(os.open(here, os.O_CREAT | os.O_WRONLY, 0o644))
    linux.bind(path, here)
    linux.make_read_only(here)


def _start_logger() -> tuple[int, socket.socket]:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    pid = os.fork()
    if pid == 0:
        try:
            ours.close()
            logger.serve(theirs)
        finally:
            os._exit(1)
    theirs.close()
    return pid, ours


def _start_control_plane(order: dict[str, Any], runtime: int) -> int:
    os.set_inheritable(runtime, True)
    env = {**os.environ, wire.RUNTIME_FD: str(runtime), wire.IMAGES: json.dumps(order["images"])}
    argv = order["argv"]
    pid = os.posix_spawnp(argv[0], argv, env, setsigdef=[signal.SIGPIPE, signal.SIGXFSZ])
    for fd in order["fds"]:
        os.close(fd)
    return pid
