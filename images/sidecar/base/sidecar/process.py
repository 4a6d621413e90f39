"""The life of one process: comes to serve as its role says, hands over, drains, idles, ends.

The host of both sides of a hand-over: does what their machines ask for. Knows nothing of frames but two
refusals, and nothing of HTTP but that it is drained.
"""

from __future__ import annotations

import asyncio
import gc
import os
import resource
import signal
import socket
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, cast

import uvloop

from sidecar import descriptors
from sidecar.admin import Admin
from sidecar.arrival import arrive
from sidecar.config import Config, read
from sidecar.errors import HandoverError, LocalHandoverError, SidecarError
from sidecar.handover import directory, frames, sample
from sidecar.handover.channel import Channel
from sidecar.handover.control import ControlServer
from sidecar.handover.frames import Frame
from sidecar.handover.machine import State
from sidecar.handover.predecessor import PredecessorSide, refuse
from sidecar.handover.sample import SamplePredecessor
from sidecar.handover.successor import Received, SuccessorSide
from sidecar.listener import Listener
from sidecar.listeners import Listeners
from sidecar.log import Log
from sidecar.pages import pages
from sidecar.parcel import Movable, Parcel
from sidecar.proxy.connection import Connection
from sidecar.proxy.service import Service
from sidecar.record import Record
from sidecar.role import Role, role_of

STOP_IDLE_S = 0.1  # after TERM: what an idle connection gets, for a request that is on its way


class Process:
    """One container's process."""

    def __init__(self, config: Config, role: Role) -> None:
        self._config, self._role = config, role
        self._loop = asyncio.get_running_loop()
        record = Record()
        self._log = Log(config.release, config.version, role.value, record.heard)
        self._service = Service(config)
        shown = pages(config, self.state, self._log, self._service, record)
        self._admin = Admin(shown)
        self._listeners = Listeners(config.listeners, self._service, self._admin)
        self._taking: SuccessorSide | None = None  # from the predecessor
        self._giving: PredecessorSide | SamplePredecessor | None = None  # to the successor
        self._gone: list[Listener] = []  # what the successor does not listen on
        self._told_to_end: asyncio.Future[str] = self._loop.create_future()
        # What watchers are told.
        self._phase = "starting"
        self._committed = False
        self._settled = False
        self._reason = ""
        if config.sample_socket is not None:
            self._service.local[sample.trigger(config)] = self._triggered
        self._control = ControlServer(config.directory, config.generation, self.state, self._requested)

    def state(self) -> dict[str, Any]:
        """What hook, probe and other processes see. `settled`: the predecessor may be emptied."""
        return {
            **self.identity(),
            "phase": self._phase,
            "serves": self._phase == "working",
            "committed": self._committed,
            "settled": self._settled,
            "connections": len(self._service.clients),
            "reason": self._reason,
        }

    async def run(self) -> int:
        """Lives until it is told to end, or fails to come to serve; the exit code."""
        for number in (signal.SIGTERM, signal.SIGINT):
            self._loop.add_signal_handler(number, self._signalled, number.name)
        self._admin.listen(self._config.directory, self._config.generation)
        self._log(
            "started",
            listen=[str(listener) for listener in self._config.listeners],
            alt=self._config.alt,
            pid=os.getpid(),
        )
        code = 0
        if self._role is Role.IDLE:
            self._enter("idle", settled=True)
            reason = await self._told_to_end
        else:
            self._enter(
                "silent" if self._role is Role.SILENT else "arriving", settled=self._role is Role.SILENT
            )
            arriving = self._loop.create_task(self._arrive())
            waiting: set[asyncio.Future[Any]] = {arriving, self._told_to_end}
            await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
            if arriving.done() and not arriving.result():
                code, reason = 1, self._reason
            else:
                reason = await self._told_to_end
                arriving.cancel()
        await self._end(reason)
        self._log("terminated", reason=reason, code=code)
        return code

    # -- coming to serve -------------------------------------------------------------------------------------

    async def _arrive(self) -> bool:
        try:
            unsettled = await arrive(self._role, self._config, self._listeners, self._ask, self.log)
        except HandoverError as error:
            self._reason = str(error)
            self._enter("failed")
            return False
        if self._taking is None:
            self._log("listening", listeners=[str(one) for one, _ in self._listeners.offered()])
            _settle_memory()
            self._listeners.start()
            self._log.role = "working"
            self._log("accepting")
            self._committed = True
            self._enter("working", settled=not unsettled)
            if unsettled:  # what the predecessor still serves gets as long as a silent connection in a drain
                self._loop.call_later(
                    self._config.drain_idle_s, lambda: self._enter(self._phase, settled=True)
                )
            gc.enable()
        directory.sweep(self._config.directory, self._config.generation)
        return True

    async def _ask(self, path: str) -> SuccessorSide | None:
        """One attempt to take over from the process at a path; None if nobody lives there."""
        sock = directory.connect(path, within_s=0.2)
        if sock is None:
            return None
        side = self._taking = SuccessorSide(sock, self, self._config.handover_timeout_s / 2)
        side.ask()
        outcome = await side.outcome
        if outcome is not State.WORKING:
            self._taking = None
            if side.reason != frames.NOT_SERVING:
                self._log("handover_aborted", reason=side.reason, outcome=outcome.name.lower())
        return side

    def _enter(self, phase: str, settled: bool | None = None) -> None:
        self._phase = phase
        if settled is not None:
            self._settled = settled
        self._control.publish()

    # -- host of a hand-over, both sides ---------------------------------------------------------------------

    def identity(self) -> dict[str, Any]:
        """Who this is, to peers."""
        return {"generation": self._config.generation, "release": self._config.release}

    def log(self, event: str, **details: object) -> None:
        """One line."""
        self._log(event, **details)

    # -- as the successor ------------------------------------------------------------------------------------

    def room(self) -> int:
        """Three of four descriptors that are free; a connection in use takes another to the application."""
        most, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        return max(0, most - len(os.listdir("/proc/self/fd"))) * 3 // 4

    def moves(self) -> dict[str, str]:
        """What the proxy can unpack."""
        return self._service.moves()

    def listens(self) -> list[str]:
        """All of them: warm_up has bound what was not received."""
        return [str(listener) for listener in self._config.listeners]

    def can_take(self, parcel: Parcel) -> bool:
        """If it came by a listener that is one here too."""
        listener = self._listeners.find(parcel.listener)
        return listener is not None and self._service.can_take(parcel, listener)

    def take(self, parcel: Parcel, sockets: Sequence[socket.socket]) -> None:
        """From the first one on the hook must not fail: that would end it."""
        if not self._committed:
            self._committed = True
            self._control.publish()
        listener = self._listeners.find(parcel.listener)
        assert listener is not None
        self._service.unpack(parcel, listener, sockets)

    async def warm_up(self, received: Received) -> None:
        """Has every listener and a connection to the application, if that answers."""
        self._listeners.adopt(received)
        self._listeners.bind_missing()
        try:
            self._service.pool.put(await self._service.pool.connect())
        except (OSError, TimeoutError) as error:
            self._log("upstream_unreachable", upstream=str(self._config.upstream), reason=str(error))
        _settle_memory()
        gc.disable()  # until it is settled: a collection stalls every connection that moves

    def start_accepting(self) -> None:
        """On all listeners."""
        self._listeners.start()
        self._log("accepting")

    def working(self) -> None:
        """The commit has come."""
        self._committed = True
        self._log.role = "working"
        self._log("commit")
        self._enter("working")

    def withdraw(self) -> None:
        """Closes the listeners: somebody else has them."""
        self._listeners.close()

    def settled(self, counts: Mapping[str, Any]) -> None:
        """The predecessor is drained or gone."""
        gc.enable()
        self._log("predecessor_drained" if counts else "predecessor_gone", **counts)
        self._enter(self._phase, settled=True)

    # -- as the predecessor ----------------------------------------------------------------------------------

    def _requested(self, channel: Channel, frame: Frame) -> None:
        if self._phase != "working":
            refuse(channel, frames.NOT_SERVING)
        elif self._giving is not None:
            refuse(channel, frames.BUSY)
        else:
            giving = self._giving = PredecessorSide(channel, self, self._config.handover_timeout_s / 2)
            giving.request(frame)

    async def _triggered(self) -> bytes:
        """A successor of the sample asks; the answer to it."""
        if self._phase != "working" or self._giving is not None:
            return sample.FAILED
        giving = self._giving = SamplePredecessor(self, self._config)
        return await giving.triggered()

    def offered(self) -> Sequence[tuple[Listener, int]]:
        """The listeners of this process."""
        return self._listeners.offered()

    def kept(self, listeners: frozenset[str]) -> None:
        """What the successor does not listen on is closed after the drain."""
        self._gone = self._listeners.kept(listeners)

    def start_moving(self, moves: Mapping[str, str], add: Callable[[Movable], None]) -> Iterable[Movable]:
        """Connections of a kind that the successor knows, by a listener that it has."""
        mine = self._service.moves()

        def movable(client: Connection) -> bool:
            form = mine.get(client.kind)
            client.stays = form is None or form != moves.get(client.kind) or client.listener in self._gone
            return not client.stays

        def rest(client: Connection) -> None:
            if not client.stays and movable(client):
                add(client)

        gc.disable()
        idle = [client for client in self._service.clients if movable(client) and client.ready()]
        self._service.rest = rest
        return idle

    def stop_moving(self) -> None:
        """Connections are served here."""
        self._service.rest = None

    def tell(self) -> None:
        """Connections are told, if there is a drain."""
        self._service.tell()

    def stays(self, connection: Movable) -> None:
        """Served here until the end; its client is told in the drain."""
        client = cast(Connection, connection)  # `start_moving` gave it away
        client.stays = True
        client.take_back()
        client.drain()

    def stop_accepting(self) -> None:
        """The successor accepts."""
        self._listeners.stop()

    def start_drain(self) -> None:
        """Serves what it has, and no more."""
        giving = self._giving
        assert giving is not None

        def drained(counts: dict[str, int]) -> None:
            self._service.rest = None
            self._listeners.close_gone()
            gc.enable()
            self._log("drained", **{**counts, "moved": giving.moved})
            self._enter("drained")
            giving.drained(counts)

        if self._taking is not None:
            self._taking.handed_on()
            self._taking = None
        self._log.role = "predecessor"
        self._log("draining", connections=len(self._service.clients) + self._service.arriving)
        self._enter("draining")
        self._service.start_drain(self._config.drain_idle_s, self._config.drain_deadline_s, drained)

    def resume(self) -> None:
        """The successor is lost or gave back: this process serves again."""
        self._service.stop_drain()
        try:
            self._listeners.bind_missing()  # what was closed because the successor did not want it
        except LocalHandoverError as error:
            self._log("listener_lost", reason=str(error))
        self._listeners.start()
        self._log.role = "working"
        self._log("resumed")
        self._enter("working")

    def handover_over(self, retired: bool) -> None:
        """Free for another hand-over, unless a later one serves."""
        if retired:
            self._service.tell()
        else:
            self._giving = None
            self.kept(frozenset(self.listens()))
            gc.enable()

    # -- the end ---------------------------------------------------------------------------------------------

    def _signalled(self, name: str) -> None:
        if self._told_to_end.done():
            os._exit(0)  # told twice
        self._told_to_end.set_result(name)

    async def _end(self, reason: str) -> None:
        """Gives back or lets go; then lets what is under way come to its end, shortly."""
        self._phase = "failed" if self._phase == "failed" else "ending"
        self._control.publish()
        if self._taking is not None:
            self._taking.stop(reason)
        if self._giving is not None:
            self._giving.stop(reason)
        self._listeners.close()
        self._control.close()
        self._admin.close()
        if self._service.clients or self._service.arriving:
            gone: asyncio.Future[dict[str, int]] = self._loop.create_future()
            self._service.stop_drain()
            self._service.start_drain(STOP_IDLE_S, self._config.stop_s, gone.set_result)
            self._log("ending", connections=len(self._service.clients) + self._service.arriving)
            await gone
        self._service.close()


def main() -> int:
    """The command: 0 when told to end, 1 when it could not serve, 2 when the environment is wrong."""
    try:
        config = read(os.environ)
        role = role_of(config.version, config.alt)
        descriptors.raise_limit()
    except SidecarError as error:
        sys.stderr.write(f"sidecar: {error}\n")
        return 2
    try:
        directory.ensure(config.directory)
        return uvloop.run(_live(config, role))
    except SidecarError as error:
        sys.stderr.write(f"sidecar: {error}\n")
        return 1


def _settle_memory() -> None:
    """What lives now lives long: later collections need not look at it and stall connections for it."""
    gc.collect()
    gc.freeze()


async def _live(config: Config, role: Role) -> int:
    return await Process(config, role).run()
