"""The predecessor's side of a hand-over: drives its machine with a channel and a clock.

Knows nothing of connections or HTTP: what a step asks for is done by the host. The listeners stay the host's;
what is sent are the kernel's copies, so nothing has to be undone when sending fails.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any, Protocol

from sidecar.address import Address
from sidecar.errors import PeerHandoverError
from sidecar.handover import frames, machine
from sidecar.handover.channel import Channel, close_all
from sidecar.handover.frames import Frame
from sidecar.handover.machine import Do, Event, IllegalStepError, State

_EVENTS = {
    frames.PREPARED: Event.PREPARED,
    frames.ACCEPTING: Event.ACCEPTING,
    frames.RELEASED: Event.RELEASED,
    frames.ABORT: Event.ABORT,
}
_WAITING = frozenset({State.OFFERED, State.YIELDING})


class PredecessorHost(Protocol):
    """What the serving process does at the steps of a hand-over."""

    def identity(self) -> dict[str, Any]:
        """Generation and release, for the peer's log."""

    def offered(self) -> Sequence[tuple[Address, int]]:
        """The listeners and their descriptors."""

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

    def request(self, frame: Frame) -> None:
        """The successor's first frame."""
        self._channel.start(self._frame, self._fault, self._lost)
        protocols = frame.body.get("protocols")
        offered = protocols if isinstance(protocols, list) else []
        if not any(number in frames.PROTOCOLS for number in offered):
            reason = (
                f"the successor speaks protocols {protocols!r:.80}, this predecessor {list(frames.PROTOCOLS)}"
            )
            refuse(self._channel, reason)
            self._host.log("handover_aborted", reason=reason)
            self._host.handover_over(retired=False)
            return
        self._host.log(
            "handover_requested", successor={name: frame.body.get(name) for name in ("generation", "release")}
        )
        self._step(Event.REQUEST)

    @property
    def committed(self) -> bool:
        """Whether the successor serves now."""
        return self.machine.state in (State.DRAINING, State.DRAINED, State.RETIRED)

    def drained(self, counts: dict[str, int]) -> None:
        """The host's drain is over."""
        self._counts = counts
        self._step(Event.EMPTY)

    def stop(self, reason: str) -> None:
        """This process ends."""
        self._step(Event.STOP, reason)

    def _frame(self, frame: Frame, descriptors: list[int]) -> None:
        close_all(descriptors)
        event = _EVENTS.get(frame.kind)
        if event is None:
            self._step(Event.FAULT, f"the successor sent a frame of kind {frame.kind}")
        else:
            self._step(event, str(frame.body.get("reason", ""))[:300])

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
        self._arm()
        for action in actions:
            _ACTIONS[action](self)
        if self.machine.state is State.SERVING and before is not State.SERVING:
            if before in _WAITING:
                self._host.log("handover_aborted", reason=self._reason)
            self._host.handover_over(retired=False)
        elif self.machine.state is State.RETIRED and before is not State.RETIRED:
            self._host.handover_over(retired=True)

    def _arm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self.machine.state in _WAITING:
            self._timer = asyncio.get_running_loop().call_later(self._timeout, self._timed_out)

    def _send_offer(self) -> None:
        offered = self._host.offered()
        rows = [{"family": a.family, "kind": "stream", "host": a.host, "port": a.port} for a, _ in offered]
        body = {"protocol": frames.PROTOCOLS[-1], **self._host.identity(), "listeners": rows}
        self._channel.send(frames.OFFER, body, [descriptor for _, descriptor in offered])
        self._host.log("listener_sent", listeners=[str(address) for address, _ in offered])

    def _send_commit(self) -> None:
        self._channel.send(frames.COMMIT)
        self._host.log("commit")


_ACTIONS: dict[Do, Callable[[PredecessorSide], None]] = {
    Do.SEND_OFFER: PredecessorSide._send_offer,
    Do.SEND_ACCEPT: lambda side: side._channel.send(frames.ACCEPT),
    Do.SEND_COMMIT: PredecessorSide._send_commit,
    Do.SEND_DRAINED: lambda side: side._channel.send(frames.DRAINED, dict(side._counts)),
    Do.SEND_ABORT: lambda side: side._channel.send(frames.ABORT, {"reason": side._reason}),
    Do.HANG_UP: lambda side: side._channel.close(),
    Do.STOP_ACCEPTING: lambda side: side._host.stop_accepting(),
    Do.START_DRAIN: lambda side: side._host.start_drain(),
    Do.RESUME: lambda side: side._host.resume(),
}


def refuse(channel: Channel, reason: str) -> None:
    """Answers a request that cannot be granted."""
    channel.send(frames.ABORT, {"reason": reason})
    channel.close()
