import socket
import struct
import threading
from collections.abc import Callable, Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass
from time import monotonic

import pytest

from loadtests import http1
from loadtests.client import Address, Answer, Fault, Reply, RequestFailed
from loadtests.http1 import Http1, LongStream, Piece, Upload

pytestmark = pytest.mark.integration

Act = Callable[[socket.socket], object]
Serve = Callable[..., Address]


@dataclass(frozen=True)
class Raw:
    """A request that takes any answer for a right one."""

    data: bytes = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
    method: str = "GET"
    pieces: Sequence[Piece] = ()

    def fault(self, answer: Answer) -> Fault | None:
        return None


ANSWER = b"HTTP/1.1 200 OK\r\nX-Version: v2\r\nContent-Length: 2\r\n\r\nok"
PATIENCE_S = 10.0  # for what should happen at once
SHORT_S = 0.2  # for what must not happen


def says(*parts: bytes, reset: bool = False) -> Act:
    """Reads a request, says the parts, and closes."""

    def act(connection: socket.socket) -> None:
        connection.recv(65536)
        for part in parts:
            connection.sendall(part)
        if reset:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    return act


def ask(address: Address, within_s: float = PATIENCE_S) -> Answer:
    deadline = monotonic() + within_s
    with closing(Http1[Raw](address, deadline)) as connection:
        return whole(connection.ask([Raw()], deadline))[0]


def whole(replies: Iterable[Reply]) -> list[Answer]:
    """Answers to all, in order."""
    found = list(replies)
    assert [number for number, _ in found] == list(range(len(found)))
    return [reply for _, reply in found if isinstance(reply, Answer)]


def told(address: Address) -> str:
    """How the server said that it closes, after one answer."""
    deadline = monotonic() + PATIENCE_S
    with closing(Http1[Raw](address, deadline)) as connection:
        whole(connection.ask([Raw()], deadline))
        return connection.told


def failure(address: Address, within_s: float = PATIENCE_S) -> tuple[str, str]:
    with pytest.raises(RequestFailed) as caught:
        ask(address, within_s)
    return caught.value.kind, caught.value.detail


def test_a_whole_answer_is_read(serve: Serve) -> None:
    answer = ask(serve(says(ANSWER)))
    assert (answer.status, answer.body, answer.partial) == (200, b"ok", False)
    assert answer.headers == {b"x-version": b"v2", b"content-length": b"2"}


def test_an_answer_cut_at_any_byte_is_put_together(serve: Serve) -> None:
    pieces = [ANSWER[at : at + 1] for at in range(len(ANSWER))]
    assert ask(serve(says(*pieces))).body == b"ok"


def test_a_chunked_answer_is_put_together(serve: Serve) -> None:
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    assert ask(serve(says(head, b"1\r\no\r\n", b"1\r\nk\r\n0\r\n\r\n"))).body == b"ok"


def test_the_server_may_say_that_it_closes(serve: Serve) -> None:
    assert told(serve(says(ANSWER.replace(b"X-Version: v2", b"Connection: close")))) == "close"
    assert told(serve(says(ANSWER))) == ""


def test_an_answer_may_end_with_the_connection(serve: Serve) -> None:
    act = says(b"HTTP/1.1 200 OK\r\n\r\nall of it")
    assert ask(serve(act)).body == b"all of it"
    assert told(serve(act)) == "close"


def test_an_interim_answer_is_not_the_answer(serve: Serve) -> None:
    answer = ask(serve(says(b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n", ANSWER)))
    assert (answer.status, answer.body) == (200, b"ok")


def test_no_listener_is_refused() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        address = Address("pod-1", "127.0.0.1", listener.getsockname()[1])
    assert failure(address) == ("refused", "no connection: Connection refused")


def test_a_connection_that_ends_without_an_answer_is_eof(serve: Serve) -> None:
    assert failure(serve(says())) == ("eof", "no answer")


def test_an_answer_that_is_cut_short_is_eof(serve: Serve) -> None:
    assert failure(serve(says(ANSWER[:-1]))) == ("eof", "no whole answer")


def test_a_chunked_answer_that_is_cut_short_is_eof(serve: Serve) -> None:
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\no\r\n"
    assert failure(serve(says(head))) == ("eof", "no whole answer")


def test_a_connection_that_is_reset_is_reset(serve: Serve) -> None:
    assert failure(serve(says(reset=True))) == ("reset", "no answer: Connection reset by peer")


def test_a_black_hole_times_out(serve: Serve) -> None:
    release = threading.Event()
    address = serve(lambda connection: release.wait(PATIENCE_S))
    assert failure(address, SHORT_S)[0] == "timeout"
    release.set()


def test_an_answer_that_only_trickles_times_out_all_the_same(serve: Serve) -> None:
    release = threading.Event()

    def trickle(connection: socket.socket) -> None:
        connection.recv(65536)
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n")
        while not release.wait(SHORT_S / 10):
            connection.send(b"x")

    address = serve(trickle)
    kind, detail = failure(address, SHORT_S)
    release.set()
    assert (kind, detail) == ("timeout", "no whole answer in time")


def test_another_protocol_is_a_protocol_error(serve: Serve) -> None:
    assert failure(serve(says(b"SSH-2.0-server\r\n")))[0] == "protocol"


def test_two_answers_to_one_request_are_a_protocol_error(serve: Serve) -> None:
    assert failure(serve(says(ANSWER + ANSWER))) == ("protocol", "bytes after the end of the answer")


def test_a_silent_connection_is_open_until_the_time_asked_for(serve: Serve) -> None:
    release = threading.Event()
    address = serve(lambda connection: release.wait(PATIENCE_S))
    with closing(Http1[Raw](address, monotonic() + PATIENCE_S)) as connection:
        until = monotonic() + SHORT_S
        assert connection.silent_until(until)
        assert monotonic() >= until
        assert connection.silent_until(0.0)
    release.set()


@pytest.mark.parametrize("last_words", [b"", b"HTTP/1.1 408 Request Timeout\r\n\r\n"])
def test_a_close_of_an_idle_connection_is_noticed_at_once(serve: Serve, last_words: bytes) -> None:
    address = serve(lambda connection: connection.sendall(last_words))
    with closing(Http1[Raw](address, monotonic() + PATIENCE_S)) as connection:
        until = monotonic() + PATIENCE_S
        assert not connection.silent_until(until)
        assert monotonic() < until


def test_a_reset_of_an_idle_connection_is_a_close(serve: Serve) -> None:
    connected = threading.Event()

    def act(connection: socket.socket) -> None:
        connected.wait(PATIENCE_S)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    with closing(Http1[Raw](serve(act), monotonic() + PATIENCE_S)) as connection:
        connected.set()
        assert not connection.silent_until(monotonic() + PATIENCE_S)


def test_bytes_on_an_idle_connection_are_a_protocol_error(serve: Serve) -> None:
    address = serve(lambda connection: connection.sendall(ANSWER))
    with (
        closing(Http1[Raw](address, monotonic() + PATIENCE_S)) as connection,
        pytest.raises(RequestFailed, match="protocol: bytes on the idle connection"),
    ):
        connection.silent_until(monotonic() + PATIENCE_S)


def test_answers_to_requests_sent_at_once_come_one_by_one(serve: Serve) -> None:
    deadline = monotonic() + PATIENCE_S
    second = ANSWER.replace(b"ok", b"no")
    for parts in ((ANSWER + second,), (ANSWER + second[:10], second[10:]), (ANSWER, second)):
        with closing(Http1[Raw](serve(says(*parts)), deadline)) as connection:
            answers = whole(connection.ask([Raw(), Raw()], deadline))
        assert [answer.body for answer in answers] == [b"ok", b"no"]


def test_a_server_that_closes_with_requests_unanswered_has_lost_them(serve: Serve) -> None:
    deadline = monotonic() + PATIENCE_S
    last = ANSWER.replace(b"X-Version: v2", b"Connection: close")
    with closing(Http1[Raw](serve(says(last)), deadline)) as connection:
        replies = connection.ask([Raw(), Raw()], deadline)
        assert isinstance(next(replies)[1], Answer)
        with pytest.raises(
            RequestFailed, match="eof: the server said that it closes, before it had answered"
        ):
            next(replies)


def test_one_answer_too_many_fails_the_last_request(serve: Serve) -> None:
    deadline = monotonic() + PATIENCE_S
    with closing(Http1[Raw](serve(says(ANSWER * 3)), deadline)) as connection:
        replies = connection.ask([Raw(), Raw()], deadline)
        assert isinstance(next(replies)[1], Answer)
        with pytest.raises(RequestFailed, match="protocol: bytes after the end"):
            next(replies)


def test_an_upload_is_sent_piece_by_piece(serve: Serve) -> None:
    received: list[bytes] = []

    def act(connection: socket.socket) -> None:
        while len(received) < 3:
            received.append(connection.recv(65536))
        connection.sendall(ANSWER)

    pieces = [Piece(0, b"one"), Piece(SHORT_S / 2, b"two"), Piece(SHORT_S, b"three")]
    deadline = monotonic() + PATIENCE_S
    with closing(Upload(serve(act), deadline)) as connection:
        assert len(whole(connection.ask([Raw(pieces=pieces)], deadline))) == 1
    assert received == [b"one", b"two", b"three"]


@pytest.mark.parametrize(("parts", "end"), [((ANSWER,), None), ((), "eof")])
def test_an_upload_sees_an_answer_or_an_end_before_its_last_piece(
    serve: Serve, parts: tuple[bytes, ...], end: str | None
) -> None:
    begin = monotonic()
    deadline = begin + PATIENCE_S
    pieces = [Piece(0, b"one"), Piece(PATIENCE_S, b"two")]
    with closing(Upload(serve(says(*parts)), deadline)) as connection:
        if end:
            with pytest.raises(RequestFailed, match=end):
                next(connection.ask([Raw(pieces=pieces)], deadline))
        else:
            assert whole(connection.ask([Raw(pieces=pieces)], deadline))[0].body == b"ok"
    assert monotonic() < deadline


HEAD = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


def test_a_long_stream_is_left_when_the_run_is_over_and_was_right_so_far(serve: Serve) -> None:
    release, over = threading.Event(), threading.Event()

    def act(connection: socket.socket) -> None:
        connection.recv(65536)
        connection.sendall(HEAD + b"3\r\none\r\n")
        over.set()
        while not release.wait(SHORT_S / 10):
            connection.sendall(b"3\r\ntwo\r\n")

    deadline = monotonic() + PATIENCE_S
    with closing(LongStream(serve(act), deadline, over.is_set)) as connection:
        (answer,) = whole(connection.ask([Raw()], deadline))
        release.set()
    assert answer.partial
    assert answer.body.startswith(b"one")


def test_a_long_stream_that_stalls_times_out_though_it_might_last_for_longer(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http1, "EVENT_TIMEOUT_S", SHORT_S)
    release = threading.Event()

    def act(connection: socket.socket) -> None:
        connection.recv(65536)
        connection.sendall(HEAD + b"3\r\none\r\n")
        release.wait(PATIENCE_S)

    deadline = monotonic() + PATIENCE_S
    with closing(LongStream(serve(act), deadline)) as connection, pytest.raises(RequestFailed) as caught:
        next(connection.ask([Raw()], deadline))
    release.set()
    assert (caught.value.kind, caught.value.detail) == ("timeout", "no whole answer in time")
