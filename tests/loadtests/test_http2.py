import socket
import struct
from collections.abc import Callable, Iterator
from contextlib import closing
from time import monotonic, sleep

import pytest
from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import DataReceived, Event, PingAckReceived, RequestReceived, StreamEnded
from h2.settings import SettingCodes

from loadtests.client import Address, Answer, Reply, RequestFailed
from loadtests.compose import SHA256_OF_NOTHING, Http2Request
from loadtests.http2 import Http2

pytestmark = pytest.mark.integration

Serve = Callable[..., Address]
PATIENCE_S = 10.0
SHORT_S = 0.1


class Server:
    """The other end, driven by a test."""

    def __init__(self, connection: socket.socket, **settings: int) -> None:
        self.socket = connection
        self.h2 = H2Connection(H2Configuration(client_side=False, header_encoding=None))
        self.h2.initiate_connection()
        if settings:
            self.h2.update_settings({SettingCodes[name]: value for name, value in settings.items()})
        self.received: dict[int, int] = {}
        self.flush()

    def flush(self) -> None:
        self.socket.sendall(self.h2.data_to_send())

    def events(self) -> Iterator[Event]:
        while data := self.socket.recv(65536):
            yield from self.h2.receive_data(data)
            self.flush()

    def requests(self, count: int) -> list[int]:
        """Waits until so many requests are whole; their streams."""
        streams: list[int] = []
        for event in self.events():
            if isinstance(event, RequestReceived):
                self.received[event.stream_id] = 0
            elif isinstance(event, DataReceived):
                self.received[event.stream_id] += len(event.data)
                self.h2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
            elif isinstance(event, StreamEnded):
                streams.append(event.stream_id)
                if len(streams) == count:
                    break
        return streams

    def answer(self, stream: int, body: bytes = b"ok") -> None:
        self.h2.send_headers(stream, [(":status", "200"), ("x-version", "v2")])
        self.h2.send_data(stream, body, end_stream=True)

    def goaway(self, last: int) -> None:
        self.h2.close_connection(last_stream_id=last)

    def rest(self) -> None:
        """Until the client closes."""
        while self.socket.recv(65536):
            pass


def request(name: bytes, body: bytes = b"") -> Http2Request:
    method = b"POST" if body else b"GET"
    fields = [
        (b":method", method),
        (b":scheme", b"http"),
        (b":authority", b"a"),
        (b":path", b"/"),
        (b"x", name),
    ]
    return Http2Request(method.decode(), body, name, SHA256_OF_NOTHING, b"", fields)


def converse(address: Address, *requests: Http2Request) -> tuple[list[Reply], str, bool]:
    """The ends of one batch, what the server said of the connection, whether it left it open for a while."""
    deadline = monotonic() + PATIENCE_S
    with closing(Http2(address, deadline)) as connection:
        replies = list(connection.ask(requests, deadline))
        return replies, connection.told, connection.silent_until(monotonic() + SHORT_S)


def ends(replies: list[Reply]) -> dict[int, bytes | str]:
    return {number: reply.body if isinstance(reply, Answer) else str(reply) for number, reply in replies}


def test_streams_are_answered_in_any_order(serve: Serve) -> None:
    def act(connection: socket.socket) -> None:
        server = Server(connection)
        for stream in reversed(server.requests(3)):
            server.answer(stream, b"%d" % stream)
        server.flush()
        server.rest()

    replies, told, left_open = converse(serve(act), request(b"a"), request(b"b", b"x"), request(b"c"))
    assert ends(replies) == {2: b"5", 1: b"3", 0: b"1"}
    assert (told, left_open) == ("", True)
    answer = replies[0][1]
    assert isinstance(answer, Answer)
    assert answer.headers[b"x-version"] == b"v2"


def test_a_body_waits_for_the_windows(serve: Serve) -> None:
    received: list[int] = []

    def act(connection: socket.socket) -> None:
        server = Server(connection, INITIAL_WINDOW_SIZE=1000)
        sleep(SHORT_S)  # the client knows the window before it begins
        (stream,) = server.requests(1)
        received.append(server.received[stream])
        server.answer(stream)
        server.flush()
        server.rest()

    address = serve(act)
    deadline = monotonic() + PATIENCE_S
    with closing(Http2(address, deadline)) as connection:
        assert connection.silent_until(monotonic() + SHORT_S)
        assert ends(list(connection.ask([request(b"a", b"x" * 70_000)], deadline))) == {0: b"ok"}
    assert received == [70_000]


def test_a_goaway_lets_streams_that_have_begun_go_on(serve: Serve) -> None:
    def act(connection: socket.socket) -> None:
        server = Server(connection)
        first, second = server.requests(2)
        server.h2.ping(b"12345678")
        server.goaway(2**31 - 1)
        server.flush()
        for stream in (first, second):
            connection.sendall(frames(server, stream))
        server.rest()

    replies, told, left_open = converse(serve(act), request(b"a"), request(b"b"))
    assert ends(replies) == {0: b"ok", 1: b"ok"}
    assert (told, left_open) == ("goaway", False)


def frames(server: Server, stream: int) -> bytes:
    """An answer, after the library thinks that the connection has ended."""
    block = server.h2.encoder.encode([(":status", "200")])
    head = struct.pack(">I", len(block))[1:] + b"\x01\x04" + struct.pack(">I", stream) + block
    return head + b"\x00\x00\x02\x00\x01" + struct.pack(">I", stream) + b"ok"


def test_streams_that_a_goaway_does_not_take_have_failed(serve: Serve) -> None:
    def act(connection: socket.socket) -> None:
        server = Server(connection)
        first, _ = server.requests(2)
        server.goaway(first)
        server.flush()
        connection.sendall(frames(server, first))
        server.rest()

    replies, told, _ = converse(serve(act), request(b"a"), request(b"b"))
    assert ends(replies) == {1: "reset: GOAWAY, and the stream was not taken", 0: b"ok"}
    assert told == "goaway"


def test_a_reset_stream_has_failed_and_the_others_go_on(serve: Serve) -> None:
    def act(connection: socket.socket) -> None:
        server = Server(connection)
        first, second = server.requests(2)
        server.h2.reset_stream(first, 7)
        server.answer(second)
        server.flush()
        server.rest()

    replies, told, left_open = converse(serve(act), request(b"a"), request(b"b"))
    assert ends(replies) == {0: "reset: RST_STREAM REFUSED_STREAM", 1: b"ok"}
    assert (told, left_open) == ("", True)


def test_a_connection_that_ends_under_streams_fails_all_of_them(serve: Serve) -> None:
    address = serve(lambda connection: Server(connection).requests(2))
    with pytest.raises(RequestFailed, match="eof: no answer"):
        converse(address, request(b"a"), request(b"b"))


def test_another_protocol_is_a_protocol_error(serve: Serve) -> None:
    def act(connection: socket.socket) -> None:
        connection.recv(65536)
        connection.sendall(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")
        connection.recv(65536)

    with pytest.raises(RequestFailed, match="protocol: not HTTP/2"):
        converse(serve(act), request(b"a"))


def test_a_goaway_on_an_idle_connection_is_seen_before_the_next_request(serve: Serve) -> None:
    def act(connection: socket.socket) -> None:
        server = Server(connection)
        server.answer(server.requests(1)[0])
        server.flush()
        sleep(SHORT_S / 2)
        server.goaway(1)
        server.flush()
        server.rest()

    deadline = monotonic() + PATIENCE_S
    with closing(Http2(serve(act), deadline)) as connection:
        assert ends(list(connection.ask([request(b"a")], deadline))) == {0: b"ok"}
        assert not connection.silent_until(deadline)
        assert connection.told == "goaway"
    assert monotonic() < deadline


def test_a_close_of_an_idle_connection_is_no_goaway(serve: Serve) -> None:
    def act(connection: socket.socket) -> None:
        server = Server(connection)
        server.answer(server.requests(1)[0])
        server.flush()

    _, told, left_open = converse(serve(act), request(b"a"))
    assert (told, left_open) == ("", False)


def test_a_ping_is_answered_while_the_connection_is_idle(serve: Serve) -> None:
    answered: list[bytes] = []

    def act(connection: socket.socket) -> None:
        server = Server(connection)
        server.answer(server.requests(1)[0])
        server.h2.ping(b"12345678")
        server.flush()
        answered.extend(event.ping_data for event in server.events() if isinstance(event, PingAckReceived))

    converse(serve(act), request(b"a"))
    for _ in range(100):
        if answered:
            break
        sleep(SHORT_S)
    assert answered == [b"12345678"]
