"""An HTTP/2 connection as a document: any traffic, frozen anywhere, goes on in another engine unnoticed."""

from __future__ import annotations

import contextlib
import json
from typing import Any

import h2.config
import h2.connection
import h2.events
import h2.settings
import pytest
from h2.events import DataReceived, RequestReceived, StreamEnded, StreamReset, TrailersReceived
from hypothesis import given
from hypothesis import strategies as st

from sidecar.proxy.h2 import rest, state
from sidecar.proxy.h2.engine import ServerEngine
from sidecar.proxy.h2.fields import Fields
from sidecar.proxy.h2.state import BadStateError, State
from tests.sidecar.h2.peer import PREFACE, frame, texts

LIMIT = 65536


class Request:
    """What the server keeps of a stream that waits."""

    def __init__(self, listed: Fields) -> None:
        self.listed = listed
        self.body = b""
        self.held = 0
        self.ended = False
        self.trailers: Fields = []


class Server:
    """An engine with waiting requests, and nothing else of the proxy."""

    def __init__(self) -> None:
        self.engine = ServerEngine(LIMIT)
        self.engine.greet()
        self.engine.receive(PREFACE, 0.0)  # a connection is HTTP/1 until this is whole
        self.waiting: dict[int, Request] = {}

    def receive(self, data: bytes) -> None:
        for event in self.engine.receive(data, 0.0):
            number = getattr(event, "stream_id", 0)
            if isinstance(event, RequestReceived):
                self.waiting[number] = Request(list(event.headers))
            elif number not in self.waiting:
                continue
            elif isinstance(event, DataReceived):
                self.waiting[number].body += event.data
                self.waiting[number].held += event.flow_controlled_length
            elif isinstance(event, TrailersReceived):
                self.waiting[number].trailers = list(event.headers)
            elif isinstance(event, StreamEnded):
                self.waiting[number].ended = True
            elif isinstance(event, StreamReset):
                held = self.waiting.pop(number).held
                self.engine.acknowledge_received_data(held, number)

    def answer(self) -> None:
        """Answers the requests that are whole: the body's length, and a field that fills the table."""
        for number, request in list(self.waiting.items()):
            if request.ended:
                del self.waiting[number]
                self.engine.acknowledge_received_data(request.held, number)
                fields = [(":status", "200"), ("x-length", str(len(request.body))), ("x-number", str(number))]
                self.engine.send_headers(number, fields, end_stream=True)

    def frozen(self) -> State:
        waiting = [
            rest.freeze_stream(self.engine, number, one.listed, one.body, one.held, one.trailers)
            for number, one in self.waiting.items()
        ]
        return rest.freeze(self.engine, waiting)

    def move(self) -> None:
        """As another process would go on with it."""
        assert rest.at_rest(self.engine, len(self.waiting))
        before = self.frozen()
        document = state.encode(before)
        after = state.parse(document)
        assert after == before
        self.engine = rest.thaw(after)
        self.waiting = {}
        for one in after.streams:
            request = self.waiting[one.id] = Request(rest.fields_of(one))
            request.body, request.held = one.body, one.held
            request.ended, request.trailers = one.ended, list(one.trailers)
        assert self.frozen() == before


class Client:
    """h2 as a client, and what it is owed."""

    def __init__(self) -> None:
        self.h2 = h2.connection.H2Connection(h2.config.H2Configuration(client_side=True))
        self.h2.initiate_connection()
        self.greeting = self.h2.data_to_send().removeprefix(PREFACE)
        self.open: dict[int, int] = {}  # bytes sent
        self.owed: dict[int, int] = {}
        self.answered: dict[int, int] = {}
        self.pongs = 0
        self.pings = 0

    def receive(self, data: bytes) -> None:
        for event in self.h2.receive_data(data):
            if isinstance(event, h2.events.ResponseReceived):
                headers = texts(event.headers)
                assert int(headers["x-number"]) == event.stream_id
                self.answered[event.stream_id] = int(headers["x-length"])
            elif isinstance(event, h2.events.PingAckReceived):
                self.pongs += 1
            assert not isinstance(event, h2.events.ConnectionTerminated | h2.events.StreamReset)

    def request(self, value: str, end: bool) -> None:
        if self.h2.open_outbound_streams >= 90:
            return
        number = self.h2.get_next_available_stream_id()
        head = [(":method", "POST"), (":scheme", "http"), (":authority", "a"), (":path", "/" + value)]
        self.h2.send_headers(number, [*head, ("x-value", value), ("authorization", value)], end_stream=end)
        (self.owed if end else self.open)[number] = 0

    def act(self, kind: str, size: int) -> None:
        number = min(self.open, default=0)
        if kind == "request":
            self.request(f"v{size % 7}" * (size % 40), end=True)
        elif kind == "open":
            self.request(f"w{size % 5}", end=False)
        elif kind == "data" and number:
            room = self.h2.local_flow_control_window(number)
            size = min(size, room, 16000)
            padding = size % 9 if room > size + 10 else None
            self.h2.send_data(number, b"x" * size, pad_length=padding)
            self.open[number] += size
        elif kind == "end" and number:
            self.h2.end_stream(number)
            self.owed[number] = self.open.pop(number)
        elif kind == "trailers" and number:
            self.h2.send_headers(number, [("x-sum", str(size))], end_stream=True)
            self.owed[number] = self.open.pop(number)
        elif kind == "reset" and number:
            self.h2.reset_stream(number, 8)
            del self.open[number]
        elif kind == "ping":
            self.h2.ping(b"%08d" % size)
            self.pings += 1
        elif kind == "table":
            self.h2.update_settings({h2.settings.SettingCodes.HEADER_TABLE_SIZE: size % 5000})
        elif kind == "window":
            self.h2.update_settings({h2.settings.SettingCodes.INITIAL_WINDOW_SIZE: size})
        elif kind == "room":
            self.h2.increment_flow_control_window(size + 1)


KINDS = ["request", "open", "data", "end", "trailers", "reset", "ping", "table", "window", "room", "answer"]


@given(
    st.lists(
        st.tuples(st.sampled_from(KINDS), st.integers(0, 20000), st.floats(0, 1)), min_size=1, max_size=40
    )
)
def test_whatever_happened_a_connection_goes_on_where_it_was_frozen(
    steps: list[tuple[str, int, float]],
) -> None:
    client, server = Client(), Server()
    server.receive(client.greeting)
    for kind, size, cut in steps:
        if kind == "answer":
            server.answer()
        else:
            client.act(kind, size)
        data = client.h2.data_to_send()
        at = int(len(data) * cut)
        for part in (data[:at], data[at:]):
            server.receive(part)
            client.receive(server.engine.data_to_send())
            server.move()
    for number in list(client.open):
        client.h2.end_stream(number)
        client.owed[number] = client.open.pop(number)
    server.receive(client.h2.data_to_send())
    server.answer()
    client.receive(server.engine.data_to_send())
    assert client.answered == client.owed
    assert client.pongs == client.pings
    assert server.engine.inbound_flow_control_window <= 1 << 20


def test_frozen_at_every_byte_of_a_long_head_and_its_body() -> None:
    client, server = Client(), Server()
    client.request("x" * 40, end=False)
    first = client.greeting + client.h2.data_to_send()
    number = 3
    head = client.h2.encoder.encode(
        [(":method", "GET"), (":scheme", "http"), (":authority", "a"), (":path", "/two")]
    )
    block = client.h2.encoder.encode([("x-more", "y" * 30)])
    data = (
        first
        + frame(0, 8, 1, b"\x03body\0\0\0")
        + frame(1, 0x21, number, bytes(5) + head[:7])
        + frame(9, 0, number, head[7:])
        + frame(9, 4, number, block)
    )
    for byte in data:
        server.receive(bytes([byte]))
        server.engine.data_to_send()
        server.move()
    assert server.waiting[1].body == b"body"
    assert server.waiting[number].ended
    assert (b"x-more", b"y" * 30) in server.waiting[number].listed


def test_the_newest_hundred_closed_streams_are_carried() -> None:
    client, server = Client(), Server()
    server.receive(client.greeting)
    for _ in range(150):
        client.request("x", end=True)
        server.receive(client.h2.data_to_send())
        server.answer()
        client.receive(server.engine.data_to_send())
    server.move()
    closed = server.frozen().closed
    assert [number for number, _ in closed] == list(range(101, 301, 2))
    assert len(state.encode(server.frozen())) < 8000


def document() -> dict[str, Any]:
    client, server = Client(), Server()
    client.request("a", end=True)
    client.request("b", end=False)
    client.act("data", 100)
    server.receive(client.greeting + client.h2.data_to_send() + frame(0, 0, 3, b"partial")[:12])
    server.engine.data_to_send()
    found = json.loads(state.encode(server.frozen()))
    assert isinstance(found, dict)
    return found


WHOLE = document()


@pytest.mark.parametrize("key", sorted(WHOLE))
@pytest.mark.parametrize("value", [None, -1, 2**40, "x", [], {}, [[1]], [[1, 2, 3]], True, 1.5])
def test_a_field_of_another_kind_is_one_error(key: str, value: Any) -> None:
    if value == WHOLE[key]:
        return
    try:
        rest.thaw(state.parse(json.dumps({**WHOLE, key: value}).encode()))
    except BadStateError:
        pass
    else:  # only where it is a value that could have been
        assert (key, value) in [
            ("window", -1),
            ("resized", []),
            ("closed", []),
            ("streams", []),
            ("begun", True),
            ("greeted", True),
        ]


@pytest.mark.parametrize("key", sorted(WHOLE))
def test_a_missing_field_is_one_error(key: str) -> None:
    with pytest.raises(BadStateError):
        state.parse(json.dumps({name: value for name, value in WHOLE.items() if name != key}).encode())


@given(st.binary(max_size=200))
def test_any_bytes_are_a_state_or_one_error(data: bytes) -> None:
    with pytest.raises(BadStateError):
        state.parse(data)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)


def leaves(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    children = (
        value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    )
    return [path, *(leaf for key, child in children for leaf in leaves(child, (*path, key)))]


@given(st.sampled_from(leaves(WHOLE)[1:]), JSON)
def test_any_change_to_a_document_is_a_state_or_one_error(path: tuple[Any, ...], value: Any) -> None:
    changed = json.loads(json.dumps(WHOLE))
    place = changed
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value
    with contextlib.suppress(BadStateError):
        rest.thaw(state.parse(json.dumps(changed).encode()))


@pytest.mark.parametrize(
    "change",
    [
        {"streams": [WHOLE["streams"][1], WHOLE["streams"][0]]},
        {"streams": [WHOLE["streams"][0]] * 2},
        {"streams": [{**WHOLE["streams"][0], "id": 2}]},
        {"streams": [{**WHOLE["streams"][0], "id": 99}]},
        {"streams": [{**WHOLE["streams"][1], "received": 5}]},
        {"streams": [{**WHOLE["streams"][1], "held": 5}]},
        {"streams": [{**WHOLE["streams"][1], "expected": 5}]},
        {"closed": [[99, 0]]},
        {"encoder": {"size": 40, "entries": [["a", "b" * 9]]}},
        {"local": WHOLE["local"][1:]},
        {"local": [*WHOLE["local"], WHOLE["local"][0]]},
        {"remote": [[2, [7]], *WHOLE["remote"][2:], WHOLE["remote"][0]]},
        {"partial": "AAAIBgAAAAAAAAAAAAAAAAA="},
    ],
)
def test_fields_that_contradict_one_another_are_one_error(change: dict[str, Any]) -> None:
    with pytest.raises(BadStateError):
        rest.thaw(state.parse(json.dumps({**WHOLE, **change}).encode()))


def test_only_the_same_format_of_the_same_libraries_can_be_unpacked() -> None:
    mine = state.announced()
    assert state.can_unpack(mine)
    assert state.can_unpack({"peer": "10.0.0.9", **mine})
    for other in (
        {},
        {"format": 2},
        {**mine, "format": 2},
        {**mine, "libraries": "h2 9"},
        {"libraries": mine["libraries"]},
    ):
        assert not state.can_unpack(other)
