"""One stream of a client: a request on its way to the application, and the answer on its way back.

Knows nothing of other streams. Windows are given back to the client only as the application takes the data.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from h2.errors import ErrorCodes

from sidecar.proxy.answers import REASONS
from sidecar.proxy.h2 import fields
from sidecar.proxy.h2.exchange import Exchange
from sidecar.proxy.h2.fields import Fields, MalformedError
from sidecar.proxy.h2.link import Flow
from sidecar.proxy.h2.rest import fields_of, freeze_stream
from sidecar.proxy.h2.state import Waiting
from sidecar.proxy.head import RefusedError

if TYPE_CHECKING:
    from sidecar.proxy.h2.connection import Http2Connection


class Stream(Flow):
    """A request and its answer; satisfies sidecar.proxy.h2.exchange.Asker."""

    __slots__ = (
        "_answered_here",
        "_deadline",
        "_exchange",
        "_started",
        "_upstream_full",
        "_wanted",
        "body",
        "client",
        "ended",
        "held",
        "listed",
        "received",
        "since",
        "trailers",
        "waits",
    )

    _wanted: fields.Request

    def __init__(self, client: Http2Connection, stream_id: int, listed: Fields) -> None:
        super().__init__()
        self.attach(client, stream_id)
        self.client = client
        self.listed = listed  # the header list as it came
        self.waits = False  # not with the application yet, on purpose
        self.body = bytearray()  # that has come while it waits
        self.trailers: Fields = []
        self.ended = False  # the request is whole
        self.received = 0  # bytes of the body
        self.held = 0  # bytes of the client's windows that are not given back yet
        self.since = client.service.now
        self._exchange: Exchange | None = None
        self._started = False  # the answer has begun
        self._answered_here = False
        self._upstream_full = False
        self._deadline = 0.0

    @classmethod
    def thawed(cls, client: Http2Connection, waiting: Waiting) -> Stream:
        """A stream that waited when its connection moved."""
        stream = cls(client, waiting.id, fields_of(waiting))
        stream.waits = True
        stream.body += waiting.body
        stream.trailers = list(waiting.trailers)
        stream.ended, stream.received, stream.held = waiting.ended, waiting.received, waiting.held
        return stream

    def freeze(self) -> Waiting:
        """What the successor has to know of a stream that waits."""
        return freeze_stream(
            self.client.engine, self.id, self.listed, bytes(self.body), self.held, self.trailers
        )

    # -- the request -----------------------------------------------------------------------------------------

    def open(self) -> bool:
        """Checks the head; False if the stream has been answered or ended here."""
        size = sum(32 + len(name) + len(value) for name, value in self.listed)  # RFC 9113, section 6.5.2
        limits = self.client.service.limits
        try:
            if size > limits.header:
                raise RefusedError(431, "header-limit")
            self._wanted = fields.request(self.listed, self.client.peer)
            if limits.body and (self._wanted.length or 0) > limits.body:
                raise RefusedError(413, "body-limit")
        except MalformedError:
            self._give_up(ErrorCodes.PROTOCOL_ERROR)
            return False
        except RefusedError as error:
            self.answer(error.status, error.reason)
            return False
        return True

    def dispatch(self) -> None:
        """Sends to the application what has come."""
        self.waits = False
        self._set_deadline()
        whole = self.ended and not self.body and not self.trailers
        self._exchange = self.client.service.exchange(self, self._wanted, whole)
        if self.body:
            self._exchange.send(bytes(self.body))
            self.body.clear()
        if self.ended and not whole:
            self._exchange.end(self.trailers)
        if not self._upstream_full:
            self._give_back()

    def receive(self, data: bytes, size: int) -> None:
        """Part of the body; `size` is what it takes of the client's windows."""
        self.received += len(data)
        self.held += size
        limit = self.client.service.limits.body
        if limit and self.received > limit and (self.waits or self._exchange is not None):
            self.answer(413, "body-limit")
        elif self.waits:
            self.body += data
        else:
            if self._exchange is not None:
                self._exchange.send(data)
                self._set_deadline()
            if not self._upstream_full:
                self._give_back()

    def end(self) -> None:
        """The request is whole; its trailers, if any, are in `trailers`."""
        if self.ended:
            return
        self.ended = True
        if self._answered_here:
            return
        length = self._wanted.length
        if length is not None and length != self.received:  # section 8.1.1
            self._give_up(ErrorCodes.PROTOCOL_ERROR)
        elif self._exchange is not None:
            self._set_deadline()
            self._exchange.end(self.trailers)

    def cancel(self) -> None:
        """The client does not want it, or is gone."""
        self.closed = True
        self._leave_exchange()
        self._gone()

    # -- the answer (see Asker) ------------------------------------------------------------------------------

    def interim(self, status: int, listed: Fields) -> None:
        """See Asker."""
        if not self._started:
            self.head([(b":status", b"%d" % status), *listed], last=False)

    def answered(self, status: int, listed: Fields, last: bool) -> None:
        """See Asker."""
        self._started = True
        self.client.service.count(status)
        if last:
            self._exchange = None
        self.head([(b":status", b"%d" % status), *listed, *self.client.service.stamp_fields], last)

    def data(self, data: bytes) -> None:
        """See Asker."""
        self.write(data)

    def done(self, trailers: Fields) -> None:
        """See Asker."""
        self._exchange = None
        self.finish(trailers)

    def failed(self, status: int, reason: str) -> None:
        """See Asker."""
        self._exchange = None
        self.answer(status, reason)

    def broke(self, code: ErrorCodes) -> None:
        """See Asker."""
        self._exchange = None
        self._give_up(code)

    def full(self, full: bool) -> None:
        """See Asker."""
        self._upstream_full = full
        if not full:
            self._give_back()

    def answer(self, status: int, reason: str) -> None:
        """Answers here, in place of the application; an answer that has begun can only be broken off."""
        self.waits = False
        self._leave_exchange()
        if self._started:
            self._give_up(ErrorCodes.INTERNAL_ERROR)
            return
        self._started = self._answered_here = True
        self.client.service.count(status)
        self.client.service.tally.errors[reason] += 1
        text = REASONS[reason].encode() + b"\n"
        listed = [
            (b":status", b"%d" % status),
            (b"content-type", b"text/plain"),
            (b"content-length", b"%d" % len(text)),
            (b"x-sidecar-error", reason.encode()),
            *self.client.service.stamp_fields,
        ]
        head = (b":method", b"HEAD") in self.listed
        self.head(listed, last=head)
        if not head:
            self.write(text)
            self.finish([])

    def crowded(self, full: bool) -> None:
        """The client reads slowly, or has caught up."""
        if self._exchange is not None:
            self._exchange.pause(full)

    def sent(self) -> None:
        """The answer is complete. A client that still sends its request need not (section 8.1)."""
        if not self.ended:
            self.reset(ErrorCodes.NO_ERROR)
        self._leave_exchange()
        self._gone()

    def tick(self, now: float) -> None:
        """Looks at its time-out; an answer that has begun may take its time, and so may its request."""
        if self._exchange is None or self._started or now < self._deadline:
            return
        if self.ended or self._upstream_full:
            self.answer(504, "upstream-timeout")
        else:
            self.answer(408, "body-timeout")

    # -- both ------------------------------------------------------------------------------------------------

    def _set_deadline(self) -> None:
        limits = self.client.service.limits
        self._deadline = self.client.service.now + (limits.upstream_s if self.ended else limits.body_s)

    def _give_back(self) -> None:
        if self.held:
            self.client.engine.acknowledge_received_data(self.held, self.id)
            self.held = 0
            self.client.wake()

    def _leave_exchange(self) -> None:
        exchange, self._exchange = self._exchange, None
        if exchange is not None:
            exchange.cancel()

    def _give_up(self, code: ErrorCodes) -> None:
        self._leave_exchange()
        self.reset(code)
        self._gone()

    def _gone(self) -> None:
        self.waits = False
        self._give_back()
        self.client.gone(self)
