"""Bytes that come near to what a parser accepts: samples, cut, doubled, joined, and strewn with what matters.

Takes any `random.Random`, so that a seed gives the same bytes again, and hypothesis can play one and shrink.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from random import Random

# What parsers have been fooled with: ends of lines and of strings, signs, spaces, numbers at an edge.
_TOKENS = (
    *(
        b"\r\n",
        b"\n",
        b"\r",
        b"\0",
        b" ",
        b"\t",
        b"\x0b",
        b"\xff",
        b"\xc2\xa0",
        b"\x1e",
        b"\r\n ",
        b"\r\n\r\n",
    ),
    *(b":", b",", b";", b"=", b"-", b"+", b"0x", b"_", b"%", b"#", b'"', b"\\", b"[", b"]", b"{", b"}", b"@"),
    *(b"0", b"1", b"-1", b"255", b"65536", b"4294967296", b"18446744073709551616", b"1e999", b"9" * 30),
    *(b"null", b"true", b"NaN", b"\\ud800", b"[[[[", b'{"a":', b"unix:", b"::", b"127.0.0.1:"),
    *(b"chunked", b"identity", b"close", b"Content-Length: 3\r\n", b"Transfer-Encoding: chunked\r\n"),
    *(b"Host: b\r\n", b"Connection: host\r\n", b"HTTP/1.1", b"HTTP/1.0", b"X", b"HEAD "),
)


def near(random: Random, samples: Sequence[bytes]) -> bytes:
    """A few changes to a sample; now and then only tokens, or any bytes at all."""
    kind = random.randrange(10)
    if kind == 0:
        return b"".join(random.choice(_TOKENS) for _ in range(random.randrange(12)))
    if kind == 1:
        return random.randbytes(random.randrange(60))
    data = random.choice(samples)
    for _ in range(random.randrange(1, 6)):
        start = random.randrange(len(data) + 1)
        end = min(len(data), start + random.choice((0, 0, 1, 1, 2, 8, 40)))
        data = data[:start] + _change(random, data[start:end], samples) + data[end:]
    return data


def _change(random: Random, part: bytes, samples: Sequence[bytes]) -> bytes:
    match random.randrange(5):
        case 0:
            return random.choice(_TOKENS)
        case 1:
            return random.randbytes(random.randrange(4))
        case 2:
            return b""
        case 3:
            return part * random.randrange(2, 40)
        case _:
            other = random.choice(samples)
            return other[random.randrange(len(other)) :][:40]


def shrink(data: bytes, fails: Callable[[bytes], bool]) -> bytes:
    """The smallest input that this finds by leaving parts out, larger ones first."""
    size = len(data)
    while size:
        at = 0
        while at < len(data):
            without = data[:at] + data[at + size :]
            if fails(without):
                data = without
            else:
                at += size
        size //= 2
    return data
