"""Heads as nearly all are: judged line by line, then passed on without being taken apart.

A line is plain if it is written as nearly everybody writes it, which is narrower than llhttp's grammar. Most lines
have been seen before, and what they say is remembered; so is what it comes to when lines say this together. If that
leaves nothing to decide, the head goes on as it came, less the fields of this hop and plus our own. All else is for
the rules in `sidecar.proxy.head`, which also say why something is refused. Both make the same of the same bytes, but
for the order of fields.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Hashable, Mapping
from typing import Final, TypeVar

from sidecar.proxy import head as rules
from sidecar.proxy.head import Request, Response

MOST = 4096  # bytes of a head; with KEPT it bounds what is remembered
KEPT = 256  # of each kind; a pod's clients and application do not say many different things

_END = b"\r\n\r\n"
_REQUEST_LINE = re.compile(
    rb"(?:GET|(HEAD)|POST|PUT|PATCH|DELETE|OPTIONS) /[A-Za-z0-9/._~%!$&'()*+,;=:@?-]* HTTP/1\.1"
)
_STATUS_LINE = re.compile(rb"HTTP/1\.1 ([2-5][0-9]{2}) [ -~]*")
_FIELD = re.compile(rb"([A-Za-z0-9_-]+): *([ -~]*)")
_SIZE = re.compile(rb"(?:0|[1-9][0-9]{0,17}) *")

# What a line says to this hop: one of these, or a status; None: the rules are needed.
_Said = str | int | None
_Judge = Callable[[bytes], _Said]
_ASKS: Final = "asks"
_ASKS_HEAD: Final = "asks for a head"
_HOST: Final = "host"
_LENGTH: Final = "length"
_PASSES: Final = "passes on"
_STAYS: Final = "stays here"

# What a plain head's lines come to: whether the method is HEAD, or the status; which line says the length, 0 if none
# does; the lines that stay here, the last first.
_Shape = tuple[int, int, tuple[int, ...]]
_Key = TypeVar("_Key", bound=Hashable)
_Found = TypeVar("_Found")


class _Remembered(dict[_Key, _Found]):
    """What was found before, without a function of ours to find it again; forgets all when it is full."""

    __slots__ = ("_find",)

    def __init__(self, find: Callable[[_Key], _Found]) -> None:
        super().__init__()
        self._find = find

    def __missing__(self, key: _Key) -> _Found:
        if len(self) >= KEPT:
            self.clear()
        found = self[key] = self._find(key)
        return found


def request(head: bytes, forwarded: bytes, outbound: bool = False) -> Request:
    """As `sidecar.proxy.head.request`, of a head without the empty line."""
    if len(head) <= MOST and not outbound:
        lines = head.split(b"\r\n")
        shape = _request_shapes[(*map(_said_by_client, lines),)]
        if shape is not None:
            asks_head, length, stay = shape
            size = _size(lines[length]) if length else 0
            forward = (_less(lines, stay) if stay else head) + _our_fields[forwarded]
            return Request(forward, size, asks_head == 1, False, False, False)
    return rules.request(head + _END, forwarded, outbound)


def response(head: bytes, asked: Request) -> Response:
    """As `sidecar.proxy.head.response`, of a head without the empty line."""
    plain = _answers[head] if len(head) <= MOST and not asked.head else None
    return plain or rules.response(head + _END, asked)


def _response(head: bytes) -> Response | None:
    """An answer's head, whatever was asked but HEAD; None if the rules are needed."""
    lines = head.split(b"\r\n")
    shape = _answer_shapes[(*map(_said_by_application, lines),)]
    if shape is None:
        return None
    status, length, stay = shape
    size = _size(lines[length])
    return Response(_less(lines, stay) if stay else head, status, size, b"", True)


def _less(lines: list[bytes], stay: tuple[int, ...]) -> bytes:
    """A head without some of its lines."""
    for index in stay:
        del lines[index]
    return b"\r\n".join(lines)


def _size(line: bytes) -> int:
    return int(line[line.index(b":") + 1 :])


# -- lines ---------------------------------------------------------------------------------------------------


def _judge(fields: Mapping[bytes, _Judge], first_line: _Judge) -> _Judge:
    """Of any line; `fields` judge values, those that are not among them pass on."""
    judges = _Remembered[bytes, _Judge | None](lambda name: fields.get(name.lower()))

    def judge(line: bytes) -> _Said:
        field = _FIELD.fullmatch(line)
        if field is None:
            return first_line(line)
        of_value = judges[field[1]]
        return _PASSES if of_value is None else of_value(field[2])

    return judge


def _request_line(line: bytes) -> _Said:
    found = _REQUEST_LINE.fullmatch(line)
    return None if found is None else _ASKS_HEAD if found[1] else _ASKS


def _status_line(line: bytes) -> _Said:
    found = _STATUS_LINE.fullmatch(line)
    return None if found is None or found[1] in (b"204", b"304") else int(found[1])


def _stays(value: bytes) -> _Said:
    return _STAYS


def _needs_rules(value: bytes) -> _Said:
    return None


def _content_length(value: bytes) -> _Said:
    return _LENGTH if _SIZE.fullmatch(value) else None


def _connection(value: bytes) -> _Said:
    return _STAYS if value.rstrip(b" ").lower() == b"keep-alive" else None


def _host(value: bytes) -> _Said:
    return _HOST if rules.HOST.fullmatch(value) else None


_OF_BOTH = {b"content-length": _content_length, b"connection": _connection, b"keep-alive": _stays}
_OF_REQUEST = dict.fromkeys(rules.REQUEST_FIELDS.split(b"|"), _needs_rules) | _OF_BOTH | {b"host": _host}
_OF_ANSWER = dict.fromkeys(rules.RESPONSE_FIELDS.split(b"|"), _needs_rules) | _OF_BOTH


# -- lines together ------------------------------------------------------------------------------------------


def _request_shape(said: tuple[_Said, ...]) -> _Shape | None:
    first, *fields = said
    if first not in (_ASKS, _ASKS_HEAD) or not _plain(fields) or fields.count(_HOST) != 1:
        return None
    return int(first is _ASKS_HEAD), said.index(_LENGTH) if _LENGTH in said else 0, _staying(said)


def _answer_shape(said: tuple[_Said, ...]) -> _Shape | None:
    first, *fields = said
    if not isinstance(first, int) or not _plain(fields) or _LENGTH not in fields:
        return None
    return first, said.index(_LENGTH), _staying(said)


def _plain(fields: list[_Said]) -> bool:
    return fields.count(_LENGTH) < 2 and {*fields} <= {_HOST, _LENGTH, _PASSES, _STAYS}


def _staying(said: tuple[_Said, ...]) -> tuple[int, ...]:
    return tuple(reversed([index for index, one in enumerate(said) if one is _STAYS]))


def _ours(forwarded: bytes) -> bytes:
    return b"\r\nX-Forwarded-For: " + forwarded + b"\r\nX-Forwarded-Proto: http\r\n\r\n"


# -- what is remembered --------------------------------------------------------------------------------------

_request_lines = _Remembered(_judge(_OF_REQUEST, _request_line))
_answer_lines = _Remembered(_judge(_OF_ANSWER, _status_line))
_said_by_client, _said_by_application = _request_lines.__getitem__, _answer_lines.__getitem__
_request_shapes = _Remembered(_request_shape)
_answer_shapes = _Remembered(_answer_shape)
_our_fields = _Remembered(_ours)
# The faster an application answers, the more of its heads are equal: only Date tells seconds apart.
_answers = _Remembered(_response)
