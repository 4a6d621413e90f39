"""Where things lie in the machine, and which of the host's files a base image shows.

Knows nothing of containers.
"""

from __future__ import annotations

import functools
import os
import sys
from pathlib import Path

STATE = Path("/run/hotupgrade")
"""Everything that the machine writes: a tmpfs that only its own mount namespace has."""

BASE = STATE / "base"
"""The base images' root: read-only views of the host's directories at their own paths."""

IMAGES = STATE / "images"
VOLUMES = STATE / "volumes"
ROOT = STATE / "root"
"""An empty directory on which each container, in its own mount namespace, builds its root."""

SYSTEM = ("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32", "/etc")
"""What makes a root file system with a shell and a C library.

/opt, /srv and the like are the image's own affair.
"""

STICKY = ("/tmp", "/var/tmp")
WRITABLE = ("/run", "/home", "/var")
"""Directories that a base image has of its own, empty, as in a base image from a registry."""

SOURCE_ROOT = Path(__file__).resolve().parents[3]


@functools.cache
def base_paths() -> tuple[str, ...]:
    """The host's paths that a base image shows: the system, this Python, its packages, the harness.

    Directories and files by their real paths, and the links that lead to them; none lies below another.
    """
    prefixes = (
        sys.prefix,
        sys.exec_prefix,
        sys.base_prefix,
        sys.base_exec_prefix,
        sys.executable,
        str(SOURCE_ROOT),
    )
    wanted = [step for path in (*SYSTEM, *prefixes) if os.path.exists(path) for step in _trail(path)]
    shown: list[str] = []
    for path in sorted(set(wanted) - {"/"}):  # a directory sorts before what lies in it
        if not any(path.startswith(other + "/") for other in shown):
            shown.append(path)
    return tuple(shown)


def _trail(path: str) -> list[str]:
    """The links on the way to a path, of which a virtual environment's python3 has several, and its end."""
    pending, here, trail = path.split("/")[::-1], "", []
    while pending:
        part = pending.pop()
        if part in ("", ".", ".."):
            here = os.path.dirname(here) if part == ".." else here
            continue
        here = f"{here.rstrip('/')}/{part}"
        if os.path.islink(here):
            trail.append(here)
            target = os.readlink(here)
            pending += target.split("/")[::-1]
            here = "" if target.startswith("/") else os.path.dirname(here)
    return [*trail, here or "/"]


def real(path: str) -> str:
    """A path of a base image with the base's links followed; what the base does not show is left as it is."""
    shows = any(path == shown or path.startswith(shown + "/") for shown in base_paths())
    return os.path.realpath(path) if shows else path


def in_base(path: str) -> str | None:
    """Where a path of a base image really lies on the host; None if the base has no such path."""
    shows = any(path == shown or path.startswith(shown + "/") for shown in base_paths())
    return real(path) if shows and os.path.lexists(real(path)) else None


def search_path() -> str:
    """PATH of base images: `python3` and `locust` are those of the environment in which the harness runs."""
    system = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
    return f"{os.path.dirname(sys.executable)}:{system}"
