"""Process 1 of the machine: makes its mounts and its network, starts the control plane, then serves as `runtime`.

The control plane starts first, since it takes longest; what it asks for meanwhile waits in the socket.
"""

from __future__ import annotations

import gc
import json
import os
import selectors
import signal
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from harness.embedded.machine import layout, linux, logger, process, wire

if TYPE_CHECKING:
    from harness.embedded.machine import children

    0.5  # a container's end is told when its log is complete; its pipes end with its processes
)


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
    from harness.embedded.machine import (
        children,
        network,
    )  # takes a while; the control plane starts meanwhile

    network.make_bridge()
    gc.freeze()  # children share this memory as long as nothing writes to it
    return runtime.RuntimeServer(connection, keeper, log_control, control_plane, children.Forge()).serve()


def make_mounts() -> None:
    """The machine's view of the file system: the host's, with a /proc of its own and its state on a tmpfs at
    /run."""
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
