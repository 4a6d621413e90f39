import re
import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import count
from time import monotonic

import pytest

from harness.record.ledger import Client, Connection, LoadLedger, Sockets
from loadtests import ledger, sender
from loadtests.classes import CLASSES
from loadtests.client import Address, RequestFailed
from loadtests.compose import SHA256_OF_NOTHING, get

pytestmark = pytest.mark.integration

Act = Callable[[socket.socket], object]
Serve = Callable[..., Address]

INTERVAL_S = 0.1
PAUSE_S = 0.05  # between an answer and what a server does next; well within the interval


@dataclass
class Played:
    """What one client recorded, and what it reported to Locust."""

    client: Client
    connections: list[Connection]
    reports: list[tuple[str, float, int, RequestFailed | None]]
    sockets: list[Sockets]

    @property
    def failures(self) -> list[tuple[int, str, str]]:
        return [(failure.sequence, failure.kind, failure.detail) for failure in self.client.failures]

    @property
    def ends(self) -> list[tuple[str, int]]:
        return [(connection.how, connection.requests) for connection in self.connections]


def play(address: Address, requests: int, traffic: str = "keep-alive") -> Played:
    """One client that sends so many requests, one every INTERVAL_S."""
    kept = ledger.Ledger("worker-0", ledger.wall(monotonic()))
    client = kept.client("w.0", traffic, "pod-1")
    reports: list[tuple[str, float, int, RequestFailed | None]] = []

    def report(method: str, response_ms: float, length: int, failure: RequestFailed | None) -> None:
        reports.append((method, response_ms, length, failure))

    one = sender.Sender(CLASSES[traffic], address, client, kept.punctuality, "X-Version", report)
    one.run(count(monotonic() + 0.01, INTERVAL_S), lambda: client.sent == requests)
    kept.stop(ledger.wall(monotonic()))
    read = LoadLedger.model_validate(kept.document())
    return Played(read.clients[0], read.connections, reports, read.sockets)


def answer(
    connection: socket.socket, status: str = "200 OK", headers: str = "", request_id: str = "", body: str = ""
) -> bool:
    """Reads a request and answers as the application would, but for what is given; False at the end."""
    request = connection.recv(65536)
    if not request:
        return False
    found = re.search(rb"x-request-id: (\S+)", request)
    assert found
    named = request_id or found[1].decode()
    digest = SHA256_OF_NOTHING.decode()
    text = body or f"{found[1].decode()} {digest}\n"
    connection.sendall(
        f"HTTP/1.1 {status}\r\nx-request-id: {named}\r\nx-body-sha256: {digest}\r\nx-version: v2\r\n{headers}"
        f"Content-Length: {len(text)}\r\n\r\n{text}".encode()
    )
    return True


def answers(**wrong: str) -> Act:
    """Answers until the client closes."""

    def act(connection: socket.socket) -> None:
        while answer(connection, **wrong):
            pass

    return act


def answers_and_closes(connection: socket.socket) -> None:
    answer(connection)
    time.sleep(PAUSE_S)


def drops_the_second(connection: socket.socket) -> None:
    answer(connection)
    connection.recv(65536)


def test_right_answers_on_one_connection(serve: Serve) -> None:
    played = play(serve(answers()), 3)
    assert (played.client.sent, played.client.answered, played.failures) == ([(1, 3)], [(1, 3)], [])
    assert played.ends == [("open", 3)]
    assert [(method, failure) for method, _, _, failure in played.reports] == [("GET", None)] * 3


def test_a_server_that_closes_after_each_answer_costs_connections_and_no_requests(serve: Serve) -> None:
    played = play(serve(*[answers_and_closes] * 3), 3)
    assert (played.client.answered, played.failures) == ([(1, 3)], [])
    assert played.ends[:2] == [("closed", 1)] * 2
    assert len(played.ends) == 3


def test_a_close_of_an_idle_connection_is_dated_when_it_happened(serve: Serve) -> None:
    played = play(serve(answers_and_closes, answers()), 2)
    closed, following = played.connections
    assert closed.ended is not None
    assert closed.ended < following.opened - PAUSE_S / 2


def test_a_server_that_drops_every_second_request_loses_them_and_nothing_is_retried(serve: Serve) -> None:
    played = play(serve(drops_the_second, drops_the_second), 4)
    assert played.client.answered == [(1, 1), (3, 3)]
    assert played.failures == [(2, "eof", "no answer"), (4, "eof", "no answer")]
    assert played.ends == [("broken", 2)] * 2
    assert [failure.kind if failure else None for *_, failure in played.reports] == [None, "eof", None, "eof"]


def test_a_black_hole_loses_every_request(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sender, "ANSWER_TIMEOUT_S", 0.05)
    release = threading.Event()
    address = serve(*[lambda connection: release.wait(10)] * 2)
    played = play(address, 2)
    release.set()
    assert [(sequence, kind) for sequence, kind, _ in played.failures] == [(1, "timeout"), (2, "timeout")]
    assert played.ends == [("broken", 1)] * 2


def test_no_listener_fails_each_request_and_makes_no_connection() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        address = Address("pod-1", "127.0.0.1", listener.getsockname()[1])
    played = play(address, 2)
    assert [kind for _, kind, _ in played.failures] == ["refused", "refused"]
    assert played.ends == []


def test_a_server_that_says_that_it_closes_is_left_without_a_failure(serve: Serve) -> None:
    told = answers(headers="Connection: close\r\n")
    played = play(serve(told, told), 2)
    assert (played.client.answered, played.failures) == ([(1, 2)], [])
    assert played.ends == [("told", 1)] * 2
    assert all(connection.told_at == connection.ended for connection in played.connections)


def test_a_strange_status_fails_the_request_and_names_who_sent_it(serve: Serve) -> None:
    played = play(serve(answers(status="503 Service Unavailable")), 2)
    assert played.failures == [(1, "status", "status 503"), (2, "status", "status 503")]
    assert played.client.failures[0].served_by == "v2"
    assert played.ends == [("open", 2)]


@pytest.mark.parametrize("wrong", [{"request_id": "w.0-9"}, {"body": "another body"}])
def test_an_answer_that_is_not_this_requests_is_corrupted(serve: Serve, wrong: dict[str, str]) -> None:
    played = play(serve(answers(**wrong)), 1)
    assert [(sequence, kind) for sequence, kind, _ in played.failures] == [(1, "corrupted")]
    assert played.ends == [("client", 1)]


def test_bytes_that_nobody_asked_for_fail_the_next_request_unsent(serve: Serve) -> None:
    def act(connection: socket.socket) -> None:
        answer(connection)
        time.sleep(PAUSE_S)
        connection.sendall(b"surprise")
        with suppress(ConnectionResetError):  # the client closes without reading it
            connection.recv(65536)

    played = play(serve(act), 2)
    assert [(sequence, kind) for sequence, kind, _ in played.failures] == [(2, "protocol")]
    assert played.ends == [("broken", 1)]


def test_each_request_of_new_connection_has_its_own_and_none_is_listed(serve: Serve) -> None:
    told = answers(headers="Connection: close\r\n")  # as the client has asked for
    played = play(serve(told, told), 2, traffic="new-connection")
    assert (played.client.answered, played.failures, played.ends) == ([(1, 2)], [], [])
    (sockets,) = played.sockets
    assert (sockets.opened, sockets.reused, sockets.told, sockets.closed, sockets.broken) == (2, 0, 0, 0, 0)


def answers_at_once(count: int) -> Act:
    """Answers so many of the requests that come at once, then closes."""

    def act(connection: socket.socket) -> None:
        data = b""
        while data.count(b"\r\n\r\n") < 8:
            data += connection.recv(65536)
        for found in re.findall(rb"x-request-id: (\S+)", data)[:count]:
            text = b"%b %b\n" % (found, SHA256_OF_NOTHING)
            head = b"HTTP/1.1 200 OK\r\nx-request-id: %b\r\nx-body-sha256: %b\r\nContent-Length: %d\r\n\r\n"
            connection.sendall(head % (found, SHA256_OF_NOTHING, len(text)) + text)
        time.sleep(PAUSE_S)

    return act


def test_requests_sent_at_once_are_each_a_request_of_their_own(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(CLASSES, "pipelined", replace(CLASSES["pipelined"], compose=get))
    played = play(serve(answers_at_once(8), answers_at_once(3)), 16, traffic="pipelined")
    assert played.client.sent == [(1, 16)]
    assert played.client.answered == [(1, 11)]
    assert played.failures == [(number, "eof", "no answer") for number in range(12, 17)]
    assert played.ends == [("closed", 8), ("broken", 8)]
    failure = played.client.failures[0]
    assert failure.previous is not None
    assert failure.following is not None
    assert (failure.previous.how, failure.following.how) == ("answered", "eof")


def test_a_client_that_waits_for_its_next_time_stops_soon(serve: Serve) -> None:
    kept = ledger.Ledger("worker-0", ledger.wall(monotonic()))
    client = kept.client("w.0", "keep-alive", "pod-1")
    over = threading.Event()
    one = sender.Sender(
        CLASSES["keep-alive"], serve(answers()), client, kept.punctuality, "", lambda *_: over.set()
    )
    begin = monotonic()
    one.run(count(begin, 100.0), over.is_set)
    assert client.sent == 1
    assert monotonic() < begin + 10


def test_a_stop_is_seen_in_a_long_pause_of_the_schedule(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sender, "LOOK_S", 0.05)
    kept = ledger.Ledger("worker-0", ledger.wall(monotonic()))
    client = kept.client("w.0", "keep-alive", "pod-1")
    one = sender.Sender(
        CLASSES["keep-alive"], serve(answers()), client, kept.punctuality, "", lambda *_: None
    )
    begin = monotonic()
    one.run(count(begin, 3600.0), lambda: client.sent == 1)
    assert monotonic() - begin < 60
    assert client.document()["answered"] == [(1, 1)]


def test_latency_counts_from_the_intended_time_though_the_answer_before_was_late(serve: Serve) -> None:
    def act(connection: socket.socket) -> None:
        while True:
            time.sleep(INTERVAL_S * 1.5)
            if not answer(connection):
                return

    played = play(serve(act), 3)
    waits = [response_ms for _, response_ms, _, _ in played.reports]
    assert waits[0] >= INTERVAL_S * 1000
    assert waits[2] >= waits[0] + INTERVAL_S * 500
