"""A container's process: user, limits, capabilities, environment, terminal, and the step into its program.

Runs in forked children of process 1, after the container's root is in place. Knows nothing of images and
pods.
"""

from __future__ import annotations

import errno
import fcntl
import os
import resource
import signal
import socket
import stat
import struct
import termios
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NoReturn

from harness.embedded.machine import linux

OPEN_FILES = 65536  # load needs 20,000; programs that walk all descriptors get slow with a million
LAST_CAPABILITY = 40
KEPT_CAPABILITIES = frozenset((0, 1, 3, 4, 5, 6, 7, 8, 10, 13, 18, 27, 29, 31))
"""Docker's default set: CHOWN, DAC_OVERRIDE, FOWNER, FSETID, KILL, SETGID, SETUID, SETPCAP, NET_BIND_SERVICE,
NET_RAW, SYS_CHROOT, MKNOD, AUDIT_WRITE, SETFCAP. Above all no SYS_ADMIN, with which the root could be taken
apart again."""

DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_TIOCGPTN = 0x80045430
_TIOCSPTLCK = 0x40045431


class CannotStart(Exception):
    """The program cannot be started; the message is the one that a container runtime gives."""


@dataclass(frozen=True)
class Identity:
    """Who a process is, and where its home lies."""

    uid: int
    gid: int
    home: str


def one_id_only() -> bool:
    """Whether this machine has only one user: it was started by an ordinary one."""
    with open("/proc/self/uid_map") as lines:
        return sum(int(line.split()[2]) for line in lines) == 1


def identity(user: str) -> Identity:
    """The user by the form of a Dockerfile's USER, looked up in the container's own files."""
    name, _, group = user.partition(":")
    name = name or "0"
    uid, gid, home = _look_up("/etc/passwd", name, (2, 3, 5))
    if uid is None:
        if not name.isdigit():
            raise CannotStart(f"unable to find user {name}: no matching entries in passwd file")
        uid, gid, home = name, "0", "/root" if name == "0" else "/"
    if group:
        found = _look_up("/etc/group", group, (2,))[0]
        if found is None and not group.isdigit():
            raise CannotStart(f"unable to find group {group}: no matching entries in group file")
        gid = found or group
    return Identity(int(uid), int(gid or 0), home or "/")


def _look_up(file: str, name: str, fields: Sequence[int]) -> list[str | None]:
    try:
        with open(file, errors="replace") as lines:
            for line in lines:
                entry = line.rstrip("\n").split(":")
                if len(entry) > max(fields) and name in (entry[0], entry[2]):
                    return [entry[field] for field in fields]
    except OSError:
        pass  # an image without such a file knows no names
    return [None] * len(fields)


def raise_open_files() -> None:
    """As many open files as the containers may need, or as this user may have."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (OPEN_FILES, OPEN_FILES))
    except (ValueError, OSError):
        limit = min(hard, OPEN_FILES)
        resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))


def default_signals() -> None:
    """Undoes what process 1 and Python do with signals."""
    signal.set_wakeup_fd(-1)
    for number in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}:
        if number < signal.SIGRTMIN:
            signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())


def use_files(stdin: int | None, stdout: int, stderr: int) -> None:
    """Makes these the standard streams; without an input it is /dev/null."""
    if stdin is None:
        stdin = os.open("/dev/null", os.O_RDONLY)
    for fd, stream in ((stdin, 0), (stdout, 1), (stderr, 2)):
        os.dup2(fd, stream)


def open_terminal() -> int:
    """A terminal of the container as standard streams and controlling terminal; returns its other end."""
    master = os.open("/dev/ptmx", os.O_RDWR | os.O_NOCTTY)
    fcntl.ioctl(master, _TIOCSPTLCK, struct.pack("i", 0))
    (number,) = struct.unpack("i", fcntl.ioctl(master, _TIOCGPTN, b"\0" * 4))
    slave = os.open(f"/dev/pts/{number}", os.O_RDWR | os.O_NOCTTY)
    fcntl.ioctl(slave, termios.TIOCSCTTY, 0)
    use_files(slave, slave, slave)
    return master


def complete(env: Mapping[str, str], home: str, tty: bool) -> dict[str, str]:
    """The environment with what a runtime adds where it is missing."""
    added = {"PATH": DEFAULT_PATH, "HOSTNAME": socket.gethostname(), "HOME": home}
    return {**added, **({"TERM": "xterm"} if tty else {}), **env}


def execute(
    argv: Sequence[str], *, env: Mapping[str, str], cwd: str, user: str, tty: bool, status: socket.socket
) -> NoReturn:
    """Becomes the user and the program; CannotStart. `x` goes to `status` right before."""
    single = one_id_only()
    who = identity("0" if single else user)
    env = complete(env, who.home, tty)
    if not os.path.isdir(cwd):
        os.makedirs(cwd, 0o755)
        os.chown(cwd, who.uid, who.gid)
    for capability in range(LAST_CAPABILITY + 1):
        if capability not in KEPT_CAPABILITIES:
            _drop(capability)
    if not single:
        _own_streams(who)
        os.setgroups([])
        os.setgid(who.gid)
        os.setuid(who.uid)
    linux.prctl(linux.PR_SET_NO_NEW_PRIVS, 1)
    try:
        os.chdir(cwd)
    except OSError as error:
        raise CannotStart(f"chdir to cwd ({json_quoted(cwd)}): {_reason(error)}") from error
    program = find(argv[0], env["PATH"])
    status.send(b"x")
    try:
        os.execve(program, list(argv), env)
    except OSError as error:
        raise CannotStart(f"exec {program}: {_reason(error)}") from error


def _own_streams(who: Identity) -> None:
    """So that the user may open /dev/stdout; never for a device, which would be the host's."""
    for stream in range(3):
        if stat.S_ISFIFO(os.fstat(stream).st_mode) or os.isatty(stream):
            os.fchown(stream, who.uid, who.gid)


def _drop(capability: int) -> None:
    try:
        linux.prctl(linux.PR_CAPBSET_DROP, capability)
    except OSError as error:
        if error.errno != errno.EINVAL:  # this kernel has fewer
            raise


def find(name: str, path: str) -> str:
    """The program's file, by PATH if it is a bare name; CannotStart."""
    if "/" in name:
        candidates, missing = [name], f"exec: {json_quoted(name)}: stat {name}: no such file or directory"
    else:
        candidates = [os.path.join(folder or ".", name) for folder in path.split(":")]
        missing = f"exec: {json_quoted(name)}: executable file not found in $PATH"
    denied = False
    for candidate in candidates:
        try:
            mode = os.stat(candidate).st_mode
        except PermissionError:
            denied = True
            continue
        except OSError:
            continue
        if stat.S_ISREG(mode) and os.access(candidate, os.X_OK):
            return candidate
        denied = True
    raise CannotStart(f"exec: {json_quoted(name)}: permission denied" if denied else missing)


def json_quoted(text: str) -> str:
    """In double quotes, as container runtimes print names."""
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _reason(error: OSError) -> str:
    return (os.strerror(error.errno) if error.errno else str(error)).lower()
