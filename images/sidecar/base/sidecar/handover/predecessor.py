"""The predecessor's side of a hand-over: drives its machine with a channel and a clock.

Knows nothing of HTTP: what a step asks for is done by the host. The listeners stay the host's; what is sent are
the kernel's copies, so nothing has to be undone when sending fails.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Protocol

from sidecar.errors import PeerHandoverError
from sidecar.handover import frames, machine
from sidecar.handover.channel import Channel, close_all
from sidecar.handover.frames import Frame
from sidecar.handover.machine import Do, Event, IllegalStepError, State
from sidecar.handover.mover import Mover
from sidecar.listener import Listener
from sidecar.parcel import Movable

_EVENTS = {
    frames.MOVED: Event.MOVED,
    frames.ACCEPTING: Event.ACCEPTING,
    frames.RELEASED: Event.RELEASED,
    frames.ABORT: Event.ABORT,
}
_WAITING = frozenset({State.OFFERED, State.MOVING, State.YIELDING})


class PredecessorHost(Protocol):
    """What the serving process does at the steps of a hand-over."""

    def identity(self) -> dict[str, Any]:
        """Generation and release, for the peer's log."""

    def offered(self) -> Sequence[tuple[Listener, int]]:
        """The listeners and their descriptors."""

    def kept(self, listeners: frozenset[str]) -> None:
        """The successor listens on these addresses; of the others it wants nothing."""

    def start_moving(self, moves: Mapping[str, str], add: Callable[[Movable], None]) -> Iterable[Movable]:
        """Calls `add` from now on with what may be ready to move; returns what is idle now.

        `moves` says which kinds of connections the successor can serve, in which format.
        """

    def stop_moving(self) -> None:
        """What is left is served here."""

    def tell(self) -> None:
        """The successor takes no more: what is left is told to close."""

    def stays(self, connection: Movable) -> None:
        """The successor refused this connection: takes it back, for good."""

    def log(self, event: str, **details: object) -> None:
        """One line."""

    def stop_accepting(self) -> None:
        """At once; the descriptors stay open."""

    def start_drain(self) -> None:
        """Told by `PredecessorSide.drained` when it is over."""

    def resume(self) -> None:
        """Accepts again; ends the drain."""

    def handover_over(self, retired: bool) -> None:
        """This hand-over is history: aborted or given back, or `retired` for good."""


class PredecessorSide:
    """One hand-over, from the request on."""

    def __init__(self, channel: Channel, host: PredecessorHost, step_timeout_s: float) -> None:
        self.machine = machine.predecessor()
        self._channel, self._host, self._timeout = channel, host, step_timeout_s
        self._timer: asyncio.TimerHandle | None = None
        self._counts: dict[str, int] = {}
        self._reason = ""
        self._protocol = 0
        self._mover: Mover
        self._in_hand = Frame(0, {})
        self._moves: dict[str, str] = {}  # kinds of connections that the successor serves, with their formats
        self._began = 0.0

    def request(self, frame: Frame) -> None:
        """The successor's first frame."""
        self._channel.start(self._frame, self._fault, self._lost)
        protocols = frame.body.get("protocols")
        offered = protocols if isinstance(protocols, list) else []
        common = [number for number in frames.PROTOCOLS if number in offered]
        if not common:
            reason = (
                f"the successor speaks protocols {protocols!r:.80}, this predecessor {list(frames.PROTOCOLS)}"
            )
            refuse(self._channel, reason)
            self._host.log("handover_aborted", reason=reason)
            self._host.handover_over(retired=False)
            return
        self._protocol = common[-1]
        room, moves = frame.body.get("room"), frame.body.get("moves")
        self._mover = Mover(self._channel, self, room if isinstance(room, int) else 0)
        if isinstance(moves, dict):
            self._moves = {kind: form for kind, form in moves.items() if isinstance(form, str)}
        self._host.log(
            "handover_requested", successor={name: frame.body.get(name) for name in ("generation", "release")}
        )
        self._step(Event.REQUEST)

    @property
    def moved(self) -> int:
        """How many connections the successor has."""
        return self._mover.moved

    @property
    def committed(self) -> bool:
        """Whether the successor serves now."""
        return self.machine.state in (State.DRAINING, State.DRAINED, State.RETIRED)

    def drained(self, counts: dict[str, int]) -> None:
        """The host's drain is over."""
        self._counts = {**counts, "moved": self.moved}
        self._step(Event.EMPTY)

    def stop(self, reason: str) -> None:
        """This process ends."""
        self._step(Event.STOP, reason)

    # -- what the mover says ---------------------------------------------------------------------------------

    def bulk_moved(self) -> None:
        """See MoverHost."""
        seconds = time.monotonic() - self._began
        self._host.log(
            "connections_moved",
            moved=self._mover.moved,
            refused=self._mover.refused,
            bytes=self._mover.bytes,
            seconds=round(seconds, 6),
        )
        self._step(Event.BULK_MOVED)

    def sent(self) -> None:
        """See MoverHost."""
        if self._timer is None:
            self._arm()

    def stays(self, connection: Movable) -> None:
        """See MoverHost."""
        self._host.stays(connection)

    def full(self) -> None:
        """See MoverHost."""
        self._host.log("successor_full", moved=self._mover.moved)
        self._host.tell()

    # -- what the channel says -------------------------------------------------------------------------------

    def _frame(self, frame: Frame, descriptors: list[int]) -> None:
        close_all(descriptors)
        event = _EVENTS.get(frame.kind)
        if frame.kind == frames.PREPARED:
            event = self._prepared(frame)
        if event is None:
            self._step(Event.FAULT, f"the successor sent a frame of kind {frame.kind}")
            return
        self._in_hand = frame
        self._step(event, str(frame.body.get("reason", ""))[:300])

    def _prepared(self, frame: Frame) -> Event:
        """Which of the two it is; a protocol without connections says nothing about listeners either."""
        if self._protocol < frames.MOVING:
            return Event.PREPARED
        listeners = frame.body.get("listeners")
        if not isinstance(listeners, list) or not all(isinstance(one, str) for one in listeners):
            self._reason = "the successor does not say what it listens on"
            return Event.FAULT
        if self.machine.state is State.OFFERED:
            self._host.kept(frozenset(listeners))
        return Event.PREPARED_TO_TAKE

    def _fault(self, error: PeerHandoverError) -> None:
        self._step(Event.FAULT, str(error))

    def _lost(self) -> None:
        self._step(Event.LOST, "the successor ended")

    def _timed_out(self) -> None:
        self._step(Event.TIMEOUT, f"the successor was silent for {self._timeout:g} s")

    def _step(self, event: Event, reason: str = "") -> None:
        self._reason = reason
        before = self.machine.state
        try:
            actions = self.machine.step(event)
        except IllegalStepError as error:
            if (before, Event.FAULT) not in self.machine.table:
                return  # it is over
            self._reason = f"the successor is out of turn: {error}"
            actions = self.machine.step(Event.FAULT)
        for action in actions:
            _ACTIONS[action](self)
        self._arm()
        if self.machine.state is State.SERVING and before is not State.SERVING:
            if before in _WAITING:
                self._host.log("handover_aborted", reason=self._reason, moved=self._mover.moved)
            self._host.handover_over(retired=False)
        elif self.machine.state is State.RETIRED and before is not State.RETIRED:
            self._host.handover_over(retired=True)

    def _arm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        waits = self.machine.state is State.DRAINING and self._mover.waits
        if self.machine.state in _WAITING or waits:
            self._timer = asyncio.get_running_loop().call_later(self._timeout, self._timed_out)

    def _send_offer(self) -> None:
        offered = self._host.offered()
        rows = [
            {
                "family": one.address.family,
                "kind": "stream",
                "host": one.address.host,
                "port": one.address.port,
            }
            for one, _ in offered
        ]
        body = {"protocol": self._protocol, **self._host.identity(), "listeners": rows}
        self._channel.send(frames.OFFER, body, [descriptor for _, descriptor in offered])
        self._host.log("listener_sent", listeners=[str(listener) for listener, _ in offered])

    def _start_moving(self) -> None:
        self._began = time.monotonic()
        idle = list(self._host.start_moving(self._moves, self._mover.add))
        self._host.log("moving", connections=len(idle))
        self._mover.start(idle)

    def _let_go(self) -> None:
        try:
            self._mover.acknowledged(self._in_hand.body)
        except PeerHandoverError as error:
            self._step(Event.FAULT, str(error))

    def _take_back(self) -> None:
        self._host.stop_moving()
        self._mover.take_back()

    def _send_commit(self) -> None:
        self._channel.send(frames.COMMIT)
        self._host.log("commit")


_ACTIONS: dict[Do, Callable[[PredecessorSide], object]] = {
    Do.SEND_OFFER: PredecessorSide._send_offer,
    Do.SEND_ACCEPT: lambda side: side._channel.send(frames.ACCEPT),
    Do.SEND_COMMIT: PredecessorSide._send_commit,
    Do.SEND_DRAINED: lambda side: side._channel.send(frames.DRAINED, dict(side._counts)),
    Do.SEND_ABORT: lambda side: side._channel.send(frames.ABORT, {"reason": side._reason}),
    Do.HANG_UP: lambda side: side._channel.close(),
    Do.START_MOVING: PredecessorSide._start_moving,
    Do.LET_GO: PredecessorSide._let_go,
    Do.TAKE_BACK: PredecessorSide._take_back,
    Do.STOP_ACCEPTING: lambda side: side._host.stop_accepting(),
    Do.START_DRAIN: lambda side: side._host.start_drain(),
    Do.RESUME: lambda side: side._host.resume(),
}


def refuse(channel: Channel, reason: str) -> None:
    """Answers a request that cannot be granted."""
    channel.send(frames.ABORT, {"reason": reason})
    channel.close()
