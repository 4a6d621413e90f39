"""One HTTP/2 connection from a client: its streams, its end, its drain, its move to the successor.

A drain tells in two phases (RFC 9113, section 6.8): a GOAWAY that refuses nothing yet, and after a round trip
the one that says which stream was the last. While connections move, new streams wait until those with the
application are done; then the connection is at rest and moves with the waiting ones. Knows nothing of
listeners or hand-overs.
"""

from __future__ import annotations

import asyncio
from enum import IntEnum
from typing import TYPE_CHECKING, ClassVar

from h2.errors import ErrorCodes
from h2.events import (
    DataReceived,
    Event,
    PingAckReceived,
    RemoteSettingsChanged,
    RequestReceived,
    StreamEnded,
    StreamReset,
    TrailersReceived,
    WindowUpdated,
)
from h2.exceptions import ProtocolError

from sidecar.listener import Kind
from sidecar.parcel import Parcel
from sidecar.proxy.h2 import fields
from sidecar.proxy.h2.engine import HIGHEST, ServerEngine
from sidecar.proxy.h2.fields import MalformedError
from sidecar.proxy.h2.link import Link
from sidecar.proxy.h2.rest import at_rest, freeze, thaw
from sidecar.proxy.h2.state import announced, can_unpack, encode, parse
from sidecar.proxy.h2.stream import Stream

if TYPE_CHECKING:
    from sidecar.listener import Listener
    from sidecar.proxy.service import Service

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
# Between the two GOAWAYs, if the client does not answer the PING: longer than any round trip that is still of
# use, short against a drain.
ROUND_S = 1.0
# After the PING's answer: a client may open a stream in one thread while another reads the GOAWAY.
GRACE_S = 0.1
LINGER_S = 2.0  # as for HTTP/1: for the client to read the end and close first
# While connections move, how long a new stream waits for those before it, and how often that may be in vain
# before the connection stays and its client is told.
HOLD_S = 1.0
HOLDS = 3
GIVE_UP = 0.5  # of a drain's time: what has not come to rest by then is told, so that it can still end well
_PING = b"goodbye\0"


class State(IntEnum):
    """Where a connection stands."""

    OPEN = 0
    LINGER = 1  # nothing is served any more
    PACKED = 2  # on its way to the successor


class Http2Connection(Link):
    """A connection from a client; satisfies sidecar.proxy.connection.Connection."""

    kind: ClassVar[str] = "http2"
    engine: ServerEngine

    def __init__(
        self, service: Service, listener: Listener, peer: str, engine: ServerEngine | None = None
    ) -> None:
        super().__init__(ServerEngine(service.limits.header) if engine is None else engine)
        self.service, self.listener, self.peer = service, listener, peer.encode()
        self.streams: dict[int, Stream] = {}
        self._state = State.OPEN
        self._ended = False  # the client has sent FIN
        self._head_since: float | None = None  # part of a header block is there
        self._last_word_at: float | None = None  # told, and the second GOAWAY is to come
        self._last: int | None = None  # of the streams that are served
        self._holds = 0  # that were in vain
        self.deadline = service.now  # `tick` sets it
        self.silent_since: float | None = service.now
        self.told = False
        self.forced = self.moved = self.stays = False

    @classmethod
    def can_take(cls, parcel: Parcel, listener: Listener) -> bool:
        """Whether `unpack` can serve this, from what is small."""
        peer = parcel.state.get("peer")  # goes into a header field
        return (
            listener.kind is Kind.INBOUND
            and len(parcel.descriptors) == 1
            and isinstance(peer, str)
            and peer.isascii()
            and peer.isprintable()
            and can_unpack(parcel.state)
        )

    @classmethod
    def unpack(cls, service: Service, listener: Listener, parcel: Parcel) -> Http2Connection:
        """The connection that the predecessor has packed, without its socket; BadStateError."""
        state = parse(parcel.data)
        connection = cls(service, listener, parcel.state["peer"], thaw(state))
        for waiting in state.streams:
            connection.streams[waiting.id] = Stream.thawed(connection, waiting)
            connection.silent_since = None
        return connection

    # -- asyncio.Protocol ------------------------------------------------------------------------------------

    def begin(self, transport: asyncio.Transport, data: bytes) -> None:
        """Takes a connection over whose first bytes were the preface."""
        self.up(transport)
        self.service.arrived(self)
        self.engine.greet()
        self.data_received(data)
        self.drain()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A moved connection is up: goes on where the predecessor stopped."""
        self.up(transport)
        self.service.arrived(self)
        for stream in list(self.streams.values()):
            stream.open()
        self._dispatch_waiting()
        self._watch_head()
        self._rest()
        self.drain()

    def connection_lost(self, error: Exception | None) -> None:
        """The connection has ended."""
        self._state = State.LINGER
        for stream in list(self.streams.values()):
            stream.cancel()
        self.service.gone(self)

    def eof_received(self) -> bool:
        """The client sends no more; what it sent whole is still answered."""
        self._ended = True
        for stream in list(self.streams.values()):
            if not stream.ended:
                stream.cancel()
        self._perhaps_over()
        return self._state is State.OPEN

    def data_received(self, data: bytes) -> None:
        """Frames."""
        if self._state is not State.OPEN:
            return
        try:
            events = self.engine.receive(data, self.service.now)
        except ProtocolError:
            self._linger()
            return
        self.deadline = self.service.now  # something may have become due: `tick` finds out
        for event in events:
            if self._state is not State.OPEN:
                return
            self._take(event)
        self._watch_head()
        if self.engine.unsent:
            self.wake()

    def _watch_head(self) -> None:
        """A header block, once begun, has to come to its end."""
        if not self.engine.in_head:
            self._head_since = None
        elif self._head_since is None:
            self._head_since = self.service.now

    # -- frames ----------------------------------------------------------------------------------------------

    def _take(self, event: Event) -> None:
        if isinstance(event, RequestReceived):
            self._request(event)
        elif isinstance(event, DataReceived):
            self._data(event)
        elif isinstance(event, StreamEnded):
            stream = self.streams.get(event.stream_id)
            if stream is not None:
                stream.end()
        elif isinstance(event, TrailersReceived):
            self._trailers(event)
        elif isinstance(event, StreamReset):
            stream = self.streams.get(event.stream_id)
            if stream is not None:
                stream.cancel()
        elif isinstance(event, WindowUpdated | RemoteSettingsChanged):
            self.opened()
        elif isinstance(event, PingAckReceived):
            self._round_trip(event.ping_data)
        # A client's GOAWAY is about streams that this side would open; it ends the connection itself.

    def _request(self, event: RequestReceived) -> None:
        if self._last is not None and event.stream_id > self._last:
            return  # the client was told that it would be ignored
        self.silent_since = None
        stream = Stream(self, event.stream_id, event.headers)
        self.streams[event.stream_id] = stream
        if not stream.open():
            return
        if event.stream_ended is not None:
            stream.end()
            if stream.closed:
                return
        if self._moves():
            stream.waits = True
        else:
            stream.dispatch()

    def _data(self, event: DataReceived) -> None:
        stream = self.streams.get(event.stream_id)
        if stream is not None:
            stream.receive(event.data, event.flow_controlled_length)
        else:  # of a stream that is not served any more
            self.engine.acknowledge_received_data(event.flow_controlled_length, event.stream_id)

    def _trailers(self, event: TrailersReceived) -> None:
        stream = self.streams.get(event.stream_id)
        if stream is not None:
            try:
                stream.trailers = fields.trailers(event.headers)
            except MalformedError:
                stream.reset(ErrorCodes.PROTOCOL_ERROR)
                stream.cancel()

    # -- ends ------------------------------------------------------------------------------------------------

    def gone(self, stream: Stream) -> None:
        """A stream has ended."""
        if self.streams.pop(stream.id, None) is None:
            return
        self._blocked.discard(stream)
        if not self.streams and self._state is State.OPEN:
            self.silent_since = None if self.told else self.service.now
            self.deadline = self.service.now
            self._perhaps_over()

    def flushed(self) -> None:
        """See Link."""
        self._rest()

    def _perhaps_over(self) -> None:
        """Closes when everything that is still to be served is."""
        if self._state is State.OPEN and not self.streams and (self._ended or self._last is not None):
            self._linger()

    def _linger(self) -> None:
        """Sends what is to be sent, half-closes, and waits for the client to close."""
        self._state = State.LINGER
        for stream in list(self.streams.values()):
            stream.cancel()
        self.silent_since = None
        self.deadline = self.service.now + LINGER_S
        if self.transport.is_closing():
            return
        self.flush()
        if self.transport.is_closing():
            return
        if self.transport.can_write_eof():
            self.transport.write_eof()

    # -- drain -----------------------------------------------------------------------------------------------

    def drain(self) -> None:
        """Tells the client, unless the connection is going to move."""
        drain = self.service.drain
        if self._state is not State.OPEN or self.told or drain is None:
            return
        self.deadline = self.service.now
        if not drain.tells and not self.stays:
            return
        self.told = True
        self.silent_since = None  # it ends by itself
        self._last_word_at = self.service.now + ROUND_S
        self.engine.goaway(HIGHEST)
        self.engine.ping(_PING)
        self.wake()

    def _round_trip(self, answer: bytes) -> None:
        """The client has read the first GOAWAY."""
        if answer == _PING and self._last_word_at is not None:
            self._last_word_at = min(self._last_word_at, self.service.now + GRACE_S)

    def _last_word(self) -> None:
        """The second GOAWAY: streams that the client opened before it knew have arrived by now."""
        self._last_word_at = None
        self._last = self.engine.highest_inbound_stream_id
        self.engine.goaway(self._last)
        self.wake()
        self._perhaps_over()

    def close_silent(self) -> None:
        """A request that crosses with this is above the last stream, and so never executed."""
        if self._state is State.OPEN:
            self.forced = True
            self._last_word()

    def cut(self) -> None:
        """Ends the connection although streams are under way."""
        if self._state is State.OPEN:
            self.forced = True
            self.engine.goaway(self.engine.highest_inbound_stream_id)
            self._linger()
            self.transport.close()

    def tick(self, now: float) -> None:
        """Looks at the time-outs of the connection and of its streams."""
        if self._state is State.LINGER:
            self._tick_linger(now)
        elif self._state is State.OPEN:
            busy = self.streams or self.told or self._head_since is not None or self._moves()
            self.deadline = now if busy else now + self.service.limits.idle_s
            for stream in list(self.streams.values()):
                stream.tick(now)
            self._tick_hold(now)
            if self._last_word_at is not None and now >= self._last_word_at:
                self._last_word()
            elif self._head_since is not None and now - self._head_since >= self.service.limits.header_s:
                self.engine.goaway(self.engine.highest_inbound_stream_id, ErrorCodes.ENHANCE_YOUR_CALM)
                self._linger()
            elif self.silent_since is not None and now - self.silent_since >= self.service.limits.idle_s:
                self._last_word()

    def _tick_linger(self, now: float) -> None:
        if self.transport.get_write_buffer_size() and not self.forced:
            self.deadline = now + LINGER_S  # the last answers are still on their way
        else:
            self.transport.abort()

    # -- move ------------------------------------------------------------------------------------------------

    def _moves(self) -> bool:
        """Whether new streams wait for the successor."""
        return self.service.rest is not None and not self.stays and not self.told

    def _dispatch_waiting(self) -> None:
        for stream in list(self.streams.values()):
            if stream.waits:
                stream.dispatch()

    def _rest(self) -> None:
        """Says that the connection may be ready."""
        if self.service.rest is not None and all(stream.waits for stream in self.streams.values()):
            self.service.rest(self)

    def _tick_hold(self, now: float) -> None:
        """Bounds how long streams wait, and how long it is tried."""
        waiting = [stream for stream in self.streams.values() if stream.waits]
        if not self._moves():
            self._holds = 0
            self._dispatch_waiting()
            return
        if waiting and now - waiting[0].since >= HOLD_S:
            self._holds += 1
            self._dispatch_waiting()
        drain = self.service.drain
        late = drain is not None and now >= drain.began + GIVE_UP * (drain.deadline - drain.began)
        if late or self._holds >= HOLDS:
            self.stays = True
            self.drain()

    def ready(self) -> bool:
        """No stream is with the application, and nothing waits to be written."""
        return (
            self._state is State.OPEN
            and not self._ended
            and not self.told
            and self._last is None
            and not self.transport.is_closing()
            and all(stream.waits for stream in self.streams.values())
            and at_rest(self.engine, len(self.streams))
            and self.quiet()
        )

    def pack(self) -> Parcel:
        """The engine's state and the waiting streams."""
        self.transport.pause_reading()
        self._state = State.PACKED
        descriptor = self.transport.get_extra_info("socket").fileno()
        frozen = freeze(self.engine, [stream.freeze() for stream in self.streams.values()])
        small = {"peer": self.peer.decode(), **announced()}
        return Parcel(self.kind, str(self.listener), small, encode(frozen), (descriptor,))

    def take_back(self) -> None:
        """Reads on, and dispatches what waits."""
        self._state = State.OPEN
        self.deadline = self.service.now
        self.transport.resume_reading()
        self._dispatch_waiting()
        self.drain()

    def let_go(self) -> None:
        """The successor reads it now."""
        self.moved = True
        self._state = State.LINGER
        self.transport.abort()
