import socket
from collections.abc import Callable, Iterator
from contextlib import closing
from time import monotonic

import pytest
import wsproto
from wsproto import events

from loadtests.client import Address, Answer, RequestFailed
from loadtests.compose import Message
from loadtests.messages import WebSocket

pytestmark = pytest.mark.integration

Serve = Callable[..., Address]
Act = Callable[[socket.socket], object]
PATIENCE_S = 10.0
SHORT_S = 0.1

ONE, TWO = Message(b"c-1 x", b"c-1 hash"), Message(b"c-2 y", b"c-2 hash")


class Server:
    """The other end, driven by a test."""

    def __init__(self, connection: socket.socket) -> None:
        self._socket = connection
        self._websocket = wsproto.WSConnection(wsproto.ConnectionType.SERVER)

    def say(self, *said: events.Event) -> None:
        self._socket.sendall(b"".join(self._websocket.send(event) for event in said))

    def heard(self) -> Iterator[events.Event]:
        """Shakes hands by itself."""
        while data := self._socket.recv(65536):
            self._websocket.receive_data(data)
            for event in self._websocket.events():
                if isinstance(event, events.Request):
                    self.say(events.AcceptConnection())
                else:
                    yield event

    def messages(self, count: int) -> list[bytes]:
        found: list[bytes] = []
        for event in self.heard():
            assert isinstance(event, events.BytesMessage)
            found.append(bytes(event.data))
            if len(found) == count:
                break
        return found

    def rest(self) -> list[events.Event]:
        return list(self.heard())


def answers(*said: events.Event, waits_for: int = 1) -> Act:
    """Says that to so many messages, and waits until the client closes."""

    def act(connection: socket.socket) -> None:
        server = Server(connection)
        server.messages(waits_for)
        server.say(*said)
        server.rest()

    return act


def text(data: str, *, finished: bool = True) -> events.TextMessage:
    return events.TextMessage(data=data, message_finished=finished)


def ask(address: Address, *messages: Message) -> list[bytes]:
    deadline = monotonic() + PATIENCE_S
    with closing(WebSocket(address, deadline)) as connection:
        replies = list(connection.ask(messages, deadline))
        assert [number for number, _ in replies] == list(range(len(messages)))
        return [reply.body for _, reply in replies if isinstance(reply, Answer)]


def failure(address: Address, *messages: Message) -> str:
    with pytest.raises(RequestFailed) as caught:
        ask(address, *messages)
    return str(caught.value)


def test_messages_sent_at_once_are_answered_one_by_one(serve: Serve) -> None:
    address = serve(answers(text("c-1 hash"), text("c-2 hash"), waits_for=2))
    assert ask(address, ONE, TWO) == [b"c-1 hash", b"c-2 hash"]


def test_an_answer_in_fragments_is_put_together(serve: Serve) -> None:
    assert ask(serve(answers(text("c-1 ", finished=False), text("hash"))), ONE) == [b"c-1 hash"]


def test_answers_in_another_order_are_corrupted() -> None:
    for wrong in (b"c-2 hash", b"c-1 cash", b""):
        fault = ONE.fault(Answer(200, {}, wrong))
        assert fault is not None
        assert fault.kind == "corrupted"
    assert ONE.fault(Answer(200, {}, b"c-1 hash")) is None


def test_one_answer_too_many_is_a_protocol_error(serve: Serve) -> None:
    address = serve(answers(text("c-1 hash"), text("c-2 hash")))
    assert failure(address, ONE) == "protocol: a message that nobody asked for"


def test_a_close_under_a_message_fails_it(serve: Serve) -> None:
    assert (
        failure(serve(answers(events.CloseConnection(1001))), ONE) == "eof: the server closed the WebSocket"
    )
    assert failure(serve(lambda connection: Server(connection).messages(1)), ONE) == "eof: no answer"


def test_a_server_that_declines_is_a_status(serve: Serve) -> None:
    def act(connection: socket.socket) -> None:
        connection.recv(65536)
        connection.sendall(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")
        connection.recv(65536)

    assert failure(serve(act), ONE) == "status: status 404: no WebSocket"


def test_no_listener_is_refused() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        address = Address("pod-1", "127.0.0.1", listener.getsockname()[1])
    assert failure(address, ONE) == "refused: no connection: Connection refused"


@pytest.mark.parametrize("last_words", [(), (events.CloseConnection(1001),)])
def test_a_close_in_between_is_seen_before_the_next_message(
    serve: Serve, last_words: tuple[events.Event, ...]
) -> None:
    def act(connection: socket.socket) -> None:
        server = Server(connection)
        server.messages(1)
        server.say(text("c-1 hash"))
        server.say(*last_words)

    deadline = monotonic() + PATIENCE_S
    with closing(WebSocket(serve(act), deadline)) as connection:
        list(connection.ask([ONE], deadline))
        assert not connection.silent_until(deadline)
    assert monotonic() < deadline


def test_a_ping_is_answered_in_between(serve: Serve) -> None:
    heard: list[events.Event] = []

    def act(connection: socket.socket) -> None:
        server = Server(connection)
        server.messages(1)
        server.say(text("c-1 hash"), events.Ping(b"p"))
        heard.append(next(server.heard()))
        server.say(text("surprise"))
        server.rest()

    deadline = monotonic() + PATIENCE_S
    with closing(WebSocket(serve(act), deadline)) as connection:
        list(connection.ask([ONE], deadline))
        with pytest.raises(RequestFailed, match="protocol: a message that nobody asked for"):
            connection.silent_until(deadline)
    assert heard == [events.Pong(b"p")]
