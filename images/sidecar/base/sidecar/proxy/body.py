"""Where a message's body ends: by length or by chunks. Bytes in, positions out; nothing is copied or kept.

httptools does not say where a message ended, and a connection that is pipelined (or moves to another process)
needs to know. Chunked bodies are passed on as they came, so the grammar is checked to the byte.
"""

from __future__ import annotations

import re
from typing import Any

LINE_LIMIT = 4096  # bytes of a chunk's size with its extension, or of one trailer field
TRAILER_LIMIT = 16384  # bytes of all trailer fields
_TOKEN = rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+"
_QUOTED = rb'"(?:[\t \x21\x23-\x5b\x5d-\x7e\x80-\xff]|\\[\t \x21-\x7e\x80-\xff])*"'
# Extensions are passed on, so they are checked: a reader that skips them carelessly and one that minds quotes
# would see different chunks (RFC 9112 section 7.1.1). White space is let pass only where it cannot matter.
_EXTENSION = rb";[\t ]*" + _TOKEN + rb"(?:[\t ]*=[\t ]*(?:" + _TOKEN + rb"|" + _QUOTED + rb"))?"
_SIZE = re.compile(rb"([0-9A-Fa-f]{1,15})(?:" + _EXTENSION + rb")*\r\n")
_FIELD = re.compile(rb"(" + _TOKEN + rb"):[\t\x20-\x7e\x80-\xff]*\r\n")
# Fields that would change a message's meaning if a recipient merged the trailer into the head.
_NEVER_TRAILERS = frozenset(
    {
        b"transfer-encoding",
        b"content-length",
        b"host",
        b"connection",
        b"te",
        b"trailer",
        b"upgrade",
        b"authorization",
        b"proxy-authorization",
        b"cookie",
        b"expect",
        b"content-encoding",
        b"content-range",
        b"content-type",
        b"x-forwarded-for",
        b"x-forwarded-proto",
    }
)


class BadBodyError(Exception):
    """The body breaks the grammar of chunks."""


class Length:
    """A body of so many bytes."""

    __slots__ = ("done", "size")

    def __init__(self, length: int) -> None:
        self.size = length  # still to come
        self.done = not length

    def take(self, data: bytes) -> int:
        """How many of these bytes belong to the body."""
        taken = min(self.size, len(data))
        self.size -= taken
        self.done = not self.size
        return taken

    def state(self) -> dict[str, Any]:
        """As JSON; see sidecar.proxy.standing."""
        return {"length": self.size}


class UntilClose:
    """A body that ends with its connection."""

    __slots__ = ()
    done = False

    def take(self, data: bytes) -> int:
        """All bytes belong to the body."""
        return len(data)

    def state(self) -> dict[str, Any]:
        """As JSON; see sidecar.proxy.standing."""
        return {"until": "close"}


class Chunks:
    """A chunked body, trailer included; `payload` counts what it carries."""

    __slots__ = ("_expect", "_left", "_line", "_trailer", "done", "payload")

    def __init__(self) -> None:
        self.done = False
        self.payload = 0
        self._left = 0  # bytes of the present chunk still to come
        self._line = b""  # a line that is not whole yet
        self._trailer = 0
        self._expect = Chunks._size

    @classmethod
    def of(cls, left: int, line: bytes, trailer: int, expect: str) -> Chunks:
        """A body in its middle, from what `state` says of it; ValueError."""
        steps = {"size": cls._size, "end": cls._end, "field": cls._field}
        if left < 0 or trailer < 0 or len(line) > LINE_LIMIT or expect not in steps:
            raise ValueError("no chunked body")
        body = cls()
        body._left, body._line, body._trailer, body._expect = left, line, trailer, steps[expect]
        return body

    def state(self) -> dict[str, Any]:
        """As JSON; see sidecar.proxy.standing."""
        return {
            "left": self._left,
            "line": self._line.decode("latin-1"),
            "trailer": self._trailer,
            "expect": self._expect.__name__[1:],
        }

    def take(self, data: bytes) -> int:
        """How many of these bytes belong to the body; BadBodyError."""
        at = 0
        while at < len(data) and not self.done:
            if self._left:
                step = min(self._left, len(data) - at)
                self._left -= step
                at += step
                continue
            end = data.find(b"\n", at) + 1
            self._line += data[at : end or len(data)]
            at = end or len(data)
            if len(self._line) > LINE_LIMIT:
                raise BadBodyError("a line is too long")
            if end:
                line, self._line = self._line, b""
                self._expect(self, line)
        return at

    def _size(self, line: bytes) -> None:
        match = _SIZE.fullmatch(line)
        if match is None:
            raise BadBodyError("a chunk's size is wrong")
        self._left = int(match[1], 16)
        self.payload += self._left
        self._expect = Chunks._end if self._left else Chunks._field

    def _end(self, line: bytes) -> None:
        if line != b"\r\n":
            raise BadBodyError("a chunk does not end where it should")
        self._expect = Chunks._size

    def _field(self, line: bytes) -> None:
        if line == b"\r\n":
            self.done = True
            return
        self._trailer += len(line)
        match = _FIELD.fullmatch(line)
        if match is None or match[1].lower() in _NEVER_TRAILERS or self._trailer > TRAILER_LIMIT:
            raise BadBodyError("a trailer field is wrong")
