import re
import socket
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from random import Random
from time import monotonic

import pytest

from loadtests.client import Address, Answer, RequestFailed
from loadtests.compose import SHA256_OF_NOTHING, get, through_tunnel
from loadtests.tunnel import Tunnel

pytestmark = pytest.mark.integration

Serve = Callable[..., Address]
Act = Callable[[socket.socket], object]
PATIENCE_S = 10.0
BEYOND = Address("pod-2", "fd00::2", 9091)
ACCEPTED = b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: tunnel\r\n\r\n"


def opened(address: Address) -> Tunnel:
    return Tunnel(replace(address, beyond=BEYOND), monotonic() + PATIENCE_S)


def says(*parts: bytes) -> Act:
    def act(connection: socket.socket) -> None:
        connection.recv(65536)
        for part in parts:
            connection.sendall(part)

    return act


def failure(address: Address) -> str:
    with pytest.raises(RequestFailed) as caught:
        opened(address)
    return str(caught.value)


def test_a_tunnel_leads_to_the_pod_beyond_and_http_is_spoken_in_it(serve: Serve) -> None:
    heard: list[bytes] = []

    def act(connection: socket.socket) -> None:
        heard.append(connection.recv(65536))
        connection.sendall(ACCEPTED[:20])
        connection.sendall(ACCEPTED[20:])
        heard.append(connection.recv(65536))
        body = b"c-1 %b\n" % SHA256_OF_NOTHING
        head = b"HTTP/1.1 200 OK\r\nx-request-id: c-1\r\nx-body-sha256: %b\r\nContent-Length: %d\r\n\r\n"
        connection.sendall(head % (SHA256_OF_NOTHING, len(body)) + body)

    address = serve(act)
    with closing(opened(address)) as tunnel:
        request = get(BEYOND, b"c-1", Random(1))
        ((_, answer),) = tunnel.ask([request], monotonic() + PATIENCE_S)
    assert isinstance(answer, Answer)
    assert request.fault(answer) is None
    opening, asked = heard
    assert opening.startswith(
        b"GET /tunnel?to=[fd00::2]:9091 HTTP/1.1\r\nHost: 127.0.0.1:%d\r\n" % address.port
    )
    assert b"Connection: Upgrade\r\nUpgrade: tunnel\r\n" in opening
    assert b"x-request-id" not in opening
    assert re.match(rb"GET /echo HTTP/1.1\r\nHost: \[fd00::2\]:9091\r\n", asked)


def test_its_requests_are_for_the_pod_beyond() -> None:
    request = through_tunnel(Address("pod-1", "10.0.0.1", 80, BEYOND), b"c-1", Random(1))
    assert b"\r\nHost: [fd00::2]:9091\r\n" in request.data


def test_a_tunnel_that_is_declined_is_a_status_with_the_applications_reason(serve: Serve) -> None:
    declined = (
        b"HTTP/1.1 502 Bad Gateway\r\nX-App-Error: CONNECT was answered 403\r\nContent-Length: 0\r\n\r\n"
    )
    assert failure(serve(says(declined))) == "status: status 502: CONNECT was answered 403"
    assert failure(serve(says(b"HTTP/1.1 404 Not Found\r\n\r\n"))) == "status: status 404: no tunnel"


def test_a_connection_that_ends_before_there_is_a_tunnel_is_eof(serve: Serve) -> None:
    assert failure(serve(says(ACCEPTED[:-1]))) == "eof: no tunnel"


def test_bytes_that_nobody_asked_for_are_a_protocol_error(serve: Serve) -> None:
    assert failure(serve(says(ACCEPTED + b"x"))) == "protocol: bytes in the new tunnel that nobody asked for"
