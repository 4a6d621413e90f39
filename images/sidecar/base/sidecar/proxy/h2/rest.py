"""An engine at rest: its state taken out, and put into another. The other module that knows h2's insides.

Only what can be there when every stream waits: nothing to send, no stream of the server's own, no answer
begun.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable

from h2.connection import ConnectionState
from h2.exceptions import H2Error
from h2.settings import SettingCodes, Settings
from h2.stream import H2Stream, StreamClosedBy, StreamState
from h2.windows import WindowManager
from hpack.struct import HeaderTuple, NeverIndexedHeaderTuple
from hpack.table import HeaderTable, table_entry_size
from hyperframe.exceptions import HyperframeError

from sidecar.proxy.h2.engine import ServerEngine
from sidecar.proxy.h2.fields import Fields
from sidecar.proxy.h2.state import CLOSED, BadStateError, Setting, State, Table, Waiting, Window

_STREAM_STATE = {False: StreamState.OPEN, True: StreamState.HALF_CLOSED_REMOTE}  # by: the request is whole


def at_rest(engine: ServerEngine, waiting: int) -> bool:
    """Whether the engine has nothing but so many waiting streams."""
    return engine.open_inbound_streams == waiting and not engine.unsent


def freeze_stream(
    engine: ServerEngine, stream_id: int, listed: Fields, body: bytes, held: int, trailers: Fields
) -> Waiting:
    """One waiting stream, with what this side knows of it."""
    stream = engine.streams[stream_id]
    return Waiting(
        id=stream_id,
        fields=tuple(
            (name, value, getattr(field, "indexable", True)) for field in listed for name, value in [field]
        ),
        body=body,
        held=held,
        ended=stream.state_machine.state is StreamState.HALF_CLOSED_REMOTE,
        trailers=tuple((name, value) for name, value in trailers),
        received=stream._actual_content_length,
        expected=stream._expected_content_length,
        window=stream.outbound_flow_control_window,
        inbound=_window(stream._inbound_window_manager),
    )


def freeze(engine: ServerEngine, streams: Iterable[Waiting]) -> State:
    """The whole connection."""
    buffer = engine.incoming_buffer
    return State(
        begun=engine.state_machine.state is ConnectionState.SERVER_OPEN,
        greeted=engine.greeted,
        highest=engine.highest_inbound_stream_id,
        encoder=_table(engine.encoder.header_table),
        resized=tuple(engine.encoder.table_size_changes),
        decoder=_table(engine.decoder.header_table),
        allowed=engine.decoder.max_allowed_table_size,
        local=_settings(engine.local_settings),
        remote=_settings(engine.remote_settings),
        window=engine.outbound_flow_control_window,
        inbound=_window(engine._inbound_flow_control_window_manager),
        frames=(engine.max_outbound_frame_size, engine.max_inbound_frame_size),
        closed=tuple(
            (number, None if how is None else how.value)
            for number, how in list(engine._closed_streams.items())[-CLOSED:]
        ),
        streams=tuple(streams),
        partial=b"".join(frame.serialize() for frame in buffer._headers_buffer) + bytes(buffer._data),
    )


def thaw(state: State) -> ServerEngine:
    """An engine that goes on where the other stopped; BadStateError."""
    limit = dict(state.local).get(SettingCodes.MAX_HEADER_LIST_SIZE)
    if limit is None:
        raise BadStateError("an HTTP/2 connection without a limit for header lists")
    engine = ServerEngine(limit[0])
    try:
        engine.local_settings = _thawed_settings(state.local, client=False)
        engine.remote_settings = _thawed_settings(state.remote, client=True)
        engine.incoming_buffer._preamble_len = 0
        engine.incoming_buffer._preamble = b""
        engine.incoming_buffer.max_frame_size = state.frames[1]
        engine.incoming_buffer.add_data(state.partial)
        if any(True for _ in engine.incoming_buffer):
            raise BadStateError("a whole frame where only part of one can be")
    except (H2Error, HyperframeError) as error:
        raise BadStateError(f"an HTTP/2 connection that h2 refuses: {error!r:.200}") from error
    engine.greeted = state.greeted
    engine.state_machine.state = ConnectionState.SERVER_OPEN if state.begun else ConnectionState.IDLE
    engine.highest_inbound_stream_id = state.highest
    _fill(engine.encoder.header_table, state.encoder)
    engine.encoder.table_size_changes = list(state.resized)
    engine.encoder.header_table.resized = bool(state.resized)
    _fill(engine.decoder.header_table, state.decoder)
    engine.decoder.max_allowed_table_size = state.allowed
    engine.outbound_flow_control_window = state.window
    _thaw_window(engine._inbound_flow_control_window_manager, state.inbound)
    engine.max_outbound_frame_size, engine.max_inbound_frame_size = state.frames
    for number, how in state.closed:
        engine._closed_streams[number] = None if how is None else StreamClosedBy(how)
    for waiting in state.streams:
        engine.streams[waiting.id] = _thawed_stream(engine, waiting)
    return engine


def fields_of(waiting: Waiting) -> Fields:
    """The header list as it came, with what no table may hold."""
    return [
        HeaderTuple(name, value) if may else NeverIndexedHeaderTuple(name, value)
        for name, value, may in waiting.fields
    ]


def _thawed_stream(engine: ServerEngine, waiting: Waiting) -> H2Stream:
    stream = H2Stream(
        waiting.id,
        config=engine.config,
        inbound_window_size=0,
        outbound_window_size=waiting.window,
    )
    stream.max_outbound_frame_size = engine.max_outbound_frame_size
    stream._expected_content_length = waiting.expected
    stream._actual_content_length = waiting.received
    _thaw_window(stream._inbound_window_manager, waiting.inbound)
    machine = stream.state_machine
    machine.state = _STREAM_STATE[waiting.ended]
    machine.client, machine.headers_received = False, True
    machine.trailers_received = True if waiting.trailers else None
    return stream


def _table(table: HeaderTable) -> Table:
    return Table(table.maxsize, tuple((bytes(name), bytes(value)) for name, value in table.dynamic_entries))


def _fill(table: HeaderTable, state: Table) -> None:
    table._maxsize = state.size
    table.dynamic_entries = deque(state.entries)
    table._current_size = sum(table_entry_size(*entry) for entry in state.entries)
    table.resized = False


def _window(manager: WindowManager) -> Window:
    return Window(manager.max_window_size, manager.current_window_size, manager._bytes_processed)


def _thaw_window(manager: WindowManager, window: Window) -> None:
    manager.max_window_size, manager.current_window_size, manager._bytes_processed = window


def _settings(settings: Settings) -> tuple[Setting, ...]:
    return tuple((int(code), tuple(values)) for code, values in settings._settings.items())


def _thawed_settings(state: tuple[Setting, ...], client: bool) -> Settings:
    settings = Settings(client=client)
    settings._settings.clear()
    for code, values in state:
        for value in values:
            settings.validate_received_setting(code, value)
        settings._settings[code] = deque(values)
    return settings
