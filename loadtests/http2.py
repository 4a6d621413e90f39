"""HTTP/2 with prior knowledge: several streams at once on each connection.

A GOAWAY says that the connection ends; streams that it takes go on to their end, and those that it does not take
have failed, for nobody sends them again here. Knows nothing of schedules and ledgers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from h2.config import H2Configuration
from h2.connection import ConnectionInputs, ConnectionState, H2Connection, H2ConnectionStateMachine
from h2.errors import ErrorCodes
from h2.events import ConnectionTerminated, DataReceived, Event, ResponseReceived, StreamEnded, StreamReset
from h2.exceptions import ProtocolError, TooManyStreamsError

from loadtests.client import Address, Answer, Conversation, Reply, Request, RequestFailed, never


class StreamRequest(Request, Protocol):
    """A request as header fields; its data is the body."""

    @property
    def fields(self) -> Sequence[tuple[bytes, bytes]]:
        """All header fields, those with a colon first."""


class _Patient(H2ConnectionStateMachine):
    """The library takes a GOAWAY for the end; but streams that have begun go on (RFC 9113, section 6.8)."""

    _transitions = {
        **H2ConnectionStateMachine._transitions,
        **{
            (state, ConnectionInputs.RECV_GOAWAY): (None, state)
            for state in (ConnectionState.IDLE, ConnectionState.CLIENT_OPEN)
        },
    }


@dataclass
class _Stream:
    """One request of those under way."""

    number: int
    unsent: bytes
    status: int = 0
    headers: dict[bytes, bytes] = field(default_factory=dict)
    body: bytes = b""


class Http2(Conversation[StreamRequest]):
    """One HTTP/2 connection."""

    def __init__(self, address: Address, deadline: float, stopping: Callable[[], bool] = never) -> None:
        super().__init__(address, deadline, stopping)
        self._h2 = H2Connection(H2Configuration(client_side=True, header_encoding=None))
        self._h2.state_machine = _Patient()
        self._h2.initiate_connection()
        self._streams: dict[int, _Stream] = {}
        self._replies: list[Reply] = []
        self._greeted = False

    def silent_until(self, when: float) -> bool:
        """See Conversation. PING and SETTINGS are answered."""
        while not self.told:
            if said := self._h2.data_to_send():
                self._mention(said)
            data = self._overheard(when)
            if not data:
                return data is None
            self._take(data)
        return False

    def ask(self, requests: Sequence[StreamRequest], deadline: float) -> Iterator[Reply]:
        """See Conversation."""
        for number, request in enumerate(requests):
            self._begin(number, request)
        while self._streams:
            self._flush(deadline)
            data = self._receive(deadline)
            if not data:
                raise RequestFailed("eof", self._progress(), self._so_far())
            self._take(data)
            while self._replies:
                yield self._replies.pop(0)

    def _begin(self, number: int, request: StreamRequest) -> None:
        stream = self._h2.get_next_available_stream_id()
        try:
            self._h2.send_headers(stream, request.fields, end_stream=not request.data)
        except TooManyStreamsError as error:
            raise RequestFailed("protocol", "the server takes fewer streams at once") from error
        self._streams[stream] = _Stream(number, request.data)

    def _flush(self, deadline: float) -> None:
        """Sends what the windows let through of the bodies, and all else that the library has to say."""
        for stream, under_way in self._streams.items():
            while under_way.unsent:
                window = self._h2.local_flow_control_window(stream)
                size = min(window, self._h2.max_outbound_frame_size, len(under_way.unsent))
                if size <= 0:
                    break
                rest = under_way.unsent[size:]
                self._h2.send_data(stream, under_way.unsent[:size], end_stream=not rest)
                under_way.unsent = rest
        if data := self._h2.data_to_send():
            self._send(data, deadline)

    def _take(self, data: bytes) -> None:
        """Bytes from the server."""
        if not self._greeted and data.startswith(b"HTTP/1."):  # the library would take it for part of a frame
            raise RequestFailed("protocol", "not HTTP/2: an answer in HTTP/1")
        self._greeted = True
        try:
            for event in self._h2.receive_data(data):
                self._happened(event)
        except ProtocolError as error:
            raise RequestFailed("protocol", f"not HTTP/2: {error}", self._so_far()) from error

    def _happened(self, event: Event) -> None:
        if isinstance(event, DataReceived):
            self._h2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
        if isinstance(event, ConnectionTerminated):
            self.told = "goaway"
            self._not_taken(event.last_stream_id)
            return
        stream = self._streams.get(getattr(event, "stream_id", None) or 0)
        if stream is None:
            return
        if isinstance(event, ResponseReceived):
            stream.headers = {bytes(name): bytes(value) for name, value in event.headers}
            stream.status = int(stream.headers[b":status"])
        elif isinstance(event, DataReceived):
            stream.body += event.data
        elif isinstance(event, StreamEnded):
            self._end(event.stream_id, Answer(stream.status, stream.headers, stream.body))
        elif isinstance(event, StreamReset):
            detail = f"RST_STREAM {_name(event.error_code)}"
            self._end(event.stream_id, RequestFailed("reset", detail, stream.headers))

    def _not_taken(self, last: int | None) -> None:
        for stream in [stream for stream in self._streams if last is not None and stream > last]:
            self._end(stream, RequestFailed("reset", "GOAWAY, and the stream was not taken"))

    def _end(self, stream: int, end: Answer | RequestFailed) -> None:
        self._replies.append((self._streams.pop(stream).number, end))

    def _so_far(self) -> Mapping[bytes, bytes]:
        return next((stream.headers for stream in self._streams.values() if stream.headers), {})

    def _progress(self) -> str:
        return "no whole answer" if self._so_far() else "no answer"


def _name(code: ErrorCodes | int | None) -> str:
    return code.name if isinstance(code, ErrorCodes) else f"{code}"
