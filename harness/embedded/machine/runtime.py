"""The container runtime that process 1 is: serves the control plane's requests, reaps, tells what ended.

One thread and one loop; what takes time happens in forked children (`children`). Answers the verbs
`run_sandbox`, `remove_sandbox`, `start`, `signal`, `exec` and `kill` of `wire`; sends the events `hello`,
`exit` and `command`. Ends, and the machine with it, when the control plane or the keeper ends. Knows nothing
of what is in a pod.
"""

from __future__ import annotations

import json
import os
import selectors
import signal
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from harness.embedded.machine import children, network, wire

LOG_ENDS_WITHIN_S = 0.5  # a container's end is told when its log is complete, which ends with its processes


class Refused(Exception):
    """A request that cannot be done; the message goes to the caller."""


@dataclass
class Sandbox:
    """A pod's namespaces, held open by descriptors."""

    address: str
    spaces: list[int]


@dataclass
class Container:
    """A container from its fork until its end was told."""

    spec: dict[str, Any]
    pid: int
    log_open: bool = True
    running: bool = False
    ended: dict[str, Any] | None = None
    told_by: float = 0.0


@dataclass
class Waiting:
    """A child that has not yet become its program, and what to do then."""

    child: children.Child
    then: Callable[[], None]


@dataclass
class RuntimeServer:
    """The state of process 1 while it serves."""

    connection: socket.socket
    keeper: int
    log_control: tuple[int, socket.socket]
    control_plane: int
    forge: children.Forge
    sandboxes: dict[str, Sandbox] = field(default_factory=dict)
    containers: dict[str, Container] = field(default_factory=dict)
    commands: dict[int, str] = field(default_factory=dict)
    waiting: dict[int, Waiting] = field(default_factory=dict)
    making: set[str] = field(default_factory=set)
    removals: list[tuple[int, str]] = field(default_factory=list)
    made: int = 0
    exit_code: int | None = None

    def __post_init__(self) -> None:
        self._inbox, self._outbox = wire.Decoder(), wire.Outbox()
        self._selector = selectors.DefaultSelector()
        wake_read, wake_write = os.pipe()
        os.set_blocking(wake_write, False)
        os.set_blocking(wake_read, False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(wake_write, warn_on_full_buffer=False)
        self.connection.setblocking(False)
        read = selectors.EVENT_READ
        self._selector.register(wake_read, read, lambda: self._reap(wake_read))
        self._selector.register(self.keeper, read, self._keeper_ended)
        self._selector.register(self.connection, read, self._requests)
        self._selector.register(self.log_control[1], read, self._log_ended)

    def serve(self) -> int:
        """Runs until the control plane ends; returns its exit code."""
        os.kill(os.getpid(), signal.SIGCHLD)  # a child may have ended before there was a handler
        self._send({"event": "hello"})
        while self.exit_code is None:
            for key, _ in self._selector.select(self._patience()):
                if self._selector.get_map().get(key.fd) is key:  # what came before it may have dealt with it
                    key.data()
            self._tell_ends()
            self._write()
        return self.exit_code

    # -- what arrives --------------------------------------------------------------------------------------

    def _keeper_ended(self) -> None:
        self.exit_code = 1

    def _requests(self) -> None:
        try:
            data, fds = wire.receive(self.connection)
        except BlockingIOError:
            return  # woken because it can be written again
        except ConnectionError:
            data, fds = b"", []
        if not data:
            self._selector.unregister(
                self.connection
            )  # the control plane is ending; its exit code comes by SIGCHLD
            return
        for body, files in self._inbox.feed(data, fds):
            try:
                getattr(self, f"_do_{body['verb']}")(body, files)
            except (Refused, OSError) as error:
                self._answer(body["call"], error=str(error))
            finally:
                for fd in files:
                    os.close(fd)

    def _log_ended(self) -> None:
        data = self.log_control[1].recv(4096)
        if data and (container := self.containers.get(json.loads(data)["id"])):
            container.log_open = False

    def _reap(self, wake: int) -> None:
        os.read(wake, 4096)
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            self._ended(pid, os.waitstatus_to_exitcode(status))

    def _ended(self, pid: int, status: int) -> None:
        code, number = (128 - status, -status) if status < 0 else (status, 0)
        if pid in (self.control_plane, self.log_control[0]):
            self.exit_code = code
            return
        while pid in self.waiting:  # it has ended, so what it said is complete
            self._hear(pid)
        if pid in self.commands:
            self._send({"event": "command", "id": self.commands.pop(pid), "code": code})
        for container in self.containers.values():
            if container.pid == pid:
                container.ended = {
                    "container": container.spec["id"],
                    "code": code,
                    "signal": number,
                    "at": time.time(),
                }
                container.told_by = time.monotonic() + LOG_ENDS_WITHIN_S

    # -- what is asked -------------------------------------------------------------------------------------

    def _do_run_sandbox(self, body: dict[str, Any], _files: list[int]) -> None:
        name, number = body["id"], self.made + 1
        if name in self.sandboxes or name in self.making:
            raise Refused(f"sandbox {name} exists")
        try:
            address = network.address(number)
        except ValueError as error:
            raise Refused(str(error)) from error
        self.made = number
        child = self.forge.sandbox(number, body["hostname"])
        self.making.add(name)

        def done() -> None:
            self.making.remove(name)
            if child.failure is not None:
                self._answer(body["call"], error=f"sandbox {name}: {child.failure}")
                return
            self.sandboxes[name] = Sandbox(address, child.fds)
            self._answer(body["call"], result=address)

        self._await(child, done)

    def _do_remove_sandbox(self, body: dict[str, Any], _files: list[int]) -> None:
        for container in self.containers.values():
            if container.spec["sandbox"] == body["id"] and container.ended is None:
                os.kill(container.pid, signal.SIGKILL)
        self.removals.append((body["call"], body["id"]))

    def _do_start(self, body: dict[str, Any], _files: list[int]) -> None:
        spec = body["spec"]
        sandbox = self.sandboxes.get(spec["sandbox"])
        if sandbox is None:
            raise Refused(f"container {spec['id']}: no sandbox {spec['sandbox']}")
        if spec["id"] in self.containers:
            raise Refused(f"container {spec['id']} exists")
        if not spec["argv"]:
            raise Refused("no command specified")
        os.chmod(spec["shm"], 0o1777)
        outputs: list[int] = []
        if not spec["tty"]:
            (out_read, out_write), (error_read, error_write) = os.pipe(), os.pipe()
            outputs = [out_write, error_write]
            self._log(spec, ["stdout", "stderr"], [out_read, error_read])
        try:
            child = self.forge.container(spec, sandbox.spaces, outputs)
        finally:
            for fd in outputs:
                os.close(fd)
        container = self.containers[spec["id"]] = Container(spec, child.pid)

        def done() -> None:
            if child.failure is not None:
                del self.containers[spec["id"]]
                self._answer(body["call"], error=child.failure)
                return
            if child.fds:
                self._log(spec, ["stdout"], child.fds)
            container.running = True
            self._answer(body["call"], result={"pid": child.pid, "started": time.time()})

        self._await(child, done)

    def _do_signal(self, body: dict[str, Any], _files: list[int]) -> None:
        container = self.containers.get(body["container"])
        if container is not None and container.ended is None:
            os.kill(container.pid, body["number"])
        self._answer(body["call"])

    def _do_exec(self, body: dict[str, Any], files: list[int]) -> None:
        container = self.containers.get(body["container"])
        if container is None or container.ended is not None or not container.running:
            raise Refused(f"container {body['container']} is not running")
        if not body["argv"]:
            raise Refused("no command specified")
        spec = {
            **container.spec,
            "argv": body["argv"],
            "env": container.spec["env"] | body["env"],
            "tty": body["tty"],
        }
        streams = [] if body["tty"] else [files[2] if body["stdin"] else None, files[0], files[1]]
        child = self.forge.command(spec, container.pid, streams)
        self.commands[child.pid] = body["id"]

        def done() -> None:
            if child.failure is not None:
                self.commands.pop(child.pid)
                self._answer(body["call"], error=child.failure)
            else:
                self._send({"call": body["call"], "result": None}, child.fds)

        self._await(child, done)

    def _do_kill(self, body: dict[str, Any], _files: list[int]) -> None:
        for leader, command in self.commands.items():
            if command == body["id"]:
                _kill_session(leader)
        self._answer(body["call"])

    # -- what is done --------------------------------------------------------------------------------------

    def _await(self, child: children.Child, then: Callable[[], None]) -> None:
        self.waiting[child.pid] = Waiting(child, then)
        self._selector.register(child.status, selectors.EVENT_READ, lambda: self._hear(child.pid))

    def _hear(self, pid: int) -> None:
        waiting = self.waiting[pid]
        status = waiting.child.status
        key = self._selector.get_key(status)
        if waiting.child.listen():
            self._selector.unregister(key.fd)
            del self.waiting[pid]
            waiting.then()

    def _log(self, spec: dict[str, Any], streams: list[str], fds: list[int]) -> None:
        order = json.dumps({"id": spec["id"], "log": spec["log"], "streams": streams}).encode()
        socket.send_fds(self.log_control[1], [order], fds)
        for fd in fds:
            os.close(fd)

    def _patience(self) -> float | None:
        pending = [c.told_by for c in self.containers.values() if c.ended is not None]
        return max(0.0, min(pending) - time.monotonic()) if pending else None

    def _tell_ends(self) -> None:
        now = time.monotonic()
        for name, container in list(self.containers.items()):
            if container.ended is not None and (not container.log_open or now >= container.told_by):
                del self.containers[name]
                self._send({"event": "exit", **container.ended})
        busy = self.making | {container.spec["sandbox"] for container in self.containers.values()}
        for call, name in [removal for removal in self.removals if removal[1] not in busy]:
            self.removals.remove((call, name))
            if sandbox := self.sandboxes.pop(name, None):
                for fd in sandbox.spaces:
                    os.close(fd)
            self._answer(call)

    def _answer(self, call: int, result: Any = None, error: str | None = None) -> None:
        self._send({"call": call, "result": result} if error is None else {"call": call, "error": error})

    def _send(self, body: dict[str, Any], fds: list[int] | None = None) -> None:
        self._outbox.put(body, fds or [])

    def _write(self) -> None:
        try:
            left = not self._outbox.flush(self.connection)
        except OSError:
            return  # the control plane is gone; SIGCHLD says the rest
        if self.connection in self._selector.get_map():
            events = selectors.EVENT_READ | (selectors.EVENT_WRITE if left else 0)
            self._selector.modify(self.connection, events, self._requests)


def _kill_session(leader: int) -> None:
    """SIGKILL to every process of a session: it stays together whatever groups and orphans a shell makes."""
    os.kill(leader, signal.SIGKILL)  # not reaped yet, so it is the one that was meant
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            try:
                with open(f"/proc/{entry}/stat") as stat:
                    session = int(stat.read().rpartition(")")[2].split()[3])
                if session == leader:
                    os.kill(int(entry), signal.SIGKILL)
            except (OSError, ValueError):
                continue  # it has ended meanwhile
