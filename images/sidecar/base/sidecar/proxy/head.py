"""Heads of requests and responses: checked, and rewritten for the other side. Bytes in, bytes out.

llhttp (through httptools, in its strict mode) checks the grammar: bare LF, folded lines, a space before the
colon, conflicting lengths. Only then one regular expression cuts out the fields that concern a proxy, which
is exact because every line of a checked head starts after CRLF with a name and a colon. The rest passes
through untouched.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from httptools import (
    HttpParserError,
    HttpParserInvalidMethodError,
    HttpParserUpgrade,
    HttpRequestParser,
    HttpResponseParser,
)

CHUNKED = -1  # as a length: the body has chunks
UNTIL_CLOSE = -2  # as a length: the body ends with the connection

REQUEST_FIELDS = (
    rb"connection|keep-alive|proxy-connection|proxy-authorization|te|trailer|transfer-encoding|content-length"
    rb"|upgrade|http2-settings|host|expect|x-forwarded-for|x-forwarded-proto"
)
RESPONSE_FIELDS = (
    rb"connection|keep-alive|proxy-connection|proxy-authenticate|te|trailer|transfer-encoding|content-length"
    rb"|upgrade|x-sidecar-version|x-sidecar-instance|x-sidecar-error"
)
_OF_REQUEST = re.compile(rb"\r\n((?i:" + REQUEST_FIELDS + rb")):([^\r\n]*)")
_OF_RESPONSE = re.compile(rb"\r\n((?i:" + RESPONSE_FIELDS + rb")):([^\r\n]*)")
_TOKEN = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
HOST = re.compile(rb"(?:[A-Za-z0-9._~%!$&'()*+;=-]*|\[[0-9A-Fa-f:.]+\])(?::[0-9]*)?")
_PROTOCOL = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+(?:/[!#$%&'*+\-.^_`|~0-9A-Za-z]+)?")
# HTTP itself: requests of a later version would go past this proxy unseen.
_NO_UPGRADES = frozenset({b"h2c", b"h2", b"http"})
# RFC 9112, section 4. llhttp lets every byte pass in the reason, NUL too.
STATUS_LINE = re.compile(rb"HTTP/1\.[01] [1-9][0-9]{2}(?: [\t\x20-\x7e\x80-\xff]*)?\r\n")
_ABSOLUTE = re.compile(rb"(?i:https?)://([^/?#@]+)([/?].*|)", re.DOTALL)
# What one hop's Connection may name without it being a field of that name.
_NOT_NAMES = frozenset({b"close", b"keep-alive", b"upgrade", b"te", b"http2-settings"})


class RefusedError(Exception):
    """A request that is answered here: status and the reason that goes into `x-sidecar-error`."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status, self.reason = status, reason


class BadResponseError(Exception):
    """A response of the application that cannot be passed on."""


class _Nothing:
    """llhttp calls back into this; the head's bytes are all that is needed."""


_NOTHING = _Nothing()


class Request(NamedTuple):
    """A request as it goes to the application."""

    forward: bytes  # nothing if it is a CONNECT
    length: int  # of the body: bytes or CHUNKED
    head: bool  # the method is HEAD: its answer has no body
    close: bool  # the client wants the connection closed after the answer
    old: bool  # HTTP/1.0
    expects: bool  # the client may hold its body back until it hears 100
    upgrade: bytes = b""  # the protocols that the application may switch to with a 101
    authority: bytes = b""  # where it says that it goes, if it does


class Response(NamedTuple):
    """A response as it goes to the client, but for the fields that close it."""

    forward: bytes  # without the empty line, and with neither length nor encoding
    status: int
    length: int  # of the body: bytes, CHUNKED or UNTIL_CLOSE
    framing: bytes  # the field that says so, or nothing; of a 101: the fields that say what follows
    reusable: bool  # the application keeps the connection


def request(head: bytes, forwarded: bytes, outbound: bool = False) -> Request:
    """Checks a whole head, empty line included; `forwarded` is the client's address.

    An outbound request says where it goes: CONNECT or an absolute target (RFC 9112 section 3.2). RefusedError
    says what to answer.
    """
    upgrade = False
    try:
        HttpRequestParser(_NOTHING).feed_data(head)
    except HttpParserUpgrade:
        upgrade = True
    except HttpParserInvalidMethodError:
        method = head.split(b" ", 1)[0]
        raise RefusedError(501 if _TOKEN.fullmatch(method) else 400, "method") from None
    except HttpParserError:
        raise RefusedError(400, "malformed") from None
    pieces = _OF_REQUEST.split(head[:-4])
    line, _, plain = pieces[0].partition(b"\r\n")
    parts = line.split(b" ")
    # After a bare LF llhttp takes the rest of the line for a field of an HTTP/0.9 request.
    if len(parts) != 3 or b"\n" in line:
        raise RefusedError(400, "malformed")
    method, target, version = parts
    old = version == b"HTTP/1.0"
    if not old and version != b"HTTP/1.1":
        raise RefusedError(505, "version")
    if method == b"CONNECT" and not outbound:
        raise RefusedError(501, "connect-unsupported")

    length = 0
    close = old
    host: bytes | None = None
    fields = b""
    chain, proto, names, upgrades = b"", b"http", b"", b""
    for index in range(1, len(pieces), 3):
        name, value = pieces[index].lower(), pieces[index + 1].strip(b" \t")
        if name == b"host":
            if host is not None or not HOST.fullmatch(value):
                raise RefusedError(400, "host")
            host = value
        elif name == b"connection":
            names = names + b"," + value.lower() if names else value.lower()
        elif name == b"content-length":
            size = _length(value)
            if size is None:
                raise RefusedError(400, "malformed")
            length = size
            fields += b"\r\nContent-Length: %d" % length
        elif name == b"transfer-encoding":
            if value.lower() != b"chunked" or old:
                raise RefusedError(400 if old else 501, "transfer-encoding")
            length = CHUNKED
            fields += b"\r\nTransfer-Encoding: chunked"
        elif name == b"x-forwarded-for":
            chain += value + b", "
        elif name == b"x-forwarded-proto":
            proto = value
        elif name == b"upgrade":
            upgrades += b"," + value
        elif name == b"expect" and not old:
            fields += b"\r\nExpect: " + value
    # Without Connection: Upgrade the field means nothing, and a body's end would be in doubt.
    upgrades = _offered(upgrades) if upgrade and method == b"GET" and not old and not length else b""
    if upgrades:
        fields += b"\r\nConnection: Upgrade\r\nUpgrade: " + upgrades
    if host is None and not old:
        raise RefusedError(400, "host")

    authority = b""
    if method == b"CONNECT":
        if length or not HOST.fullmatch(target):
            raise RefusedError(400, "target")
        # It closes unless it becomes a tunnel: what a client has sent by then is no request.
        return Request(b"", 0, False, True, old, False, b"", target)
    if target[:1] != b"/" and not (target == b"*" and method == b"OPTIONS"):
        absolute = _ABSOLUTE.fullmatch(target)
        if absolute is None or not HOST.fullmatch(absolute[1]):
            raise RefusedError(400, "target")
        if (
            outbound and target[:5].lower() == b"https"
        ):  # what is asked for has to be encrypted from end to end
            raise RefusedError(400, "target")
        host = authority = absolute[1]
        target = absolute[2] if absolute[2][:1] == b"/" else b"/" + absolute[2]
    elif outbound:
        raise RefusedError(400, "target")
    if b"#" in target:
        raise RefusedError(400, "target")

    rest = b"".join([b"\r\n" + plain if plain else b"", *pieces[3::3]])
    if names and names != b"keep-alive":
        listed = {token.strip(b" \t") for token in names.split(b",")}
        close = close or b"close" in listed
        rest = _without(rest, listed - _NOT_NAMES)
    forward = b"".join(
        (
            method,
            b" ",
            target,
            b" ",
            version,
            b"\r\nHost: " + host if host is not None else b"",
            rest,
            b"\r\nX-Forwarded-For: ",
            chain + forwarded,
            b"\r\nX-Forwarded-Proto: ",
            proto,
            fields,
            b"\r\n\r\n",
        )
    )
    return Request(
        forward, length, method == b"HEAD", close, old, b"\r\nExpect: " in fields, upgrades, authority
    )


def response(head: bytes, asked: Request) -> Response:
    """Checks a whole head of the application's answer, empty line included; BadResponseError."""
    try:
        HttpResponseParser(_NOTHING).feed_data(head)
    except HttpParserUpgrade:
        pass
    except HttpParserError as error:
        raise BadResponseError(str(error)) from None
    pieces = _OF_RESPONSE.split(head[:-4])
    start = pieces[0]
    if not STATUS_LINE.match(head):
        raise BadResponseError("no HTTP/1 status line")
    version, status = start[:9], int(start[9:12])
    length = UNTIL_CLOSE
    reusable = version == b"HTTP/1.1 "
    framing, names, upgrades = b"", b"", b""
    for index in range(1, len(pieces), 3):
        name, value = pieces[index].lower(), pieces[index + 1].strip(b" \t")
        if name == b"connection":
            names = names + b"," + value.lower() if names else value.lower()
        elif name == b"content-length":
            size = _length(value)
            if size is None:
                raise BadResponseError("a length beyond all measure")
            length = size
            framing = b"\r\nContent-Length: " + value
        elif name == b"transfer-encoding":
            if value.lower() != b"chunked" or not reusable or asked.old:
                raise BadResponseError("a transfer encoding that was not asked for")
            length = CHUNKED
            framing = b"\r\nTransfer-Encoding: chunked"
        elif name == b"upgrade":
            upgrades += b"," + value
    forward = b"HTTP/1.1 " + b"".join([start[9:], *pieces[3::3]])
    if names:
        listed = {token.strip(b" \t") for token in names.split(b",")}
        reusable = b"close" not in listed and (reusable or b"keep-alive" in listed)
        forward = _without(forward, listed - _NOT_NAMES)
    if status < 200 or status in (204, 304) or asked.head:
        if status < 200 or status == 204:
            framing = b""
        length = 0
        if status == 101:
            framing = _switched(upgrades, asked.upgrade)
    return Response(forward, status, length, framing, reusable and length != UNTIL_CLOSE)


def _offered(value: bytes) -> bytes:
    """The protocols of a request's Upgrade that may be passed on."""
    offered = (part.strip(b" \t") for part in value.split(b","))
    return b", ".join(
        part
        for part in offered
        if _PROTOCOL.fullmatch(part) and part.partition(b"/")[0].lower() not in _NO_UPGRADES
    )


def _switched(value: bytes, asked: bytes) -> bytes:
    """The fields of a 101, which names what was asked for and nothing else (RFC 9110 section 7.8)."""
    chosen = [part.strip(b" \t") for part in value.split(b",")[1:]]
    wanted = asked.lower().split(b", ")
    if not asked or not chosen or any(part.lower() not in wanted for part in chosen):
        raise BadResponseError("a protocol that was not asked for")
    return b"\r\nConnection: Upgrade\r\nUpgrade: " + b", ".join(chosen)


def _length(value: bytes) -> int | None:
    """Digits, as llhttp has seen; it takes 64 bits, others take 63 and would read something else."""
    length = int(value)
    return length if length < 1 << 63 else None


def _without(lines: bytes, names: set[bytes]) -> bytes:
    """Drops the fields that a Connection field named."""
    names = {name for name in names if _TOKEN.fullmatch(name)}
    if not names:
        return lines
    return re.sub(
        rb"\r\n(?i:" + b"|".join(re.escape(name) for name in sorted(names)) + rb"):[^\r\n]*", b"", lines
    )
