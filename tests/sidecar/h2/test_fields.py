"""Header lists of HTTP/2, checked and mapped: lists in, lists or bytes out."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.proxy.h2 import fields
from sidecar.proxy.h2.fields import Field, Fields, MalformedError
from sidecar.proxy.head import RefusedError, response
from sidecar.proxy.head import Request as AskedRequest

PEER = b"10.0.0.9"
HEAD: Fields = [(b":method", b"GET"), (b":scheme", b"http"), (b":authority", b"a:1"), (b":path", b"/x?y=1")]


def without(*names: bytes) -> Fields:
    return [field for field in HEAD if field[0] not in names]


def test_a_request_becomes_an_http1_head_with_the_clients_address() -> None:
    wanted = fields.request([*HEAD, (b"x-request-id", b"c-7"), (b"accept", b"*/*")], PEER)
    head, chunked = fields.http1_request(wanted, ended=True)
    assert head == (
        b"GET /x?y=1 HTTP/1.1\r\nhost: a:1\r\nx-request-id: c-7\r\naccept: */*\r\n"
        b"x-forwarded-for: 10.0.0.9\r\nx-forwarded-proto: http\r\n\r\n"
    )
    assert not chunked


def test_a_host_field_stands_for_a_missing_authority_and_may_repeat_it() -> None:
    for listed in (
        [*without(b":authority"), (b"host", b"b")],
        [*HEAD[:2], (b":authority", b"b"), HEAD[3], (b"host", b"b")],
    ):
        head, _ = fields.http1_request(fields.request(listed, PEER), ended=True)
        assert head.lower().count(b"host:") == 1
        assert b"\r\nhost: b\r\n" in head


def test_addresses_and_scheme_of_proxies_before_are_kept_in_order() -> None:
    more = [
        (b"x-forwarded-for", b"1.1.1.1"),
        (b"x-forwarded-proto", b"https"),
        (b"x-forwarded-for", b"2.2.2.2"),
    ]
    wanted = fields.request([*HEAD, *more], PEER)
    assert wanted.fields[-2:] == [
        (b"x-forwarded-for", b"1.1.1.1, 2.2.2.2, 10.0.0.9"),
        (b"x-forwarded-proto", b"https"),
    ]


def test_fields_of_this_hop_stay_here_and_te_says_that_trailers_are_taken() -> None:
    wanted = fields.request(
        [*HEAD, (b"te", b"trailers"), (b"proxy-authorization", b"x"), (b"http2-settings", b"y")], PEER
    )
    assert wanted.trailers
    assert [name for name, _ in wanted.fields] == [b"x-forwarded-for", b"x-forwarded-proto"]
    assert (b"te", b"trailers") in fields.http2_request(wanted)
    assert b"\r\nte: trailers\r\nconnection: te\r\n" in fields.http1_request(wanted, ended=True)[0]


@pytest.mark.parametrize(
    ("more", "ended", "chunked", "line"),
    [
        ([], True, False, b""),
        ([], False, True, b"transfer-encoding: chunked"),
        ([(b"content-length", b"3")], False, False, b"content-length: 3"),
        ([(b"content-length", b"0")], True, False, b"content-length: 0"),
        (
            [(b"content-length", b"3"), (b"trailer", b"x-sum")],
            False,
            True,
            b"transfer-encoding: chunked\r\ntrailer: x-sum",
        ),
    ],
)
def test_a_body_goes_out_in_chunks_unless_its_length_is_known_and_no_trailer_announced(
    more: Fields, ended: bool, chunked: bool, line: bytes
) -> None:
    head, found = fields.http1_request(fields.request([*HEAD, *more], PEER), ended)
    assert found is chunked
    assert line in head
    assert not (b"content-length" in head and b"chunked" in head)


def test_trailers_follow_the_last_chunk() -> None:
    assert fields.http1_trailers([(b"x-sum", b"1")]) == b"0\r\nx-sum: 1\r\n\r\n"


MALFORMED: dict[str, Fields] = {
    "no method": without(b":method"),
    "no scheme": without(b":scheme"),
    "no path": without(b":path"),
    "an empty path": [*without(b":path"), (b":path", b"")],
    "two paths": [*HEAD, (b":path", b"/")],
    "an unknown pseudo-header": [*HEAD, (b":proto", b"x")],
    "a response's pseudo-header": [*HEAD, (b":status", b"200")],
    "extended CONNECT": [*HEAD, (b":protocol", b"websocket")],
    "a pseudo-header after a field": [*without(b":path"), (b"x", b"1"), (b":path", b"/")],
    "an upper-case name": [*HEAD, (b"X-A", b"1")],
    "an empty name": [*HEAD, (b"", b"1")],
    "a name with a space": [*HEAD, (b"x a", b"1")],
    "a name with a colon": [*HEAD, (b"x:a", b"1")],
    "a name with CR LF": [*HEAD, (b"x\r\ny", b"1")],
    "a value with CR LF": [*HEAD, (b"x", b"1\r\nhost: evil")],
    "a value with LF": [*HEAD, (b"x", b"1\nhost: evil")],
    "a value with NUL": [*HEAD, (b"x", b"1\0")],
    "a value that begins with a space": [*HEAD, (b"x", b" 1")],
    "a value that ends with a tab": [*HEAD, (b"x", b"1\t")],
    "connection": [*HEAD, (b"connection", b"close")],
    "keep-alive": [*HEAD, (b"keep-alive", b"1")],
    "proxy-connection": [*HEAD, (b"proxy-connection", b"1")],
    "transfer-encoding": [*HEAD, (b"transfer-encoding", b"chunked")],
    "upgrade": [*HEAD, (b"upgrade", b"websocket")],
    "te that is not trailers": [*HEAD, (b"te", b"gzip")],
    "a length that is none": [*HEAD, (b"content-length", b"3, 3")],
    "a signed length": [*HEAD, (b"content-length", b"+3")],
    "two lengths": [*HEAD, (b"content-length", b"3"), (b"content-length", b"3")],
    "a path that is relative": [*without(b":path"), (b":path", b"x")],
    "a path with a space": [*without(b":path"), (b":path", b"/ HTTP/1.1")],
    "a path with CR LF": [*without(b":path"), (b":path", b"/\r\nx: y")],
    "a path with a fragment": [*without(b":path"), (b":path", b"/#x")],
    "a star for GET": [*without(b":path"), (b":path", b"*")],
    "an absolute path": [*without(b":path"), (b":path", b"http://a/")],
    "a method with a space": [(b":method", b"GET /"), *HEAD[1:]],
    "a scheme with a slash": [HEAD[0], (b":scheme", b"http://evil/"), *HEAD[2:]],
    "an authority that is not Host": [*HEAD, (b"host", b"b")],
    "two Hosts": [*HEAD, (b"host", b"a:1"), (b"host", b"a:1")],
}


@pytest.mark.parametrize("case", MALFORMED)
def test_a_malformed_request_ends_its_stream(case: str) -> None:
    with pytest.raises(MalformedError):
        fields.request(MALFORMED[case], PEER)


@pytest.mark.parametrize(
    ("listed", "status", "reason"),
    [
        ([(b":method", b"CONNECT"), (b":authority", b"a:1")], 501, "connect-unsupported"),
        (without(b":authority"), 400, "host"),
        ([*HEAD[:2], (b":authority", b"u@a"), HEAD[3]], 400, "host"),
        ([*HEAD[:2], (b":authority", b"a/b"), HEAD[3]], 400, "host"),
        ([*HEAD[:2], (b":authority", b""), HEAD[3]], 400, "host"),
    ],
)
def test_what_is_not_served_is_answered_as_over_http1(listed: Fields, status: int, reason: str) -> None:
    with pytest.raises(RefusedError) as refused:
        fields.request(listed, PEER)
    assert (refused.value.status, refused.value.reason) == (status, reason)


def test_options_may_ask_for_the_server_itself() -> None:
    wanted = fields.request([(b":method", b"OPTIONS"), *HEAD[1:3], (b":path", b"*")], PEER)
    assert fields.http1_request(wanted, ended=True)[0].startswith(b"OPTIONS * HTTP/1.1\r\n")


@given(
    st.lists(
        st.tuples(
            st.one_of(
                st.sampled_from([b"x", b"host", b"te", b"content-length", b":path", b"cookie"]),
                st.binary(max_size=6),
            ),
            st.one_of(st.sampled_from([b"1", b"\r\n\r\nGET / HTTP/1.1", b"a\nb"]), st.binary(max_size=12)),
        ),
        max_size=5,
    )
)
def test_whatever_a_list_holds_an_http1_head_has_one_line_for_each_field(more: list[Field]) -> None:
    try:
        wanted = fields.request([*HEAD, *more], PEER)
    except (MalformedError, RefusedError):
        return
    head, _ = fields.http1_request(wanted, ended=True)
    assert head.count(b"\r\n\r\n") == 1
    assert head.count(b"\n") == head.count(b"\r\n") == head.count(b"\r")
    assert head.lower().count(b"\r\nhost:") == 1


def test_an_http1_answers_fields_become_a_list_in_lower_case() -> None:
    asked = AskedRequest(b"", 0, head=False, close=False, old=False, expects=False)
    answer = response(
        b"HTTP/1.1 200 OK\r\nContent-Type: a/b\r\nSet-Cookie: a=1\r\nSet-Cookie: b=2\r\nConnection: x-hop\r\n"
        b"x-hop: 1\r\nKeep-Alive: 5\r\nX-Sidecar-Version: fake\r\nContent-Length: 2\r\n\r\n",
        asked,
    )
    assert fields.response_lines(answer.forward, answer.framing) == [
        (b"content-type", b"a/b"),
        (b"set-cookie", b"a=1"),
        (b"set-cookie", b"b=2"),
        (b"content-length", b"2"),
    ]


def test_an_http2_answer_is_checked_and_loses_the_stamps_of_others() -> None:
    listed = [(b":status", b"200"), (b"x-sidecar-version", b"fake"), (b"a", b"b"), (b"trailer", b"x")]
    assert fields.response(listed) == (200, [(b"a", b"b"), (b"trailer", b"x")])
    bad: list[Fields] = [
        [],
        [(b":status", b"20")],
        [(b":status", b"101")],
        [(b":status", b"200"), (b"connection", b"close")],
        [(b":status", b"200"), (b"x", b"a\r\nb")],
        [(b":path", b"/")],
    ]
    for one in bad:
        with pytest.raises(MalformedError):
            fields.response(one)


def test_trailers_hold_no_pseudo_headers_and_nothing_that_would_change_the_message() -> None:
    listed = [(b"grpc-status", b"0"), (b"content-length", b"5"), (b"host", b"b"), (b"authorization", b"c")]
    assert fields.trailers(listed) == [(b"grpc-status", b"0")]
    for bad in ((b":status", b"200"), (b"X", b"1"), (b"x", b"a\nb"), (b"transfer-encoding", b"chunked")):
        with pytest.raises(MalformedError):
            fields.trailers([bad])
    assert fields.trailer_lines([(b"Grpc-Status", b" 0 "), (b"Keep-Alive", b"1")]) == [(b"grpc-status", b"0")]
