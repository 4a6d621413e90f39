"""Header rules: bytes in, bytes out."""

from __future__ import annotations

import pytest

from sidecar.proxy.head import (
    CHUNKED,
    UNTIL_CLOSE,
    BadResponseError,
    RefusedError,
    Request,
    request,
    response,
)

FORWARDED = b"10.0.0.9"


def forward(head: bytes) -> Request:
    return request(head.replace(b"\n", b"\r\n"), FORWARDED)


def test_a_plain_request_passes_with_the_clients_address() -> None:
    wanted = forward(b"GET /a?b=1 HTTP/1.1\nHost: a:1\nX-Request-Id: c-7\nAccept: */*\n\n")
    assert wanted.forward == (
        b"GET /a?b=1 HTTP/1.1\r\nHost: a:1\r\nX-Request-Id: c-7\r\nAccept: */*\r\n"
        b"X-Forwarded-For: 10.0.0.9\r\nX-Forwarded-Proto: http\r\n\r\n"
    )
    assert (wanted.length, wanted.head, wanted.close, wanted.old, wanted.expects) == (
        0,
        False,
        False,
        False,
        False,
    )


def test_hop_by_hop_fields_stay_here_and_those_that_connection_lists_too() -> None:
    wanted = forward(
        b"GET / HTTP/1.1\nKeep-Alive: timeout=5\nHost: a\nConnection: X-Secret, keep-alive\nTE: trailers\n"
        b"X-Secret: 1\nTrailer: X-T\nProxy-Connection: close\nX-Kept: 1\nconnection: x-other\nx-other: 2\n\n"
    )
    assert wanted.forward == (
        b"GET / HTTP/1.1\r\nHost: a\r\nX-Kept: 1\r\n"
        b"X-Forwarded-For: 10.0.0.9\r\nX-Forwarded-Proto: http\r\n\r\n"
    )
    assert not wanted.close


def test_a_connection_field_cannot_take_the_framing_away() -> None:
    wanted = forward(b"POST / HTTP/1.1\nHost: a\nConnection: content-length, host\nContent-Length: 3\n\n")
    assert b"Host: a\r\n" in wanted.forward
    assert b"Content-Length: 3\r\n" in wanted.forward


def test_addresses_and_scheme_of_proxies_before_are_kept_in_order() -> None:
    wanted = forward(
        b"GET / HTTP/1.1\nHost: a\nX-Forwarded-For: 1.1.1.1\nX-Forwarded-Proto: https\n"
        b"X-Forwarded-For: 2.2.2.2\n\n"
    )
    assert (
        b"\r\nX-Forwarded-For: 1.1.1.1, 2.2.2.2, 10.0.0.9\r\nX-Forwarded-Proto: https\r\n" in wanted.forward
    )


@pytest.mark.parametrize(
    ("fields", "length"),
    [
        (b"", 0),
        (b"Content-Length: 0\n", 0),
        (b"content-length: 12 \n", 12),
        (b"Transfer-Encoding: Chunked\n", CHUNKED),
    ],
)
def test_the_bodys_framing_is_read(fields: bytes, length: int) -> None:
    assert forward(b"POST / HTTP/1.1\nHost: a\n" + fields + b"\n").length == length


@pytest.mark.parametrize(
    ("head", "closes", "old"),
    [
        (b"GET / HTTP/1.1\nHost: a\nConnection: close\n\n", True, False),
        (b"GET / HTTP/1.1\nHost: a\nConnection: Keep-Alive, Close\n\n", True, False),
        (b"GET / HTTP/1.0\n\n", True, True),
        (b"GET / HTTP/1.0\nConnection: keep-alive\n\n", True, True),
    ],
)
def test_who_closes_is_read(head: bytes, closes: bool, old: bool) -> None:
    wanted = forward(head)
    assert (wanted.close, wanted.old) == (closes, old)


def test_an_absolute_target_becomes_path_and_host() -> None:
    wanted = forward(b"GET http://b:8/x?y HTTP/1.1\nHost: a\n\n")
    assert wanted.forward.startswith(b"GET /x?y HTTP/1.1\r\nHost: b:8\r\n")
    assert forward(b"GET http://b HTTP/1.1\nHost: a\n\n").forward.startswith(b"GET / HTTP/1.1\r\nHost: b\r\n")


def test_an_upgrade_to_http2_is_declined_by_serving_http1() -> None:
    wanted = forward(
        b"GET / HTTP/1.1\nHost: a\nConnection: Upgrade, HTTP2-Settings\nUpgrade: h2c\nHTTP2-Settings: AAA\n\n"
    )
    assert b"h2c" not in wanted.forward
    assert b"AAA" not in wanted.forward


@pytest.mark.parametrize(
    ("fields", "passed"),
    [
        (b"Connection: Upgrade\nUpgrade: websocket\n", b"websocket"),
        (b"Upgrade: WebSocket\nConnection: keep-alive, upgrade\n", b"WebSocket"),
        (b"Connection: Upgrade\nUpgrade: h2c, IRC/6.9\nUpgrade: RTA/x11\n", b"IRC/6.9, RTA/x11"),
        (b"Connection: Upgrade\nUpgrade: HTTP/2.0, h2, a b, c\n", b"c"),
    ],
)
def test_an_upgrade_is_passed_on(fields: bytes, passed: bytes) -> None:
    wanted = forward(b"GET /x HTTP/1.1\nHost: a\n" + fields + b"Sec-WebSocket-Key: k\n\n")
    assert wanted.upgrade == passed
    assert wanted.forward == (
        b"GET /x HTTP/1.1\r\nHost: a\r\nSec-WebSocket-Key: k\r\nX-Forwarded-For: 10.0.0.9\r\n"
        b"X-Forwarded-Proto: http\r\nConnection: Upgrade\r\nUpgrade: " + passed + b"\r\n\r\n"
    )


@pytest.mark.parametrize(
    "head",
    [
        b"POST / HTTP/1.1\nHost: a\nConnection: Upgrade\nUpgrade: websocket\n\n",
        b"HEAD / HTTP/1.1\nHost: a\nConnection: Upgrade\nUpgrade: websocket\n\n",
        b"GET / HTTP/1.0\nHost: a\nConnection: Upgrade\nUpgrade: websocket\n\n",
        b"GET / HTTP/1.1\nHost: a\nConnection: Upgrade\nUpgrade: websocket\nContent-Length: 1\n\n",
        b"GET / HTTP/1.1\nHost: a\nConnection: Upgrade\nUpgrade: websocket\nTransfer-Encoding: chunked\n\n",
        b"GET / HTTP/1.1\nHost: a\nUpgrade: websocket\n\n",
        b"GET / HTTP/1.1\nHost: a\nConnection: Upgrade\n\n",
        b"GET / HTTP/1.1\nHost: a\nConnection: Upgrade\nUpgrade: h2c\n\n",
        b"GET / HTTP/1.1\nHost: a\nConnection: Upgrade\nUpgrade: web socket\n\n",
    ],
)
def test_what_must_not_upgrade_is_a_plain_request(head: bytes) -> None:
    wanted = forward(head)
    assert wanted.upgrade == b""
    assert b"upgrade" not in wanted.forward.lower()


ASKED_FOR_WEBSOCKET = Request(b"", 0, False, False, False, False, b"websocket, irc/6.9")


def test_a_101_names_the_protocol_that_was_asked_for() -> None:
    given = response(
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: WebSocket\r\nConnection: upgrade\r\n"
        b"Sec-WebSocket-Accept: x\r\nContent-Length: 7\r\n\r\n",
        ASKED_FOR_WEBSOCKET,
    )
    assert (given.status, given.length) == (101, 0)
    assert given.forward == b"HTTP/1.1 101 Switching Protocols\r\nSec-WebSocket-Accept: x"
    assert given.framing == b"\r\nConnection: Upgrade\r\nUpgrade: WebSocket"


@pytest.mark.parametrize(
    "fields",
    [b"", b"Upgrade: h2c\r\n", b"Upgrade: websocket, h2c\r\n", b"Upgrade: \r\n", b"Upgrade: web\r\n"],
)
def test_a_101_with_a_protocol_that_was_not_asked_for_is_no_answer(fields: bytes) -> None:
    with pytest.raises(BadResponseError):
        response(b"HTTP/1.1 101 X\r\nConnection: Upgrade\r\n" + fields + b"\r\n", ASKED_FOR_WEBSOCKET)
    with pytest.raises(BadResponseError):
        response(b"HTTP/1.1 101 X\r\nConnection: Upgrade\r\n" + fields + b"\r\n", PLAIN)


def test_expectations_are_passed_on() -> None:
    wanted = forward(b"PUT / HTTP/1.1\nHost: a\nExpect: 100-continue\nContent-Length: 1\n\n")
    assert wanted.expects
    assert b"\r\nExpect: 100-continue\r\n" in wanted.forward


def outbound(head: bytes) -> Request:
    return request(head.replace(b"\n", b"\r\n"), FORWARDED, outbound=True)


def test_an_outbound_request_says_where_it_goes() -> None:
    wanted = outbound(
        b"GET HTTP://b:8/x?y HTTP/1.1\nHost: a\nProxy-Authorization: s\nProxy-Connection: x\n\n"
    )
    assert wanted.authority == b"b:8"
    assert wanted.forward == (
        b"GET /x?y HTTP/1.1\r\nHost: b:8\r\nX-Forwarded-For: 10.0.0.9\r\nX-Forwarded-Proto: http\r\n\r\n"
    )


@pytest.mark.parametrize("target", [b"a:443", b"[::1]:443"])
def test_a_connect_says_where_it_goes_and_nothing_of_it_is_passed_on(target: bytes) -> None:
    wanted = outbound(b"CONNECT " + target + b" HTTP/1.1\nHost: x\nProxy-Authorization: s\n\n")
    assert (wanted.authority, wanted.forward, wanted.length) == (target, b"", 0)
    assert wanted.close  # if it fails: what follows is no request


@pytest.mark.parametrize(
    "head",
    [
        b"GET / HTTP/1.1\nHost: a\n\n",
        b"OPTIONS * HTTP/1.1\nHost: a\n\n",
        b"GET https://a/ HTTP/1.1\nHost: a\n\n",
        b"GET ftp://a/ HTTP/1.1\nHost: a\n\n",
        b"GET http:///x HTTP/1.1\nHost: a\n\n",
        b"GET http://u:p@a/ HTTP/1.1\nHost: a\n\n",
        b"CONNECT http://a/ HTTP/1.1\nHost: a\n\n",
        b"CONNECT / HTTP/1.1\nHost: a\n\n",
        b"CONNECT u@a:1 HTTP/1.1\nHost: a\n\n",
        b"CONNECT a:1 HTTP/1.1\nHost: a\nContent-Length: 5\n\n",
        b"CONNECT a:1 HTTP/1.1\nHost: a\nTransfer-Encoding: chunked\n\n",
        b"CONNECT a:1 HTTP/1.1\n\n",
    ],
)
def test_an_outbound_request_that_does_not_say_where_it_goes_is_refused(head: bytes) -> None:
    with pytest.raises(RefusedError) as caught:
        outbound(head)
    assert caught.value.status == 400


REFUSED = {
    "TE and CL": (
        b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n",
        400,
    ),
    "CL and TE": (
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n",
        400,
    ),
    "two lengths": (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\n", 400),
    "the same length twice": (
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nContent-Length: 3\r\n\r\n",
        400,
    ),
    "a list of lengths": (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3, 3\r\n\r\n", 400),
    "a signed length": (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: +3\r\n\r\n", 400),
    "a negative length": (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: -3\r\n\r\n", 400),
    "a hexadecimal length": (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0x3\r\n\r\n", 400),
    "an empty length": (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: \r\n\r\n", 400),
    "a huge length": (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999999999999999\r\n\r\n", 400),
    "a length of 64 bits": (
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9223372036854775808\r\n\r\n",
        400,
    ),
    "an unknown encoding": (b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: xchunked\r\n\r\n", 400),
    "chunked twice": (b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked, chunked\r\n\r\n", 400),
    "gzip": (b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n", 501),
    "chunked, then identity": (
        b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked, identity\r\n\r\n",
        400,
    ),
    "chunked after a vertical tab": (
        b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: \x0bchunked\r\n\r\n",
        400,
    ),
    "chunked in 1.0": (b"POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n", 400),
    "a folded encoding": (b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding:\r\n chunked\r\n\r\n", 400),
    "a folded field": (b"GET / HTTP/1.1\r\nHost: a\r\nX: b\r\n\tc\r\n\r\n", 400),
    "a first line that is folded": (b"GET / HTTP/1.1\r\n Host: a\r\n\r\n", 400),
    "a space before the colon": (b"GET / HTTP/1.1\r\nHost : a\r\n\r\n", 400),
    "a tab before the colon": (b"GET / HTTP/1.1\r\nHost\t: a\r\n\r\n", 400),
    "no colon": (b"GET / HTTP/1.1\r\nHost: a\r\nfoo\r\n\r\n", 400),
    "no name": (b"GET / HTTP/1.1\r\nHost: a\r\n: x\r\n\r\n", 400),
    "a bare LF in a field": (b"GET / HTTP/1.1\r\nHost: a\nX: b\r\n\r\n", 400),
    "a bare LF in the request line": (b"GET / HTTP/1.1\nHost: a\r\n\r\n", 400),
    "a bare LF in the target": (b"GET /\nX: HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    "a bare LF in an absolute target": (b"GET http://a/\nX: HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    "a bare CR": (b"GET / HTTP/1.1\r\nHost: a\rX: b\r\n\r\n", 400),
    "NUL": (b"GET / HTTP/1.1\r\nHost: a\r\nX: a\0b\r\n\r\n", 400),
    "no Host": (b"GET / HTTP/1.1\r\n\r\n", 400),
    "two Hosts": (b"GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n", 400),
    "a Host with a path": (b"GET / HTTP/1.1\r\nHost: a/b\r\n\r\n", 400),
    "a Host with a user": (b"GET / HTTP/1.1\r\nHost: u@a\r\n\r\n", 400),
    "a Host with a list": (b"GET / HTTP/1.1\r\nHost: a, b\r\n\r\n", 400),
    "two spaces": (b"GET  / HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    "a space after the version": (b"GET / HTTP/1.1 \r\nHost: a\r\n\r\n", 400),
    "a fragment": (b"GET /#a HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    "a target without a slash": (b"GET a HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    "another scheme": (b"GET ftp://a/ HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    "a user in the target": (b"GET http://u@a/ HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    "HTTP/0.9": (b"GET /\r\n\r\n", 400),
    "HTTP/1.2": (b"GET / HTTP/1.2\r\nHost: a\r\n\r\n", 400),
    "HTTP/2": (b"PRI * HTTP/2.0\r\n\r\n", 505),
    "RTSP": (b"DESCRIBE / RTSP/1.0\r\nHost: a\r\n\r\n", 505),
    "CONNECT": (b"CONNECT a:80 HTTP/1.1\r\nHost: a\r\n\r\n", 501),
    "a method nobody knows": (b"FOO / HTTP/1.1\r\nHost: a\r\n\r\n", 501),
    "no method": (b"\x16\x03\x01\x02 / HTTP/1.1\r\nHost: a\r\n\r\n", 400),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_could_be_read_in_two_ways_is_refused(case: str) -> None:
    head, status = REFUSED[case]
    with pytest.raises(RefusedError) as caught:
        request(head, FORWARDED)
    assert caught.value.status == status


PLAIN = forward(b"GET / HTTP/1.1\nHost: a\n\n")
LENGTH_1 = b"\r\nContent-Length: 1"
CHUNKED_OK = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
HEAD = forward(b"HEAD / HTTP/1.1\nHost: a\n\n")


def test_a_response_passes_without_hop_by_hop_and_without_our_own_fields() -> None:
    found = response(
        b"HTTP/1.1 200 OK\r\nConnection: keep-alive, X-Hop\r\nX-Hop: 1\r\nServer: app\r\nContent-Length: 5\r\n"
        b"Keep-Alive: timeout=5\r\nx-sidecar-version: forged\r\nX-Sidecar-Error: forged\r\nSet-Cookie: a=b\r\n\r\n",
        PLAIN,
    )
    assert found.forward == b"HTTP/1.1 200 OK\r\nServer: app\r\nSet-Cookie: a=b"
    assert (found.status, found.length, found.framing, found.reusable) == (
        200,
        5,
        b"\r\nContent-Length: 5",
        True,
    )


@pytest.mark.parametrize(
    ("head", "asked", "length", "framing", "reusable"),
    [
        (
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
            PLAIN,
            CHUNKED,
            b"\r\nTransfer-Encoding: chunked",
            True,
        ),
        (b"HTTP/1.1 200 OK\r\n\r\n", PLAIN, UNTIL_CLOSE, b"", False),
        (b"HTTP/1.0 200 OK\r\nContent-Length: 1\r\n\r\n", PLAIN, 1, LENGTH_1, False),
        (
            b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 1\r\n\r\n",
            PLAIN,
            1,
            LENGTH_1,
            True,
        ),
        (
            b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 1\r\n\r\n",
            PLAIN,
            1,
            LENGTH_1,
            False,
        ),
        (b"HTTP/1.1 204 No\r\n\r\n", PLAIN, 0, b"", True),
        (b"HTTP/1.1 304 No\r\nContent-Length: 9\r\n\r\n", PLAIN, 0, b"\r\nContent-Length: 9", True),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n", HEAD, 0, b"\r\nContent-Length: 9", True),
        (b"HTTP/1.1 100 Continue\r\n\r\n", PLAIN, 0, b"", True),
    ],
)
def test_the_answers_framing_is_read(
    head: bytes, asked: Request, length: int, framing: bytes, reusable: bool
) -> None:
    found = response(head, asked)
    assert (found.length, found.framing, found.reusable) == (length, framing, reusable)


@pytest.mark.parametrize(
    "head",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 9223372036854775808\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n",
        b"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX: a\r\n b\r\n\r\n",
        b"HTTP/1.1 200 OK\nX: a\r\n\r\n",
        b"HTTP/2.0 200 OK\r\n\r\n",
        b"HTTP/1.1 200 a\0b\r\n\r\n",
        b"HTTP/1.1 200 a\x1bb\r\n\r\n",
        b"HTTP/1.1 099 Early\r\n\r\n",
        b"nonsense\r\n\r\n",
    ],
)
def test_an_answer_that_could_be_read_in_two_ways_is_not_passed_on(head: bytes) -> None:
    with pytest.raises(BadResponseError):
        response(head, PLAIN)
