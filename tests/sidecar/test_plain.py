"""The short way for heads: makes of the same bytes what the rules make of them."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from sidecar.proxy import head as rules
from sidecar.proxy import plain
from sidecar.proxy.head import BadResponseError, RefusedError, Request, Response
from tests.sidecar.test_head import REFUSED

FORWARDED = b"10.0.0.9"
PLAIN = b"GET /a?b=1 HTTP/1.1\r\nHost: a:1\r\nX-Request-Id: c-7\r\nAccept: */*\r\n\r\n"
ANSWER = b"HTTP/1.1 200 OK\r\nServer: app\r\nContent-Length: 5\r\nConnection: keep-alive\r\n\r\n"
ASKED = rules.request(PLAIN, FORWARDED)
ASKED_HEAD = rules.request(PLAIN.replace(b"GET", b"HEAD"), FORWARDED)
ASKED_OLD = rules.request(b"GET / HTTP/1.0\r\n\r\n", FORWARDED)

NAMES = b"|".join(
    (rules.REQUEST_FIELDS, rules.RESPONSE_FIELDS, b"x-request-id|accept|x|cookie|x-hosts|te-x")
).split(b"|")
VALUES = [
    *(
        b"",
        b"a",
        b"a:1",
        b"5",
        b"0",
        b" 7 ",
        b"064",
        b"9223372036854775808",
        b"keep-alive",
        b"Keep-Alive",
        b"close",
        b"x",
        b"keep-alive, x",
    ),
    *(
        b"chunked",
        b"gzip",
        b"timeout=5",
        b"100-continue",
        b"h2c",
        b"a/b",
        b"a\tb",
        b"caf\xe9",
        b"a\nb",
        b"a\r",
    ),
]
name = st.sampled_from(NAMES).flatmap(lambda low: st.sampled_from([low, low.title(), low.upper()]))
field = st.builds(
    lambda name, colon, value: name + colon + value,
    name,
    st.sampled_from([b": ", b": ", b": ", b": ", b":", b":  ", b" : ", b""]),
    st.sampled_from(VALUES),
)
plain_field = st.builds(lambda name, value: name + b": " + value, name, st.sampled_from(VALUES[:10]))
fields = st.lists(st.one_of(plain_field, plain_field, field), max_size=6)
with_host = fields.map(lambda lines: [b"Host: a", *lines])
request_line = st.sampled_from(
    b"GET / HTTP/1.1|POST /a?b HTTP/1.1|HEAD /caf\xc3\xa9 HTTP/1.1|OPTIONS * HTTP/1.1|GET /#a HTTP/1.1|FOO / HTTP/1.1"
    b"|GET http://a/ HTTP/1.1|GET / HTTP/1.0|GET  / HTTP/1.1|CONNECT a:1 HTTP/1.1|GET / HTTP/2.0|get / HTTP/1.1"
    b"|GET /\t HTTP/1.1|GET /a\nb HTTP/1.1|CONNECT /a HTTP/1.1|\tGET / HTTP/1.1".split(b"|")
)
status_line = st.sampled_from(
    b"HTTP/1.1 200 OK|HTTP/1.1 404 Not Found|HTTP/1.1 204 No|HTTP/1.1 304 No|HTTP/1.1 100 Go|HTTP/1.0 200 OK"
    b"|HTTP/1.1 200|HTTP/1.1 200 |HTTP/1.1  200 OK|HTTP/1.1 999 OK|HTTP/2.0 200 OK|HTTP/1.1 101 Switching"
    b"|HTTP/1.1 20 OK|HTTP/1.1 2000 OK|HTTP/1.1 200 O\nK".split(b"|")
)


def head(lines: list[bytes]) -> bytes:
    return b"\r\n".join([*lines, b"", b""])


def unordered(lines: bytes) -> tuple[bytes, list[bytes]]:
    """A head's first line, and its fields without regard to order, and to how Host and its like are spelled."""
    first, *rest = lines.split(b"\r\n")
    pairs = (line.partition(b":") for line in rest if line)
    spelled = (b"host", b"content-length")
    return first, sorted(
        (name.lower() if name.lower() in spelled else name)
        + b":"
        + (value.strip(b" \t") if name.lower() in spelled else value)
        for name, _, value in pairs
    )


def short_request(data: bytes, forwarded: bytes) -> Request:
    return plain.request(data.removesuffix(b"\r\n\r\n"), forwarded)


def short_response(data: bytes, asked: Request) -> Response:
    return plain.response(data.removesuffix(b"\r\n\r\n"), asked)


def of_request(do: Callable[[bytes, bytes], Request], data: bytes) -> object:
    try:
        found = do(data, FORWARDED)
    except RefusedError as error:
        return error.status, error.reason
    assert found.forward.endswith(b"\r\n\r\n")
    return found._replace(forward=b""), unordered(found.forward)


def of_response(do: Callable[[bytes, Request], Response], data: bytes, asked: Request) -> object:
    try:
        found = do(data, asked)
    except BadResponseError:
        return None
    return found._replace(forward=b"", framing=b""), unordered(found.forward + found.framing)


@given(
    st.one_of(st.builds(lambda line, rest: head([line, *rest]), request_line, st.one_of(fields, with_host)))
)
@example(PLAIN)
@example(PLAIN.replace(b"\r\n\r\n", b"\r\nConnection: keep-alive \r\n\r\n"))
@example(PLAIN.replace(b"\r\n\r\n", b"\r\nX: a\r\nX: b\r\n\r\n"))
@example(PLAIN.replace(b"\r\n\r\n", b"\r\nHOST: b\r\n\r\n"))
def test_a_request_is_the_same_the_short_way_and_the_long(data: bytes) -> None:
    assert of_request(short_request, data) == of_request(rules.request, data)


@given(
    st.builds(lambda line, rest: head([line, *rest]), status_line, fields),
    st.sampled_from([ASKED, ASKED_HEAD, ASKED_OLD]),
)
@example(ANSWER, ASKED)
@example(ANSWER.replace(b"OK", b"O\0K"), ASKED)
@example(ANSWER.replace(b"keep-alive", b"close"), ASKED)
@example(ANSWER.replace(b"\r\n\r\n", b"\r\nX-Sidecar-Error: forged\r\n\r\n"), ASKED)
def test_an_answer_is_the_same_the_short_way_and_the_long(data: bytes, asked: Request) -> None:
    assert of_response(short_response, data, asked) == of_response(rules.response, data, asked)


@pytest.mark.parametrize("case", REFUSED)
def test_what_the_rules_refuse_is_refused_for_the_same_reason(case: str) -> None:
    data, _ = REFUSED[case]
    assert of_request(short_request, data) == of_request(rules.request, data)


@pytest.mark.parametrize(
    "data",
    [
        PLAIN,
        PLAIN.replace(b"Host", b"host"),
        PLAIN.replace(b"\r\n\r\n", b"\r\nConnection: keep-alive\r\n\r\n"),
        PLAIN.replace(b"GET", b"POST").replace(b"\r\n\r\n", b"\r\nContent-Length: 12\r\n\r\n"),
        PLAIN.replace(b"GET", b"POST").replace(
            b"Accept: */*", b"Connection: keep-alive\r\nContent-Length: 12\r\nCookie: a\r\nCookie: b"
        ),
    ],
)
def test_the_requests_of_nearly_all_clients_go_the_short_way(
    data: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted = of_request(rules.request, data)
    monkeypatch.setattr(rules, "request", None)
    assert of_request(short_request, data) == wanted


@pytest.mark.parametrize("data", [ANSWER, ANSWER.replace(b"\r\n\r\n", b"\r\nKeep-Alive: timeout=5\r\n\r\n")])
def test_the_answers_of_nearly_all_applications_go_the_short_way(
    data: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted = of_response(rules.response, data, ASKED)
    monkeypatch.setattr(rules, "response", None)
    assert of_response(short_response, data, ASKED) == wanted


def test_a_head_that_is_long_goes_the_long_way() -> None:
    data = PLAIN.replace(b"\r\n\r\n", b"\r\nCookie: " + b"x" * plain.MOST + b"\r\n\r\n")
    assert short_request(data, FORWARDED) == rules.request(data, FORWARDED)


def test_what_is_remembered_of_heads_is_bounded() -> None:
    data = PLAIN.removesuffix(b"\r\n\r\n")
    for number in range(3 * plain.KEPT):
        plain.request(data.replace(b"c-7", b"c-%d" % number), b"10.0.0.%d" % number)
        plain.response(ANSWER.removesuffix(b"\r\n\r\n") + b"\r\nX: %d" % number, ASKED)
    kept = (plain._request_lines, plain._answer_lines, plain._answers, plain._our_fields)
    assert all(len(one) <= plain.KEPT for one in kept)
