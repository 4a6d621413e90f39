"""The directory that both containers share, and the sockets in it. Knows nothing of what is said.

Every process listens on `<generation>.sock` (control) and `<generation>.admin`, put in place by a rename, so
that a path is live from its first moment and a process only ever replaces its own generation's. Which process
serves is asked of the processes: a file outlives its writer (/dev/shm outlives containers), an answer does
not.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import socket
import stat
import struct
from collections.abc import Iterator

from sidecar.errors import LocalHandoverError

CONTROL, ADMIN = "sock", "admin"
_TYPES = {CONTROL: socket.SOCK_SEQPACKET, ADMIN: socket.SOCK_STREAM}
_CREDENTIALS = struct.Struct("3i")  # struct ucred: pid, uid, gid


def ensure(directory: str) -> None:
    """Makes the directory, or refuses one that another user could use.

    The mode is checked, never trusted to umask.
    """
    try:
        with contextlib.suppress(FileExistsError):
            os.mkdir(directory, 0o700)
        status = os.lstat(directory)
    except OSError as error:
        raise LocalHandoverError(
            f"{directory} cannot be made: {error.strerror}; set SIDECAR_HANDOVER_DIR"
        ) from error
    if not stat.S_ISDIR(status.st_mode):
        raise LocalHandoverError(f"{directory} is no directory; remove it or set SIDECAR_HANDOVER_DIR")
    if status.st_uid != os.geteuid():
        raise LocalHandoverError(
            f"{directory} belongs to uid {status.st_uid}, this is uid {os.geteuid()}; run both as one user"
        )
    if status.st_mode & 0o077:
        raise LocalHandoverError(
            f"{directory} is open to other users ({status.st_mode & 0o777:o}); chmod 700 it"
        )


def path_of(directory: str, generation: str, use: str = CONTROL) -> str:
    """Where the process of a generation listens."""
    return f"{directory}/{generation}.{use}"


def listen(directory: str, generation: str, use: str = CONTROL) -> socket.socket:
    """A socket of this process, listening, at its path."""
    temporary = f"{directory}/.{generation}.{os.urandom(6).hex()}"
    sock = socket.socket(socket.AF_UNIX, _TYPES[use])
    try:
        sock.setblocking(False)
        sock.bind(temporary)
        os.chmod(temporary, 0o600)
        sock.listen(16)
        with _locked(directory):
            os.rename(temporary, path_of(directory, generation, use))
    except OSError as error:
        sock.close()
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        raise LocalHandoverError(f"no socket in {directory}: {error.strerror}") from error
    return sock


def others(directory: str, generation: str, first: str = "") -> list[str]:
    """Control paths of all other generations, live or dead: `first`, then the newest ones."""
    names = {name[:-5] for name in os.listdir(directory) if name.endswith(".sock")} - {generation}
    newest = sorted(names, key=lambda name: int(name) if name.isdigit() else -1, reverse=True)
    return [path_of(directory, name) for name in sorted(newest, key=lambda name: name != first)]


def connect(path: str, within_s: float) -> socket.socket | None:
    """A connection to a process of this user, or None if none lives there. Blocks at most `within_s`."""
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    sock.settimeout(within_s)
    try:
        sock.connect(path)
        if same_user(sock):
            return sock
    except OSError:  # refused, gone, or a backlog that stays full: nobody who could answer
        pass
    sock.close()
    return None


def same_user(sock: socket.socket) -> bool:
    """Whether the peer runs as this process does."""
    return peer_uid(sock) == os.geteuid()


def peer_uid(sock: socket.socket) -> int:
    """Who the peer is. Its pid reads 0 across PID namespaces: the uid has to do."""
    raw = sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    return int(_CREDENTIALS.unpack(raw)[1])


def sweep(directory: str, generation: str) -> None:
    """Removes what dead processes left; only the working process does so.

    A refusal is proof of death, since paths appear after listen(); the lock keeps new ones from appearing
    between the proof and the removal.
    """
    with _locked(directory):
        for name in os.listdir(directory):
            whose, _, use = name.rpartition(".")
            if use in _TYPES and whose != generation:
                _remove_dead(f"{directory}/{name}", _TYPES[use])


def _remove_dead(path: str, kind: int) -> None:
    with socket.socket(socket.AF_UNIX, kind) as sock, contextlib.suppress(OSError):
        sock.setblocking(False)
        try:
            sock.connect(path)
        except ConnectionRefusedError:
            os.unlink(path)


def remove(directory: str, generation: str, inode: int, use: str = CONTROL) -> None:
    """Takes this process's own path away, unless a later process has replaced it."""
    path = path_of(directory, generation, use)
    with contextlib.suppress(OSError):
        if os.lstat(path).st_ino == inode:
            os.unlink(path)


@contextlib.contextmanager
def _locked(directory: str) -> Iterator[None]:
    """Held for microseconds, never across a wait."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
