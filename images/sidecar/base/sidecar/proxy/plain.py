"""Heads as nearly all are: judged by llhttp like any other, then passed on without being taken apart.

llhttp reports the fields that it read. If their names, which hardly vary, leave nothing to decide, the head goes
on as it came, less the fields of this hop and plus our own. All else is for the rules in `sidecar.proxy.head`,
which also say why something is refused. Both make the same of the same bytes, but for the order of fields.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import NamedTuple

from httptools import HttpParserError, HttpParserUpgrade, HttpRequestParser, HttpResponseParser

from sidecar.proxy import head as rules
from sidecar.proxy.head import Request, Response

MOST = 4096  # bytes of a head; bounds what the caches below keep
_cached = lru_cache(256)  # a pod's clients and application have few kinds of heads

_START = re.compile(rb"([^ ]+) /[^ #\r\n]* HTTP/1\.1\r\n")
_SIZE = re.compile(rb"0|[1-9][0-9]{0,17}")
_STATUSES = {b"HTTP/1.1 %d " % status: status for status in range(200, 600) if status not in (204, 304)}
_HANDLED = frozenset({b"host", b"content-length", b"connection", b"keep-alive"})
_fields: dict[bytes, bytes] = {}  # of the head that is being read


class _Into:
    """Where llhttp reports to: straight into the dictionary, without a function of ours in between.

    httptools looks every callback up for every head, and finds those that are there faster.
    """

    on_header = _fields.__setitem__
    on_message_begin = on_url = on_status = on_headers_complete = None
    on_body = on_message_complete = on_chunk_header = on_chunk_complete = None


_INTO = _Into()


class _Shape(NamedTuple):
    """What the names of a head's fields say to this hop; each is there at most once."""

    host: bytes | None  # as it is spelled
    length: bytes | None
    # Fields that stay here, each with the line that it has to be, if there is only one that needs no rules.
    dropped: tuple[tuple[bytes, bytes | None], ...]


def request(head: bytes, forwarded: bytes, outbound: bool = False) -> Request:
    """As `sidecar.proxy.head.request`."""
    fields = _fields
    fields.clear()
    if len(head) <= MOST and not outbound:
        try:
            HttpRequestParser(_INTO).feed_data(head)
            shape = _shape_of_request(*fields)
        except (HttpParserError, HttpParserUpgrade):
            shape = None
        # As many lines as names: none came twice.
        if shape is not None and head.count(b"\n") == len(fields) + 2:
            host, length, dropped = shape
            start = _START.match(head)
            plain = _without(head, dropped) if dropped else head
            size = 0 if length is None else _size(fields[length])
            if (
                start is not None
                and plain
                and size is not None
                and host is not None
                and _valid_host(fields[host])
            ):
                return Request(
                    plain[:-2] + _our_fields(forwarded),
                    size,
                    start[1] == b"HEAD",
                    False,
                    False,
                    False,
                )
    return rules.request(head, forwarded, outbound)


def response(head: bytes, asked: Request) -> Response:
    """As `sidecar.proxy.head.response`."""
    plain = _response(head) if len(head) <= MOST and not asked.head else None
    return plain or rules.response(head, asked)


@_cached  # the faster an application answers, the more of its heads are equal: only Date tells seconds apart
def _response(head: bytes) -> Response | None:
    """An answer's head, whatever was asked but HEAD; None if the rules are needed."""
    status = _STATUSES.get(head[:13])
    if status is None or not rules.STATUS_LINE.match(head):
        return None
    fields = _fields
    fields.clear()
    try:
        HttpResponseParser(_INTO).feed_data(head)
    except (HttpParserError, HttpParserUpgrade):
        return None
    shape = _shape_of_response(*fields)
    if shape is None or shape.length is None or head.count(b"\n") != len(fields) + 2:
        return None
    size = _size(fields[shape.length])
    head = _without(head, shape.dropped)
    return None if size is None or not head else Response(head[:-4], status, size, b"", True)


def _without(head: bytes, dropped: tuple[tuple[bytes, bytes | None], ...]) -> bytes:
    """The head without some fields; empty if they do not say, or are not written, as they mostly are."""
    for name, line in dropped:
        shorter = head.replace(line or b"\r\n%b: %b\r\n" % (name, _fields[name]), b"\r\n", 1)
        if len(shorter) == len(head):
            return b""
        head = shorter
    return head


@_cached
def _shape_of_request(*names: bytes) -> _Shape | None:
    return _shape(names, rules.REQUEST_FIELDS.split(b"|"))


@_cached
def _shape_of_response(*names: bytes) -> _Shape | None:
    return _shape(names, rules.RESPONSE_FIELDS.split(b"|"))


def _shape(names: tuple[bytes, ...], special: list[bytes]) -> _Shape | None:
    """None: the rules are needed."""
    lower = {name.lower(): name for name in names}
    if len(lower) < len(names) or any(name in lower for name in special if name not in _HANDLED):
        return None
    dropped: list[tuple[bytes, bytes | None]] = []
    if b"connection" in lower:
        dropped.append((lower[b"connection"], b"\r\n" + lower[b"connection"] + b": keep-alive\r\n"))
    if b"keep-alive" in lower:
        dropped.append((lower[b"keep-alive"], None))
    return _Shape(lower.get(b"host"), lower.get(b"content-length"), tuple(dropped))


@_cached
def _valid_host(value: bytes) -> bool:
    return rules.HOST.fullmatch(value) is not None


@_cached
def _size(value: bytes) -> int | None:
    """None: not written as everybody writes it, or far too large."""
    return int(value) if _SIZE.fullmatch(value) else None


@_cached
def _our_fields(forwarded: bytes) -> bytes:
    return b"X-Forwarded-For: " + forwarded + b"\r\nX-Forwarded-Proto: http\r\n\r\n"
