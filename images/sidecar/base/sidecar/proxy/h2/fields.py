"""Header lists: checked as RFC 9113, section 8 asks, and mapped to HTTP/1.1 and back. Lists in, lists or bytes
out; knows no stream and no connection.

Everything that comes in is checked here, whichever side it comes from, so that nothing which is checked by
nobody else can end up in an HTTP/1.1 head.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import NamedTuple

from sidecar.proxy.head import RefusedError

Field = tuple[bytes, bytes]
Fields = list[Field]

_NAME = re.compile(rb"[!#$%&'*+\-.^_`|~0-9a-z]+")
_VALUE = re.compile(rb"(?:[\x21-\x7e\x80-\xff](?:[\t\x20-\x7e\x80-\xff]*[\x21-\x7e\x80-\xff])?)?")
_METHOD = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_SCHEME = re.compile(rb"[A-Za-z][A-Za-z0-9+.\-]*")
_PATH = re.compile(rb"/[!\"$-~]*")  # no space, no control character, no fragment, nothing above ASCII
_AUTHORITY = re.compile(rb"(?:[A-Za-z0-9._~%!$&'()*+;=-]+|\[[0-9A-Fa-f:.]+\])(?::[0-9]*)?")
_LENGTH = re.compile(rb"[0-9]{1,18}")
_STATUS = re.compile(rb"[1-9][0-9][0-9]")
_PSEUDO_OF_REQUEST = frozenset({b":method", b":scheme", b":path", b":authority"})
# Fields of one HTTP/1 connection: a message with one of them is malformed (section 8.2.2).
_OF_A_CONNECTION = frozenset(
    {b"connection", b"keep-alive", b"proxy-connection", b"transfer-encoding", b"upgrade"}
)
_OF_THIS_HOP = frozenset(
    {b"proxy-authorization", b"proxy-authenticate", b"http2-settings", b"te", b"trailer"}
)
_STAMPS = frozenset({b"x-sidecar-version", b"x-sidecar-instance", b"x-sidecar-error"})
# What would change a message's meaning if a recipient merged the trailer into the head.
_NEVER_TRAILERS = _OF_A_CONNECTION | frozenset(
    {b"content-length", b"host", b"te", b"trailer", b"authorization", b"expect"}
)


class MalformedError(Exception):
    """A message that ends its stream with PROTOCOL_ERROR (section 8.1.1)."""


class Request(NamedTuple):
    """A request's head as it goes to the application, in either protocol."""

    method: bytes
    scheme: bytes
    path: bytes
    authority: bytes
    fields: Fields  # without what this tuple's other members say
    length: int | None  # of the body, where the client said it
    trailers: bool  # the client takes trailers
    announced: bytes  # which trailers it may send itself


def request(fields: Iterable[Field], peer: bytes) -> Request:
    """Checks a request's header list; `peer` is the client's address.

    MalformedError, or RefusedError that says what to answer.
    """
    pseudo, regular = _split(fields, _PSEUDO_OF_REQUEST)
    method = pseudo.get(b":method", b"")
    if not _METHOD.fullmatch(method):
        raise MalformedError(":method")
    host: bytes | None = None
    length: int | None = None
    chain, proto, announced = b"", b"http", b""
    trailers = False
    kept: Fields = []
    for field in regular:
        name, value = field
        if name == b"host":
            if host is not None:
                raise MalformedError("two Hosts")
            host = value
        elif name == b"content-length":
            if length is not None or not _LENGTH.fullmatch(value):
                raise MalformedError("content-length")
            length = int(value)
        elif name == b"te":
            if value.lower() != b"trailers":
                raise MalformedError("te")
            trailers = True
        elif name == b"trailer":
            announced = announced + b", " + value if announced else value
        elif name == b"x-forwarded-for":
            chain += value + b", "
        elif name == b"x-forwarded-proto":
            proto = value
        elif name not in _OF_THIS_HOP:
            kept.append(field)
    if method == b"CONNECT":
        raise RefusedError(501, "connect-unsupported")
    scheme, path = pseudo.get(b":scheme", b""), pseudo.get(b":path", b"")
    if not _SCHEME.fullmatch(scheme):
        raise MalformedError(":scheme")
    if not _PATH.fullmatch(path) and not (path == b"*" and method == b"OPTIONS"):
        raise MalformedError(":path")
    authority = pseudo.get(b":authority", host)
    if host is not None and authority != host:
        raise MalformedError(":authority is not Host")
    if authority is None or not _AUTHORITY.fullmatch(authority):
        raise RefusedError(400, "host")
    kept += [(b"x-forwarded-for", chain + peer), (b"x-forwarded-proto", proto)]
    return Request(method, scheme, path, authority, kept, length, trailers, announced)


def http2_request(wanted: Request) -> Fields:
    """The header list for an application that speaks HTTP/2."""
    head = [
        (b":method", wanted.method),
        (b":scheme", wanted.scheme),
        (b":authority", wanted.authority),
        (b":path", wanted.path),
        *wanted.fields,
    ]
    if wanted.length is not None:
        head.append((b"content-length", b"%d" % wanted.length))
    if wanted.trailers:
        head.append((b"te", b"trailers"))
    if wanted.announced:
        head.append((b"trailer", wanted.announced))
    return head


def http1_request(wanted: Request, ended: bool) -> tuple[bytes, bool]:
    """The head for an application that speaks HTTP/1.1, and whether the body has to be sent in chunks.

    Trailers need chunks, and so does a body of unknown length. A body whose length is known keeps it, since
    many an application needs to know it, unless trailers are announced.
    """
    chunked = not ended and (wanted.length is None or bool(wanted.announced))
    lines = [
        b"%b %b HTTP/1.1\r\nhost: %b" % (wanted.method, wanted.path, wanted.authority),
        *(b"%b: %b" % field for field in wanted.fields),
    ]
    if chunked:
        lines.append(b"transfer-encoding: chunked")
        if wanted.announced:
            lines.append(b"trailer: " + wanted.announced)
    elif wanted.length is not None:
        lines.append(b"content-length: %d" % wanted.length)
    if wanted.trailers:
        lines.append(b"te: trailers\r\nconnection: te")
    return b"\r\n".join(lines) + b"\r\n\r\n", chunked


def http1_trailers(trailers: Fields) -> bytes:
    """The last chunk with what follows it."""
    return b"".join([b"0\r\n", *(b"%b: %b\r\n" % field for field in trailers), b"\r\n"])


def response(fields: Iterable[Field]) -> tuple[int, Fields]:
    """Checks the header list of an HTTP/2 application's answer: status, and the fields for the client."""
    pseudo, regular = _split(fields, frozenset({b":status"}))
    status = pseudo.get(b":status", b"")
    if not _STATUS.fullmatch(status) or status == b"101":
        raise MalformedError(":status")
    dropped = _STAMPS | {b"proxy-authenticate"}
    return int(status), [field for field in regular if field[0] not in dropped]


def response_lines(forward: bytes, framing: bytes) -> Fields:
    """The fields of a checked HTTP/1.1 head (sidecar.proxy.head.Response), its status line left out."""
    lines = (forward + framing).split(b"\r\n")[1:]
    pairs = (line.partition(b":") for line in lines)
    return [(name.lower(), value.strip(b" \t")) for name, _, value in pairs]


def trailers(fields: Iterable[Field]) -> Fields:
    """Checks the trailers of either side and drops what must not be there."""
    _, regular = _split(fields, frozenset())
    return [field for field in regular if field[0] not in _NEVER_TRAILERS]


def trailer_lines(lines: Fields) -> Fields:
    """The trailers of a checked HTTP/1.1 message."""
    pairs = ((name.lower(), value.strip(b" \t")) for name, value in lines)
    return [field for field in pairs if field[0] not in _NEVER_TRAILERS]


def _split(fields: Iterable[Field], known: frozenset[bytes]) -> tuple[dict[bytes, bytes], Fields]:
    """Pseudo-header fields, each once and before the others, and the others; all well-formed."""
    pseudo: dict[bytes, bytes] = {}
    regular: Fields = []
    for field in fields:
        name, value = field
        if not _VALUE.fullmatch(value):
            raise MalformedError("a value")
        if name[:1] == b":":
            if name not in known or name in pseudo or regular:
                raise MalformedError("a pseudo-header field")
            pseudo[name] = value
        elif not _NAME.fullmatch(name) or name in _OF_A_CONNECTION:
            raise MalformedError("a name")
        else:
            regular.append(field)
    return pseudo, regular
