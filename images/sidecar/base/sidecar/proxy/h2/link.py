"""One HTTP/2 connection's engine and transport, and what its streams have to send; for both sides of the proxy.

Bytes leave a turn of the loop after they were given, all streams' together; streams take turns, a frame
each. Knows nothing of requests.
"""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections import deque
from typing import cast

from h2.errors import ErrorCodes

from sidecar.proxy.connection import WRITE_HIGH, WRITE_LOW
from sidecar.proxy.h2.engine import Engine
from sidecar.proxy.h2.fields import Fields

BATCH = 65536  # bytes of DATA between two looks at whether the peer still reads
# Bytes of a stream that wait for the peer's window, beyond which their source has to wait, until they fall
# below the second.
FULL, LOW = 65536, 16384
# Bytes that the kernel has not taken. DATA stops at the transport's own mark, far below, so this much can only
# be answers to a peer that sends and does not read.
OUTPUT_LIMIT = 1 << 20


class Flow(ABC):
    """What one stream has to send: its head, pieces of a body, its end with or without trailers."""

    __slots__ = ("_full", "_last", "_pending", "_queued", "_trailers", "closed", "id", "link")

    link: Link

    def __init__(self) -> None:
        self.id = 0  # not attached yet
        self.closed = False  # nothing can be sent any more
        self._pending = bytearray()
        self._trailers: Fields = []
        self._last = self._queued = self._full = False

    def attach(self, link: Link, stream_id: int) -> None:
        """Belongs to this stream from now on; what was written before waits for its turn."""
        self.link, self.id = link, stream_id

    def head(self, fields: Fields, last: bool) -> None:
        """Sends a header list; `last`: there is no body."""
        if self.closed or not self.link.can_send(self):
            return
        self.link.engine.send_headers(self.id, fields, end_stream=last)
        self.link.wake()
        if last:
            self.closed = True
            self.sent()

    def write(self, data: bytes) -> None:
        """Sends when the peer's window allows."""
        if self.closed:
            return
        self._pending += data
        if self.id:
            self.link.queue(self)
        if not self._full and len(self._pending) > FULL:
            self._full = True
            self.crowded(True)

    def finish(self, trailers: Fields) -> None:
        """Nothing follows but these."""
        if not self.closed:
            self._last, self._trailers = True, trailers
            if self.id:
                self.link.queue(self)

    def reset(self, code: ErrorCodes) -> None:
        """Ends the stream, both ways, with RST_STREAM."""
        self.closed = True
        if self.link.can_send(self):
            self.link.engine.reset_stream(self.id, code)
            self.link.wake()

    @abstractmethod
    def crowded(self, full: bool) -> None:
        """Whether the source of `write` has to wait."""

    @abstractmethod
    def sent(self) -> None:
        """The stream's end has been given to the engine."""

    def turn(self) -> int:
        """Sends one frame if windows allow; how many bytes of a body."""
        engine = self.link.engine
        size = min(
            len(self._pending), engine.local_flow_control_window(self.id), engine.max_outbound_frame_size
        )
        size = max(size, 0)  # a window can be negative (section 6.9.2)
        data = bytes(self._pending[:size])
        del self._pending[:size]
        over = self._last and not self._pending
        if data or (over and not self._trailers):
            engine.send_data(self.id, data, end_stream=over and not self._trailers)
            engine.sent_data()
        if over:
            if self._trailers:
                engine.send_headers(self.id, self._trailers, end_stream=True)
            self.closed = True
            self.sent()
        elif self._full and len(self._pending) < LOW:
            self._full = False
            self.crowded(False)
        return size

    @property
    def waiting(self) -> bool:
        """Whether a part of the body is still here."""
        return bool(self._pending)


class Link(asyncio.Protocol):
    """One connection."""

    transport: asyncio.Transport

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self._turns: deque[Flow] = deque()
        self._blocked: set[Flow] = set()  # by a window of the peer's
        self._slow = False  # the peer does not read
        self._awake = False  # a flush is on its way

    def up(self, transport: asyncio.BaseTransport) -> None:
        """The connection is up."""
        self.transport = cast(asyncio.Transport, transport)  # uvloop's is one in all but name
        self.transport.set_write_buffer_limits(WRITE_HIGH, WRITE_LOW)

    def can_send(self, flow: Flow) -> bool:
        """Whether a stream is still open on this side."""
        return not self.transport.is_closing() and self.engine.alive(flow.id)

    def queue(self, flow: Flow) -> None:
        """It has something to send."""
        if not flow._queued:
            flow._queued = True
            self._turns.append(flow)
            self.wake()

    def opened(self) -> None:
        """A window of the peer's has grown."""
        for flow in self._blocked:
            flow._queued = True
        self._turns += self._blocked
        self._blocked.clear()
        self.wake()

    def wake(self) -> None:
        """Writes, after what the loop is at now."""
        if not self._awake:
            self._awake = True
            asyncio.get_running_loop().call_soon(self.flush)

    def flush(self) -> None:
        """Writes what is there, as far as the peer reads."""
        self._awake = False
        if self.transport.is_closing():
            return
        while True:
            self._pump()
            data = self.engine.data_to_send()
            if data:
                self.transport.write(data)
            if self._slow or not self._turns:
                break
        if self.transport.get_write_buffer_size() > OUTPUT_LIMIT:
            self.transport.abort()
            return
        self.flushed()

    def flushed(self) -> None:
        """Everything that could be written is with the transport."""

    def pause_writing(self) -> None:
        """The peer reads slowly."""
        self._slow = True

    def resume_writing(self) -> None:
        """The peer has caught up."""
        self._slow = False
        self.wake()

    def quiet(self) -> bool:
        """Whether nothing waits to be written, here or in the transport."""
        return (
            not self._awake
            and not self._turns
            and not self.engine.unsent
            and not self.transport.get_write_buffer_size()
        )

    def _pump(self) -> None:
        room = 0 if self._slow else BATCH
        while room > 0 and self._turns:
            flow = self._turns.popleft()
            flow._queued = False
            if flow.closed:
                continue
            room -= flow.turn()
            if flow.closed or not flow.waiting:
                continue
            if self.engine.local_flow_control_window(flow.id) > 0:
                flow._queued = True
                self._turns.append(flow)
            else:
                self._blocked.add(flow)
