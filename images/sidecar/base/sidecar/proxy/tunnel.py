"""Two connections joined into one: what comes in at one end goes out at the other, unread.

Either end may finish (FIN) while the other goes on, and a reset goes through. What is not in the kernel's
hands is at most one read for each direction: a reader that is slow stops the other end. Knows nothing of
HTTP, nor of how its target was found.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar, cast

from sidecar.address import Address, connect
from sidecar.parcel import Parcel

if TYPE_CHECKING:
    from sidecar.listener import Listener
    from sidecar.proxy.service import Service

# A tunnel with slow readers at both ends may never have both buffers empty at once. While connections move it
# is held: nothing more is read until both are. A reader that has stalled makes that a pause of this length,
# and then the tunnel flows for a while before the next attempt.
HOLD_S = 0.5
FLOW_S = 2.0
_RESET = struct.pack("ii", 1, 0)  # SO_LINGER with no time to linger: close sends RST


class End(asyncio.Protocol):
    """One of the two connections."""

    __slots__ = ("_tunnel", "early", "ended", "far", "finished", "full", "lost", "transport", "up")

    transport: asyncio.Transport

    def __init__(self, tunnel: Tunnel) -> None:
        self._tunnel = tunnel
        self.far: End
        self.early = b""  # what came before both ends were up
        self.up = self.lost = False
        self.ended = False  # this side has sent FIN
        self.finished = False  # this side was sent FIN
        self.full = False  # this side reads slowly

    def adopt(self, transport: asyncio.Transport, early: bytes, ended: bool = False) -> None:
        """Takes a connection over from another protocol, with what that had read ahead."""
        self.early, self.ended = early, ended
        transport.set_protocol(self)
        self.connection_made(transport)

    def finish(self) -> None:
        """Sends FIN after what was written."""
        if not self.finished:
            self.finished = True
            self.transport.write_eof()

    def reset(self) -> None:
        """Ends the connection as the far one was ended."""
        self.transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        self.transport.abort()

    # -- asyncio.Protocol ------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """This end is up."""
        self.transport = cast(asyncio.Transport, transport)  # uvloop's is one in all but name
        self.up = True
        self.transport.set_write_buffer_limits(high=0)
        self.full = self.transport.get_write_buffer_size() > 0
        self._tunnel.came_up(self)

    def connection_lost(self, error: Exception | None) -> None:
        """This end is gone."""
        self.lost = True
        self._tunnel.fell(self, error)

    def eof_received(self) -> bool:
        """This side sends no more; it may still be sent to."""
        if not self.ended:
            self.ended = True
            self._tunnel.pass_end(self)
        return True

    def pause_writing(self) -> None:
        """This side reads slowly: the far one has to wait."""
        self.full = True
        self._tunnel.regulate()

    def resume_writing(self) -> None:
        """All that was written is in the kernel's hands."""
        self.full = False
        self._tunnel.flushed()

    def data_received(self, data: bytes) -> None:
        """Bytes for the far side."""
        tunnel = self._tunnel
        tunnel.active = tunnel.service.now
        if tunnel.joined:
            tunnel.carried += len(data)
            self.far.transport.write(data)
        else:
            self.early += data
            tunnel.regulate()


class Tunnel:
    """A client's connection and its target's; see `sidecar.proxy.connection`."""

    kind: ClassVar[str] = "tunnel"
    transport: asyncio.Transport  # the client's

    def __init__(self, service: Service, listener: Listener, to: Address | None = None) -> None:
        """`to` is what the target's end is connected to when the client's is up; None: it is handed in."""
        self.service, self.listener, self._to = service, listener, to
        self.client, self.target = End(self), End(self)
        self.client.far, self.target.far = self.target, self.client
        self.joined = False  # both ends are up
        self.active = service.now  # when bytes last came
        self.deadline = service.now  # `tick` sets it
        self.carried = 0  # bytes, both ways
        self._connecting: asyncio.Task[None] | None = None
        self._packed = self._gone = False
        self._holding = False
        self._turn = 0.0  # when holding ends, or may begin again
        self.silent_since: float | None = None  # an exchange is always under way
        self.told = self.forced = self.moved = self.stays = False

    # -- coming up -------------------------------------------------------------------------------------------

    def came_up(self, end: End) -> None:
        """One end is up; what its side sent early goes first when both are."""
        if self._gone:
            end.transport.abort()
            return
        if end is self.client:
            self.transport = end.transport
            self.service.arrived(self)
            if self._to is not None:
                self._connecting = asyncio.get_running_loop().create_task(self._connect(self._to))
        if self.client.up and self.target.up:
            self._join()

    async def _connect(self, to: Address) -> None:
        try:
            await self.attach(self.target, await connect(to, self.service.limits.connect_s))
        except (OSError, TimeoutError):
            self.transport.abort()

    async def attach(self, end: End, sock: socket.socket) -> None:
        """Makes a connected socket one of the ends; OSError."""
        try:
            await asyncio.get_running_loop().connect_accepted_socket(lambda: end, sock)
        except BaseException:
            sock.close()
            raise
        # uvloop begins to read after `connection_made`, whatever was asked for in there: only now it listens.
        self.regulate()
        self._offer()

    def _join(self) -> None:
        self.joined = True
        for end in (self.client, self.target):
            early, end.early = end.early, b""
            if early:
                self.carried += len(early)
                end.far.transport.write(early)
            if end.ended:
                self.pass_end(end)
        self.regulate()

    # -- flow (called by the ends) ---------------------------------------------------------------------------

    def regulate(self) -> None:
        """Reads at an end only what can be written at the far one."""
        stopped = not self.joined or self._packed or self._holding
        for end in (self.client, self.target):
            if not end.up or end.ended:
                continue
            if stopped or end.far.full:
                end.transport.pause_reading()
            else:
                end.transport.resume_reading()

    def flushed(self) -> None:
        """One end's buffer has become empty."""
        self.regulate()
        self._offer()

    def pass_end(self, end: End) -> None:
        """One side has sent its last; when both have, the tunnel ends."""
        if not self.joined:
            return
        end.far.finish()
        if end.far.ended:
            self.client.transport.close()
            self.target.transport.close()

    def fell(self, end: End, error: Exception | None) -> None:
        """One end is gone. The far one goes as well, unless it is writing the last bytes."""
        far = end.far
        if self._connecting is not None and not self.joined:
            self._connecting.cancel()
        if far.up and not self._packed and not far.transport.is_closing():
            if error is None:
                far.transport.abort()
            else:
                far.reset()
        if not self._gone and (far.lost or not far.up):
            self._gone = True
            self.service.gone(self)

    def _offer(self) -> None:
        if self.service.rest is not None and self.ready():
            self.service.rest(self)

    # -- time ------------------------------------------------------------------------------------------------

    def tick(self, now: float) -> None:
        """Ends a tunnel that has been silent for too long; lets one that is to move come to rest."""
        idle_s = self.service.limits.idle_s
        if self._packed:
            return
        if now - self.active >= idle_s:
            self._abort()
            return
        moves = self.service.rest is not None and not self.stays
        if self._holding:
            if not moves or now >= self._turn:
                self._holding = False
                self._turn = now + FLOW_S
                self.regulate()
        elif moves and self.joined and now >= self._turn and not self.ready():
            self._holding = True
            self._turn = now + HOLD_S
            self.regulate()
        self.deadline = now if moves or self._holding else self.active + idle_s

    # -- drain and move (see sidecar.proxy.connection) -------------------------------------------------------

    def drain(self) -> None:
        """Nobody can be told: what is spoken here is unknown. It may have to be held, which `tick` sees to."""
        self.deadline = self.service.now

    def close_silent(self) -> None:
        """A tunnel is never idle as far as this proxy knows."""

    def cut(self) -> None:
        """Ends the tunnel, at the end of a drain."""
        if not self._packed:
            self.forced = True
            self._abort()

    def ready(self) -> bool:
        """Everything that was read is in the kernel's hands, and neither end is closing."""
        return (
            self.joined
            and not self._packed
            and not self.client.full
            and not self.target.full
            and not self.client.transport.is_closing()
            and not self.target.transport.is_closing()
        )

    def pack(self) -> Parcel:
        """Both connections, the client's first, and which side has sent FIN."""
        self._packed = True
        self.regulate()
        ends = (self.client, self.target)
        state: dict[str, Any] = {"ended": [end.ended for end in ends]}
        descriptors = tuple(end.transport.get_extra_info("socket").fileno() for end in ends)
        return Parcel(self.kind, str(self.listener), state, b"", descriptors)

    def take_back(self) -> None:
        """Flows on."""
        self._packed = self._holding = False
        self._turn = self.service.now + FLOW_S
        if self.client.lost or self.target.lost:
            self._abort()
        self.regulate()

    def let_go(self) -> None:
        """The successor has both ends now."""
        self.moved = True
        self._abort()

    def _abort(self) -> None:
        for end in (self.client, self.target):
            if end.up:
                end.transport.abort()


def greet(service: Service, listener: Listener, peer: str) -> End:
    """The protocol of a connection that came by a raw TCP listener."""
    return Tunnel(service, listener, listener.target).client


def can_take(parcel: Parcel) -> bool:
    """Whether this is a tunnel that can be unpacked."""
    ended = parcel.state.get("ended")
    return isinstance(ended, list) and len(ended) == len(parcel.descriptors) == 2


async def unpack(
    service: Service, parcel: Parcel, listener: Listener, sockets: Sequence[socket.socket]
) -> None:
    """Goes on with a tunnel that the predecessor has packed."""
    tunnel = Tunnel(service, listener)
    ends = (tunnel.client, tunnel.target)
    for end, far_sock, ended in zip(ends, reversed(sockets), parcel.state["ended"], strict=True):
        if ended:
            end.ended = end.far.finished = True
            # The predecessor's own FIN may not have been sent when it let go; a second one does no harm, and
            # fails if the far side has finished meanwhile: what that sent is still there to be read.
            with contextlib.suppress(OSError):
                far_sock.shutdown(socket.SHUT_WR)
    try:
        await tunnel.attach(tunnel.client, sockets[0])
    except OSError:
        sockets[1].close()
        service.vanished()
        return
    try:
        await tunnel.attach(tunnel.target, sockets[1])
    except OSError:
        tunnel.transport.abort()
