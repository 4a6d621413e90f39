"""h2's connection with what RFC 9113 asks of a proxy and h2 does not do. No transport, no HTTP semantics.

h2 ends a connection where the RFC asks for the end of one stream (too many streams, a body of another length
than announced), takes a GOAWAY as the end although the streams under way go on, and bounds neither the table
that the peer asks the encoder to keep nor the frames that cost and bring nothing. This module and `state` are
the only ones that know h2's insides, which is why a moved connection names the versions of the libraries.
"""

from __future__ import annotations

from h2.config import H2Configuration
from h2.connection import H2Connection, _decode_headers
from h2.errors import ErrorCodes
from h2.events import ConnectionTerminated, Event, StreamReset
from h2.exceptions import (
    DenialOfServiceError,
    FrameTooLargeError,
    InvalidBodyLengthError,
    ProtocolError,
    StreamClosedError,
    TooManyStreamsError,
)
from h2.settings import SettingCodes, Settings
from h2.stream import StreamClosedBy
from hpack.exceptions import HPACKError
from hyperframe.frame import (
    AltSvcFrame,
    DataFrame,
    Frame,
    GoAwayFrame,
    HeadersFrame,
    PushPromiseFrame,
    RstStreamFrame,
    SettingsFrame,
)

from sidecar.proxy.h2 import budget

# What Go, nghttp2 and browsers take for granted before they have seen SETTINGS. With the windows it bounds
# what one connection can make this process keep.
STREAMS = 100
# Bytes of the whole connection's window: sixteen streams can stand still before they hold up another.
WINDOW = 1 << 20
# Bytes of the encoder's table, whatever more the peer offers: it would be this process's memory.
TABLE = 4096
HEAD_LIMIT = 262144  # bytes of an application's header list, as over HTTP/1
HIGHEST = 2**31 - 1  # stream id; in a GOAWAY: nothing is refused yet
SMALL = 256  # bytes of a DATA frame that costs this side more than the peer, when its stream is gone
REMEMBERED = 1000  # closed streams, so that what is still on its way to them is told from nonsense
_KNOWN = frozenset(SettingCodes)
_IN_HEAD = (HeadersFrame.type, 0x9)  # CONTINUATION


class Engine(H2Connection):
    """One side of a connection: bytes in, events out; frames in, bytes out."""

    MAX_CLOSED_STREAMS = REMEMBERED

    def __init__(self, client: bool, settings: dict[SettingCodes, int]) -> None:
        # Header lists are checked by `fields`, where a bad one ends its stream and not the connection.
        super().__init__(
            H2Configuration(
                client_side=client,
                header_encoding=None,
                validate_inbound_headers=False,
                validate_outbound_headers=False,
            )
        )
        self.local_settings = Settings(client=client, initial_values=settings)
        self.allow_lists_of(settings[SettingCodes.MAX_HEADER_LIST_SIZE])
        self.greeted = False  # the peer's first frame, SETTINGS, has come
        self.now = 0.0

    def allow_lists_of(self, size: int) -> None:
        """Decodes twice what is announced: a list that is a little too long can be answered so."""
        self.decoder.max_header_list_size = 2 * size

    def greet(self) -> None:
        """SETTINGS, and room for several streams at once."""
        self.initiate_connection()
        self.increment_flow_control_window(WINDOW - self.inbound_flow_control_window)

    def receive(self, data: bytes, now: float) -> list[Event]:
        """What these bytes bring; ProtocolError, with a GOAWAY to be sent, if they end the connection."""
        self.now = now
        events = self.receive_data(data)
        # h2 would first collect the whole of a frame that is too large.
        if int.from_bytes(self.incoming_buffer._data[:3], "big") > self.max_inbound_frame_size:
            self._terminate_connection(ErrorCodes.FRAME_SIZE_ERROR)
            raise FrameTooLargeError("a frame that is too large")
        return events

    def alive(self, stream_id: int) -> bool:
        """Whether frames can still be sent on a stream."""
        stream = self.streams.get(stream_id)
        return stream is not None and not stream.closed

    def goaway(self, last: int, code: ErrorCodes = ErrorCodes.NO_ERROR) -> None:
        """A GOAWAY after which the connection goes on (section 6.8)."""
        frame = GoAwayFrame(0)
        frame.last_stream_id, frame.error_code = last, code
        self._prepare_for_sending([frame])

    def sent_data(self) -> None:
        """A DATA frame went out."""

    @property
    def in_head(self) -> bool:
        """Whether a part of a header block has come, or the connection has not properly begun."""
        buffer = self.incoming_buffer
        return (
            not self.greeted
            or bool(buffer._headers_buffer)
            or (len(buffer._data) > 3 and buffer._data[3] in _IN_HEAD)
        )

    @property
    def unsent(self) -> bool:
        """Whether frames wait to be taken with `data_to_send`."""
        return bool(self._data_to_send)

    # -- h2's insides ----------------------------------------------------------------------------------------

    def _receive_frame(self, frame: Frame) -> list[Event]:
        if not self.greeted:
            if not isinstance(frame, SettingsFrame) or "ACK" in frame.flags:
                raise ProtocolError("the connection does not begin with SETTINGS")
            self.greeted = True
        try:
            return super()._receive_frame(frame)
        except InvalidBodyLengthError:
            assert isinstance(frame, DataFrame)
            return self._reset_for_length(frame)
        except ProtocolError as error:
            if type(error) is ProtocolError and isinstance(error.__cause__, HPACKError):
                error.error_code = ErrorCodes.COMPRESSION_ERROR  # section 4.3
            raise

    def _reset_for_length(self, frame: DataFrame) -> list[Event]:
        """A malformed message is the end of its stream (section 8.1.1)."""
        stream = self.streams[frame.stream_id]
        if not stream.closed:
            self._prepare_for_sending(stream.reset_stream(ErrorCodes.PROTOCOL_ERROR))
        self.acknowledge_received_data(frame.flow_controlled_length, frame.stream_id)
        return [
            StreamReset(stream_id=frame.stream_id, error_code=ErrorCodes.PROTOCOL_ERROR, remote_reset=False)
        ]

    def _receive_settings_frame(self, frame: SettingsFrame) -> tuple[list[Frame], list[Event]]:
        # Unknown ones have to be ignored (section 6.5.2); h2 would keep each of 65,536.
        frame.settings = {code: value for code, value in frame.settings.items() if code in _KNOWN}
        table = frame.settings.get(SettingCodes.HEADER_TABLE_SIZE)
        if table is not None:
            frame.settings[SettingCodes.HEADER_TABLE_SIZE] = min(table, TABLE)
        answer = super()._receive_settings_frame(frame)
        changes = self.encoder.table_size_changes
        if changes:  # the lowest, then the last are announced (RFC 7541, section 4.2), and no other
            self.encoder.table_size_changes = sorted({min(changes), changes[-1]})
            self.encoder.header_table.resized = True
        return answer

    def _receive_goaway_frame(self, frame: GoAwayFrame) -> tuple[list[Frame], list[Event]]:
        # The streams under way go on: h2 would close the connection here.
        event = ConnectionTerminated()
        event.error_code, event.last_stream_id = frame.error_code, frame.last_stream_id
        return [], [event]

    def _receive_rst_stream_frame(self, frame: RstStreamFrame) -> tuple[list[Frame], list[Event]]:
        outbound = self._stream_id_is_outbound(frame.stream_id)
        if frame.stream_id > (
            self.highest_outbound_stream_id if outbound else self.highest_inbound_stream_id
        ):
            raise ProtocolError("RST_STREAM on an idle stream")  # section 6.4
        return super()._receive_rst_stream_frame(frame)

    def _receive_alt_svc_frame(self, frame: AltSvcFrame) -> tuple[list[Frame], list[Event]]:
        return [], []  # alternatives are for clients (RFC 7838), and nobody here would use one


class ClientEngine(Engine):
    """The side that talks to the application, which is trusted further than clients are."""

    def __init__(self) -> None:
        super().__init__(
            client=True, settings={SettingCodes.ENABLE_PUSH: 0, SettingCodes.MAX_HEADER_LIST_SIZE: HEAD_LIMIT}
        )

    def no_body(self, stream_id: int) -> None:
        """A content-length that only tells about the body that there would have been (304, HEAD)."""
        stream = self.streams.get(stream_id)
        if stream is not None:
            stream._expected_content_length = 0


class ServerEngine(Engine):
    """The side that clients talk to: what they may cost is bounded."""

    def __init__(self, header_limit: int) -> None:
        super().__init__(
            client=False,
            settings={
                SettingCodes.MAX_CONCURRENT_STREAMS: STREAMS,
                SettingCodes.MAX_HEADER_LIST_SIZE: header_limit,
            },
        )
        self._idle, self._resets = budget.idle_frames(), budget.resets()

    def receive(self, data: bytes, now: float) -> list[Event]:
        """See Engine."""
        events = super().receive(data, now)
        pending = sum(len(frame.data) for frame in self.incoming_buffer._headers_buffer)
        if pending > self.decoder.max_header_list_size:  # encoded it is shorter, if anything
            self._terminate_connection(ErrorCodes.ENHANCE_YOUR_CALM)
            raise DenialOfServiceError("a header block without end")
        return events

    def sent_data(self) -> None:
        """A DATA frame went out: the client will answer with windows, perhaps a PING."""
        self._idle.earn(budget.IDLE_PER_DATA)

    def _receive_frame(self, frame: Frame) -> list[Event]:
        if isinstance(frame, DataFrame):
            if not frame.data and "END_STREAM" not in frame.flags:
                self._idle.spend(self.now)
        elif not isinstance(frame, HeadersFrame | RstStreamFrame | GoAwayFrame | PushPromiseFrame):
            self._idle.spend(self.now)
        return super()._receive_frame(frame)

    def _receive_headers_frame(self, frame: HeadersFrame) -> tuple[list[Frame], list[Event]]:
        try:
            return super()._receive_headers_frame(frame)
        except TooManyStreamsError:
            if frame.stream_id % 2 == 0 or frame.stream_id <= self.highest_inbound_stream_id:
                raise
        # Refused, and so certainly not executed (section 5.1.2); its block still changes the decoder's table.
        self._resets.spend(self.now)
        _decode_headers(self.decoder, frame.data)
        self.highest_inbound_stream_id = frame.stream_id
        self._closed_streams[frame.stream_id] = StreamClosedBy.SEND_RST_STREAM
        reset = RstStreamFrame(frame.stream_id)
        reset.error_code = ErrorCodes.REFUSED_STREAM
        return [reset], []

    def _receive_rst_stream_frame(self, frame: RstStreamFrame) -> tuple[list[Frame], list[Event]]:
        answer = super()._receive_rst_stream_frame(frame)
        if answer[1]:  # it was open
            self._resets.spend(self.now)
        return answer

    def _handle_data_on_closed_stream(
        self, events: list[Event], exc: StreamClosedError, frame: DataFrame
    ) -> tuple[list[Frame], list[Event]]:
        if frame.flow_controlled_length < SMALL:  # each is answered with RST_STREAM
            self._idle.spend(self.now)
        return super()._handle_data_on_closed_stream(events, exc, frame)
