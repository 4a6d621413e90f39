"""Forks the machine's children: pod sandboxes, containers, commands in containers.

A child tells process 1 over a status socket how far it came: `n` with the descriptors of a sandbox's
namespaces, `t` with a terminal's, `x` right before it becomes its program, `!` and a message when it failed.
The socket ends with the step into the program. Knows nothing of requests and answers.
"""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, NoReturn

from harness.embedded.machine import linux, network, process, rootfs, wire

CANNOT_START = 128  # the exit code that container runtimes give for it


@dataclass
class Child:
    """A forked child until its program runs."""

    pid: int
    status: socket.socket
    said: bytes = b""
    fds: list[int] = field(default_factory=list)

    def listen(self) -> bool:
        """Takes what the child says; True when it has said everything."""
        data, fds = wire.receive(self.status)
        self.said += data
        self.fds += fds
        if not data:
            self.status.close()
        return not data

    @property
    def failure(self) -> str | None:
        """Why its program does not run, or None if it does."""
        if b"!" in self.said:
            return self.said.partition(b"!")[2].decode(errors="replace")
        return None if b"x" in self.said or b"n" in self.said else "killed before it was started"


class Forge:
    """Makes children, each in the PID namespace that it belongs to."""

    def __init__(self) -> None:
        self._own_pid_namespace = os.open("/proc/self/ns/pid", os.O_RDONLY)
        self._single = process.one_id_only()

    def sandbox(self, number: int, hostname: str) -> Child:
        """Makes a pod's namespaces; the child is gone when it has said so."""

        def body(status: socket.socket) -> NoReturn:
            socket.send_fds(status, [b"n"], network.make_sandbox(number, hostname))
            os._exit(0)

        return self._fork(body)

    def container(self, spec: dict[str, Any], spaces: Sequence[int], output: Sequence[int]) -> Child:
        """A container's first process; `output` is its stdout and stderr, or nothing if it has a terminal."""

        def body(status: socket.socket) -> NoReturn:
            os.setsid()
            for space in spaces:
                linux.setns(space, 0)
            linux.unshare(linux.CLONE_NEWNS)
            rootfs.build(spec["root"], spec["scratch"], spec["mounts"], spec["shm"], self._single)
            if output:
                process.use_files(None, output[0], output[1])
            else:
                socket.send_fds(status, [b"t"], [process.open_terminal()])
            _execute(spec, status)

        linux.unshare(linux.CLONE_NEWPID)
        try:
            return self._fork(body)
        finally:
            linux.setns(self._own_pid_namespace, linux.CLONE_NEWPID)

    def command(self, spec: dict[str, Any], container: int, files: Sequence[int | None]) -> Child:
        """A command in a running container.

        `files` are its standard streams, or nothing if it gets a terminal.
        """
        target = os.pidfd_open(container)

        def body(status: socket.socket) -> NoReturn:
            os.setsid()
            linux.setns(
                target, linux.CLONE_NEWNS | linux.CLONE_NEWNET | linux.CLONE_NEWIPC | linux.CLONE_NEWUTS
            )
            os.umask(0o022)
            if files:
                stdin, stdout, stderr = files
                assert stdout is not None
                assert stderr is not None
                process.use_files(stdin, stdout, stderr)
            else:
                socket.send_fds(status, [b"t"], [process.open_terminal()])
            _execute(spec, status)

        try:
            linux.setns(target, linux.CLONE_NEWPID)
            return self._fork(body)
        finally:
            linux.setns(self._own_pid_namespace, linux.CLONE_NEWPID)
            os.close(target)

    def _fork(self, body: Callable[[socket.socket], NoReturn]) -> Child:
        ours, theirs = socket.socketpair()
        pid = os.fork()
        if pid:
            theirs.close()
            return Child(pid, ours)
        try:
            process.default_signals()
            body(theirs)
        except BaseException as error:
            if not isinstance(error, process.CannotStart | OSError):
                sys.excepthook(type(error), error, error.__traceback__)
                sys.stderr.flush()
            theirs.send(b"!" + str(error).encode())
        finally:
            os._exit(CANNOT_START)


def _execute(spec: dict[str, Any], status: socket.socket) -> NoReturn:
    process.execute(
        spec["argv"], env=spec["env"], cwd=spec["cwd"], user=spec["user"], tty=spec["tty"], status=status
    )
