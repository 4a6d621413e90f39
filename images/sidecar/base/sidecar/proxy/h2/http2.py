"""One request with an application that speaks HTTP/2. Knows nothing of other requests on its connection."""

from __future__ import annotations

from typing import TYPE_CHECKING

from h2.errors import ErrorCodes
from h2.events import (
    DataReceived,
    Event,
    InformationalResponseReceived,
    ResponseReceived,
    StreamEnded,
    StreamReset,
    TrailersReceived,
)

from sidecar.proxy.h2 import fields
from sidecar.proxy.h2.exchange import Asker
from sidecar.proxy.h2.fields import Fields, MalformedError
from sidecar.proxy.h2.link import Flow

if TYPE_CHECKING:
    from sidecar.proxy.h2.application import ApplicationLink

# Codes of a RST_STREAM that would tell the client something untrue if they were passed on.
_NOT_PASSED_ON = frozenset({ErrorCodes.NO_ERROR, ErrorCodes.REFUSED_STREAM, ErrorCodes.HTTP_1_1_REQUIRED})


class Http2Exchange(Flow):
    """One request with the application; satisfies sidecar.proxy.h2.exchange.Exchange."""

    __slots__ = ("_answered", "_asker", "_held", "_slow", "_wanted", "_whole", "over")

    link: ApplicationLink

    def __init__(self, asker: Asker, wanted: fields.Request, whole: bool) -> None:
        super().__init__()
        self._asker, self._wanted, self._whole = asker, wanted, whole
        self._answered = False
        self._slow = False  # the client
        self._held = 0  # bytes of the application's windows that are not given back yet
        self.over = False

    def start(self, link: ApplicationLink, number: int) -> None:
        """There is room on a connection."""
        self.attach(link, number)
        link.engine.send_headers(number, fields.http2_request(self._wanted), end_stream=self._whole)
        if self._whole:
            self.closed = True
            link.wake()
        elif self._pending or self._last:
            link.queue(self)
        if not self._full:
            self._asker.full(False)

    # -- the request (called by the stream) ------------------------------------------------------------------

    def send(self, data: bytes) -> None:
        """See Exchange."""
        self.write(data)

    def end(self, trailers: Fields) -> None:
        """See Exchange."""
        self.finish(trailers)

    def pause(self, slow: bool) -> None:
        """See Exchange. What the client does not take stays in the application's window."""
        self._slow = slow
        if not slow:
            self._give_back()

    def cancel(self) -> None:
        """See Exchange."""
        self._stop()

    def crowded(self, full: bool) -> None:
        """The application's window is used up, or open again."""
        if not self.over:
            self._asker.full(full)

    def sent(self) -> None:
        """The request is with the application."""

    # -- the answer (called by the connection) ---------------------------------------------------------------

    def take(self, event: Event) -> None:
        """A frame of this stream."""
        try:
            if isinstance(event, ResponseReceived):
                self._head(event)
            elif isinstance(event, InformationalResponseReceived):
                self._asker.interim(*fields.response(event.headers))
            elif isinstance(event, DataReceived):
                self._held += event.flow_controlled_length
                self._asker.data(event.data)
                if not self._slow:
                    self._give_back()
            elif isinstance(event, TrailersReceived):
                self._end(fields.trailers(event.headers))
            elif isinstance(event, StreamEnded):
                self._end([])
            elif isinstance(event, StreamReset):
                self._reset(event)
        except MalformedError:
            self._stop(ErrorCodes.PROTOCOL_ERROR)
            self._break(502, "upstream-malformed", ErrorCodes.INTERNAL_ERROR)

    def _head(self, event: ResponseReceived) -> None:
        status, listed = fields.response(event.headers)
        last = event.stream_ended is not None
        bodiless = status == 304 or self._wanted.method == b"HEAD"
        if bodiless:
            self.link.engine.no_body(self.id)
        elif last and any(name == b"content-length" and value != b"0" for name, value in listed):
            raise MalformedError("content-length")
        self._answered = True
        if last:
            self._stop()
        self._asker.answered(status, listed, last)

    def _end(self, trailers: Fields) -> None:
        if not self.over:
            self._stop()
            self._asker.done(trailers)

    def _reset(self, event: StreamReset) -> None:
        code = event.error_code or ErrorCodes.NO_ERROR
        if code == ErrorCodes.REFUSED_STREAM and not self._answered:
            self.refused()
            return
        self._stop()
        known = isinstance(code, ErrorCodes) and code not in _NOT_PASSED_ON
        self._break(502, "upstream-reset", ErrorCodes(code) if known else ErrorCodes.INTERNAL_ERROR)

    def refused(self) -> None:
        """The application did not execute it, and never will."""
        if not self.over:
            self._stop()
            self._asker.broke(ErrorCodes.REFUSED_STREAM)

    def lost(self) -> None:
        """The connection has ended."""
        self._stop()
        self._break(502, "upstream-closed", ErrorCodes.INTERNAL_ERROR)

    def fail(self, status: int, reason: str) -> None:
        """There is no connection."""
        if not self.over:
            self.over = self.closed = True
            self._asker.failed(status, reason)

    # -- both ------------------------------------------------------------------------------------------------

    def _break(self, status: int, reason: str, code: ErrorCodes) -> None:
        if self._answered:
            self._asker.broke(code)
        else:
            self._asker.failed(status, reason)

    def _give_back(self) -> None:
        if self._held and self.id:
            self.link.engine.acknowledge_received_data(self._held, self.id)
            self._held = 0
            self.link.wake()

    def _stop(self, code: ErrorCodes = ErrorCodes.CANCEL) -> None:
        """Nothing more of it matters: takes it off its connection; what goes on there is reset."""
        self.over = True
        if self.id:
            self.reset(code)
            self._give_back()
            self.link.gone(self)
        self.closed = True
