"""A container's root file system, built in the container's mount namespace by a forked child of process 1.

An overlay of the image's files over a small tmpfs that takes what the container writes; a base image also
shows the host's directories, read-only. Where an image or a volume puts something inside one of those, that
directory alone is taken apart: each of its entries is shown by itself, beside the new one. (An overlay over
the host's directories would be shorter, but an ordinary user may not make one where the host has mounts below
them.)
"""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping, Sequence
from typing import Any

from harness.embedded.machine import layout, linux

WRITABLE_SIZE = (
    "64m"  # what one container may write outside its volumes; the machine's memory is the laptop's
)
DEVICES = ("null", "zero", "full", "random", "urandom", "tty")
DEVICE_LINKS = {
    "fd": "/proc/self/fd",
    "stdin": "/proc/self/fd/0",
    "stdout": "/proc/self/fd/1",
    "stderr": "/proc/self/fd/2",
    "ptmx": "pts/ptmx",
}
PROC_READ_ONLY = (
    "sys",
    "sysrq-trigger",
    "irq",
    "bus",
)  # the host's own settings, which its root could change here


def build(
    image_root: str, scratch: bool, mounts: Sequence[Mapping[str, Any]], shm: str, unprivileged: bool
) -> None:
    """Builds the root and moves into it. `mounts` have source, target and read_only."""
    os.umask(0)
    root = _overlay(image_root, unprivileged)
    targets = [mount["target"] for mount in mounts]
    if not scratch:
        _base(root, targets)
    _kernel(root, shm)
    for mount in mounts:
        where = _mount_point(root, mount["target"], os.path.isdir(mount["source"]))
        linux.bind(mount["source"], where)
        if mount["read_only"]:
            linux.make_read_only(where)
    linux.pivot_root(root)
    os.umask(0o022)


def _overlay(image_root: str, unprivileged: bool) -> str:
    linux.mount("tmpfs", str(layout.ROOT), "tmpfs", data=f"mode=755,size={WRITABLE_SIZE}")
    upper, work, root = (str(layout.ROOT / part) for part in ("upper", "work", "merged"))
    for folder in (upper, work, root):
        os.mkdir(folder, 0o755)
    # Without the option an unprivileged overlay cannot remember that a directory of the image was removed.
    option = ",userxattr" if unprivileged else ""
    linux.mount(
        "overlay", root, "overlay", data=f"lowerdir={image_root},upperdir={upper},workdir={work}{option}"
    )
    return root


def _base(root: str, targets: Sequence[str]) -> None:
    parted = _parted(targets)
    for path in layout.base_paths():
        folder, name = os.path.split(path)
        _show(root + _directory(root, folder), folder, name, parted)
    for path in layout.WRITABLE:
        _directory(root, path)
    for path in layout.STICKY:
        os.chmod(root + _directory(root, path), 0o1777)
    if not any(
        shown.startswith("/root/") for shown in layout.base_paths()
    ):  # else everybody must get through
        os.chmod(root + _directory(root, "/root"), 0o700)
    if not os.path.lexists(root + "/var/run"):
        os.symlink("/run", root + "/var/run")


def _parted(targets: Sequence[str]) -> set[str]:
    """The host's directories that must be taken apart because a volume's mount point is missing in them."""
    parted = set()
    for target in targets:
        path = os.path.realpath(target)
        if any(target.startswith(shown + "/") for shown in layout.base_paths()) and not os.path.lexists(path):
            while path != "/":
                path = os.path.dirname(path)
                parted.add(path)
    return parted


def _show(root_folder: str, folder: str, name: str, parted: set[str]) -> None:
    """Shows one entry of a folder of the base in the root's, unless the image has a file of its own there."""
    path, there = os.path.join(folder, name), f"{root_folder}/{name}"
    mode = os.lstat(path).st_mode
    taken = os.path.lexists(there)
    if stat.S_ISDIR(mode):
        if taken and (os.path.islink(there) or not os.path.isdir(there)):
            return
        if not taken:
            os.mkdir(there, 0o755)
        if not taken and path not in parted:
            linux.bind(f"{layout.BASE}{path}", there)
            return
        for entry in os.listdir(path):
            _show(there, path, entry, parted)
    elif taken:
        return
    elif stat.S_ISLNK(mode):
        os.symlink(os.readlink(path), there)
    elif stat.S_ISREG(mode):
        os.close(os.open(there, os.O_CREAT | os.O_WRONLY, 0o644))
        linux.bind(f"{layout.BASE}{path}", there)


def _kernel(root: str, shm: str) -> None:
    """/proc, /sys and /dev."""
    proc, dev, sys = (root + _directory(root, path) for path in ("/proc", "/dev", "/sys"))
    linux.mount("proc", proc, "proc", linux.MS_NOSUID | linux.MS_NODEV | linux.MS_NOEXEC)
    for name in PROC_READ_ONLY:
        if os.path.exists(f"{proc}/{name}"):
            linux.bind(f"{proc}/{name}", f"{proc}/{name}")
            linux.make_read_only(f"{proc}/{name}")
    linux.bind("/sys", sys)
    linux.make_read_only(sys)
    for name in DEVICES:
        os.close(os.open(f"{dev}/{name}", os.O_CREAT | os.O_WRONLY, 0o666))
        linux.bind(f"/dev/{name}", f"{dev}/{name}")
    for name, target in DEVICE_LINKS.items():
        if not os.path.lexists(f"{dev}/{name}"):
            os.symlink(target, f"{dev}/{name}")
    for name in ("pts", "shm"):
        _directory(root, f"/dev/{name}")
    linux.mount(
        "devpts",
        f"{dev}/pts",
        "devpts",
        linux.MS_NOSUID | linux.MS_NOEXEC,
        "newinstance,ptmxmode=0666,mode=0620",
    )
    linux.bind(shm, f"{dev}/shm")


def _mount_point(root: str, target: str, directory: bool) -> str:
    """The place of a volume in the root, made if it is missing."""
    if directory:
        return root + _directory(root, target)
    folder, name = os.path.split(os.path.normpath(target))
    where = root + resolve(root, _directory(root, folder) + "/" + name)
    if not os.path.lexists(where):
        os.close(os.open(where, os.O_CREAT | os.O_WRONLY, 0o644))
    return where


def _directory(root: str, path: str) -> str:
    """Makes a directory with its parents; returns its path within the root, with links followed."""
    path = resolve(root, path)
    missing = []
    while not os.path.isdir(root + path):
        missing.append(path)
        path = os.path.dirname(path)
    for folder in reversed(missing):
        os.mkdir(root + folder, 0o755)
    return missing[0] if missing else path


def resolve(root: str, path: str) -> str:
    """A path with links followed as a process would whose root is `root`.

    What does not exist is kept as it is.
    """
    pending, done, hops = path.split("/")[::-1], "", 0
    while pending:
        part = pending.pop()
        if part in ("", "."):
            continue
        if part == "..":
            done = os.path.dirname(done)
            continue
        here = f"{done}/{part}"
        if os.path.islink(root + here) and hops < 40:
            hops += 1
            target = os.readlink(root + here)
            pending += target.split("/")[::-1]
            done = "" if target.startswith("/") else done
        else:
            done = here
    return done or "/"
