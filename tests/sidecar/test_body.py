"""Where bodies end, at every way to cut them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.proxy.body import BadBodyError, Chunks, Length

WHOLE = b'5\r\nhello\r\n0a;name="v"\r\n0123456789\r\n0\r\nX-Sum: 1\r\n\r\n'


def test_a_length_ends_where_it_says() -> None:
    body = Length(5)
    assert (body.take(b"abc"), body.done) == (3, False)
    assert (body.take(b"deGET /"), body.done) == (2, True)
    assert Length(0).done


def test_a_chunked_body_cut_at_every_byte_ends_at_the_same_one() -> None:
    for cut in range(len(WHOLE) + 1):
        body = Chunks()
        first = body.take(WHOLE[:cut])
        assert (first, body.done) == (cut, cut == len(WHOLE))
        if not body.done:
            assert body.take(WHOLE[cut:] + b"GET / HTTP/1.1") == len(WHOLE) - cut
        assert (body.done, body.payload) == (True, 15)


@given(st.lists(st.integers(1, 9), max_size=60), st.binary(max_size=20))
def test_cuts_of_any_kind_make_no_difference(cuts: list[int], after: bytes) -> None:
    body = Chunks()
    rest = WHOLE + after
    taken = 0
    for cut in [*cuts, len(rest)]:
        if not body.done:
            taken += body.take(rest[:cut])
            rest = rest[cut:]
    assert (taken, body.done) == (len(WHOLE), True)


@pytest.mark.parametrize(
    "data",
    [
        b"5\nhello\r\n",
        b"5\r\nhello\n",
        b"5\r\nhelloX\r\n",
        b"5 \r\nhello\r\n",
        b" 5\r\nhello\r\n",
        b"0x5\r\nhello\r\n",
        b"+5\r\nhello\r\n",
        b"-5\r\nhello\r\n",
        b"5_0\r\n",
        b"\r\n",
        b"g\r\n",
        b"5;a\rb\r\nhello\r\n",
        b"5;a\0b\r\nhello\r\n",
        b"5;\r\nhello\r\n",
        b"5;a b\r\nhello\r\n",
        b'5;a="\r\nhello\r\n',
        b"1" * 17 + b"\r\n",
        b"5;" + b"x" * 5000,
        b"0\r\nno-colon\r\n",
        b"0\r\nX : a\r\n",
        b"0\r\nContent-Length: 5\r\n\r\n",
        b"0\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"0\r\nX-Forwarded-For: 1.2.3.4\r\n\r\n",
        b"0\r\n" + b"X: aaaaaaaa\r\n" * 2000,
    ],
)
def test_a_malformed_chunk_is_refused(data: bytes) -> None:
    with pytest.raises(BadBodyError):
        Chunks().take(data)
    with pytest.raises(BadBodyError):
        byte_by_byte(data)


def byte_by_byte(data: bytes) -> None:
    body = Chunks()
    for position in range(len(data)):
        body.take(data[position : position + 1])
