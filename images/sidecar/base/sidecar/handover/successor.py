"""The successor's side of a hand-over: drives its machine with a channel and a clock.

Knows nothing of connections or HTTP. `attempt` asks one process; who is asked, and what comes after, is
`arrival`'s.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Sequence
from typing import Any, Protocol

from sidecar.address import Address, check_listener
from sidecar.errors import HandoverError, PeerHandoverError
from sidecar.handover import frames, machine
from sidecar.handover.channel import Channel, close_all
from sidecar.handover.frames import Frame
from sidecar.handover.machine import Do, Event, IllegalStepError, State
from sidecar.handover.receiver import Receiver
from sidecar.parcel import Parcel

_EVENTS = {
    frames.OFFER: Event.OFFER,
    frames.MOVE: Event.MOVE,
    frames.ACCEPT: Event.ACCEPT,
    frames.COMMIT: Event.COMMIT,
    frames.DRAINED: Event.DRAINED,
    frames.ABORT: Event.ABORT,
}
_ENDS = frozenset({State.WORKING, State.FAILED, State.REFUSED, State.ORPHANED})
_WAITING = frozenset({State.ASKING, State.WARMING, State.PREPARED, State.MOVING, State.ACCEPTING})
Received = dict[Address, socket.socket]


class SuccessorHost(Protocol):
    """What the arriving process does at the steps of a hand-over."""

    def identity(self) -> dict[str, Any]:
        """Generation and release, for the peer's log."""

    def log(self, event: str, **details: object) -> None:
        """One line."""

    def room(self) -> int:
        """How many descriptors of moved connections fit, with what serving them takes."""

    def moves(self) -> dict[str, str]:
        """The kinds of connections that can be served here, each with the format of its parcels."""

    def listens(self) -> list[str]:
        """The addresses that this process listens on, when it is warm."""

    def can_take(self, parcel: Parcel) -> bool:
        """Whether a connection can be served here."""

    def take(self, parcel: Parcel, sockets: Sequence[socket.socket]) -> None:
        """Serves a connection from now on."""

    async def warm_up(self, received: Received) -> None:
        """Everything that can be done before accepting; HandoverError if this process cannot serve."""

    def start_accepting(self) -> None:
        """On the received listeners and those that had to be bound."""

    def working(self) -> None:
        """The commit has come: this process is the working one."""

    def withdraw(self) -> None:
        """Stops accepting; what was received is not this process's."""

    def settled(self, counts: dict[str, Any]) -> None:
        """The predecessor is drained, or gone (no counts)."""


class SuccessorSide:
    """One hand-over, from the request on; `outcome` is WORKING, FAILED, REFUSED or ORPHANED."""

    def __init__(self, sock: socket.socket, host: SuccessorHost, step_timeout_s: float) -> None:
        self.machine = machine.successor()
        self.received: Received = {}
        self.reason = ""
        self.outcome: asyncio.Future[State] = asyncio.get_running_loop().create_future()
        self._channel, self._host, self._timeout = Channel(sock), host, step_timeout_s
        self._timer: asyncio.TimerHandle | None = None
        self._warming: asyncio.Task[None] | None = None
        self._frame_in_hand = Frame(0, {})
        self._descriptors: list[int] = []
        self._protocol = 0
        self._offered: Received = {}
        self._receiver = Receiver(self._channel, host.can_take, host.take)

    def ask(self) -> None:
        """Sends the request."""
        self._channel.start(self._frame, self._fault, self._lost)
        self._arm()
        self._channel.send(
            frames.REQUEST,
            {
                "protocols": list(frames.PROTOCOLS),
                **self._host.identity(),
                "room": self._host.room(),
                "moves": self._host.moves(),
            },
        )

    def handed_on(self) -> None:
        """This process has a successor, which committed: the predecessor must not accept again."""
        self._step(Event.HANDED_ON)

    def stop(self, reason: str) -> None:
        """This process ends."""
        self._step(Event.STOP, reason)

    def _frame(self, frame: Frame, descriptors: list[int]) -> None:
        self._frame_in_hand, self._descriptors = frame, descriptors
        if frame.kind == frames.CARRY:
            self._carry(frame)
            return
        event = _EVENTS.get(frame.kind, Event.FAULT)
        reason = f"the predecessor sent a frame of kind {frame.kind}" if event is Event.FAULT else ""
        if event is Event.OFFER:
            try:
                self._offered = take(frame, descriptors)
                self._protocol = frames.protocol(frame.body)
            except PeerHandoverError as error:
                event, reason = Event.FAULT, str(error)
        elif event is Event.ABORT:
            reason = str(frame.body.get("reason", ""))[:300]
        self._step(event, reason)
        for sock in self._offered.values():  # an offer out of turn
            sock.close()
        self._offered = {}
        if event is Event.MOVE:  # a move out of turn
            close_all(self._descriptors)

    def _carry(self, frame: Frame) -> None:
        try:
            self._receiver.carry(frame)
        except PeerHandoverError as error:
            self._step(Event.FAULT, str(error))

    def _fault(self, error: PeerHandoverError) -> None:
        self._step(Event.FAULT, str(error))

    def _lost(self) -> None:
        self._step(Event.LOST, "the predecessor ended")

    def _timed_out(self) -> None:
        self._step(Event.TIMEOUT, f"the predecessor was silent for {self._timeout:g} s")

    def _step(self, event: Event, reason: str = "") -> None:
        actions: tuple[Do, ...]
        try:
            actions = self.machine.step(event)
        except IllegalStepError as error:
            if (self.machine.state, Event.FAULT) not in self.machine.table:
                return  # it is over
            reason = f"the predecessor is out of turn: {error}"
            actions = self.machine.step(Event.FAULT)
        self.reason = reason or self.reason
        if event is Event.LOST:
            self._receiver.inherit()
        elif Do.HANG_UP in actions:
            self._receiver.give_back()
        self._arm()
        for action in actions:
            _ACTIONS[action](self)
        if self.machine.state in _ENDS and not self.outcome.done():
            if self._warming is not None:
                self._warming.cancel()
            self.outcome.set_result(self.machine.state)

    def _arm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self.machine.state in _WAITING:
            self._timer = asyncio.get_running_loop().call_later(self._timeout, self._timed_out)

    def _warm_up(self) -> None:
        self._warming = asyncio.get_running_loop().create_task(self._warm())

    async def _warm(self) -> None:
        try:
            await self._host.warm_up(self.received)
        except HandoverError as error:
            self._step(Event.STOP, str(error))
        else:
            self._step(Event.WARM)

    def _take_listeners(self) -> None:
        self.received, self._offered = self._offered, {}
        self._host.log("listener_received", listeners=[str(address) for address in self.received])

    def _take_connections(self) -> None:
        descriptors, self._descriptors = self._descriptors, []
        try:
            self._receiver.move(self._frame_in_hand, descriptors)
        except PeerHandoverError as error:
            self._step(Event.FAULT, str(error))

    def _send_prepared(self) -> None:
        moves = self._protocol >= frames.MOVING
        self._channel.send(frames.PREPARED, {"listeners": self._host.listens()} if moves else {})

    def _start_accepting(self) -> None:
        if self._receiver.taken:
            self._host.log("connections_received", count=self._receiver.taken)
        self._host.start_accepting()

    def _settle(self) -> None:
        frame = self._frame_in_hand
        self._host.settled(frame.body if frame.kind == frames.DRAINED else {})

    def _withdraw(self) -> None:
        self._host.withdraw()
        for sock in self.received.values():
            sock.close()
        self.received = {}


_ACTIONS: dict[Do, Callable[[SuccessorSide], object]] = {
    Do.TAKE_LISTENERS: SuccessorSide._take_listeners,
    Do.WARM_UP: SuccessorSide._warm_up,
    Do.SEND_PREPARED: SuccessorSide._send_prepared,
    Do.TAKE_CONNECTIONS: SuccessorSide._take_connections,
    Do.START_ACCEPTING: SuccessorSide._start_accepting,
    Do.SEND_ACCEPTING: lambda side: side._channel.send(frames.ACCEPTING),
    Do.SEND_RELEASED: lambda side: side._channel.send(frames.RELEASED),
    Do.SEND_ABORT: lambda side: side._channel.send(frames.ABORT, {"reason": side.reason}),
    Do.HANG_UP: lambda side: side._channel.close(),
    Do.WORK: lambda side: side._host.working(),
    Do.SETTLE: SuccessorSide._settle,
    Do.WITHDRAW: SuccessorSide._withdraw,
}


def take(frame: Frame, descriptors: list[int]) -> Received:
    """The listeners of an offer, checked; PeerHandoverError closes them all."""
    received: Received = {}
    rest = list(descriptors)
    try:
        rows = frames.listeners(frame.body)
        if len(rows) != len(descriptors):
            raise PeerHandoverError(
                f"{len(rows)} listeners were offered, {len(descriptors)} descriptors came"
            )
        for row in rows:
            address = Address(*row)
            if address in received:
                raise PeerHandoverError(f"{address} was offered twice")
            received[address] = _socket(address, rest)
            check_listener(received[address], address)
    except PeerHandoverError:
        close_all(rest)
        for sock in received.values():
            sock.close()
        raise
    return received


def _socket(address: Address, rest: list[int]) -> socket.socket:
    try:
        sock = socket.socket(fileno=rest[0])
    except OSError as error:
        raise PeerHandoverError(f"what was offered for {address} is no socket") from error
    rest.pop(0)
    return sock
