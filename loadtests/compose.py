"""What the classes send to the project's application, and what makes its answers right. Pure functions."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any

from loadtests.client import OK, Address, Answer, Fault
from loadtests.http1 import Piece
from loadtests.tunnel import ERROR

MAX_BODY_BYTES = 16 * 1024
MIN_BODY_BYTES = 1024
SHORT_BODY_BYTES = 64
RANDOM_BYTES = os.urandom(
    16 * MAX_BODY_BYTES
)  # bodies are cut from it at random: making new ones costs more than sending

STREAM_EVENTS = 10
EVENT_INTERVAL_MS = 100
PIECE_INTERVAL_S = 0.25
UPLOAD_S = (3.0, 5.5)  # one straddles every phase of an upgrade
BRIEFLY_S = 0.5  # as long as a probe may last


@dataclass(frozen=True)
class EchoRequest:
    """The answer carries the id, the hash of the request's body, one right body."""

    method: str
    data: bytes
    request_id: bytes
    digest: bytes
    expected: bytes

    def fault(self, answer: Answer) -> Fault | None:
        """What is wrong with an answer."""
        if answer.status != OK:
            why = answer.headers.get(ERROR)
            detail = f"status {answer.status}"
            return Fault("status", f"{detail}: {why.decode('latin-1')}" if why else detail)
        if answer.headers.get(b"x-request-id") != self.request_id:
            return Fault("corrupted", "the answer to another request")
        if answer.headers.get(b"x-body-sha256") != self.digest:
            return Fault("corrupted", "the application received another body")
        right = self.expected[: len(answer.body)] if answer.partial else self.expected
        if answer.body != right:
            return Fault("corrupted", "the answer's body is not what the application sent")
        return None


@dataclass(frozen=True)
class UploadRequest(EchoRequest):
    """Sent in pieces."""

    pieces: Sequence[Piece] = ()


@dataclass(frozen=True)
class Http2Request(EchoRequest):
    """For HTTP/2: its data is the body alone."""

    fields: Sequence[tuple[bytes, bytes]] = ()


@dataclass(frozen=True)
class Message:
    """For a WebSocket: the answer is one message."""

    data: bytes
    expected: bytes
    method: str = "MESSAGE"

    def fault(self, answer: Answer) -> Fault | None:
        """What is wrong with an answer."""
        if answer.body.split(b" ")[0] != self.expected.split(b" ")[0]:
            return Fault("corrupted", "the answer to another request")
        return (
            None
            if answer.body == self.expected
            else Fault("corrupted", "the application received another body")
        )


Compose = Callable[[Address, bytes, Random], Any]
"""Makes a request, of the kind that its class's conversation takes, from where it goes, its id and randomness."""


def get(address: Address, request_id: bytes, random: Random) -> EchoRequest:
    """GET on a connection that stays."""
    return _echo("GET", address, request_id, b"")


def get_and_close(address: Address, request_id: bytes, random: Random) -> EchoRequest:
    """GET on a connection of its own."""
    return _echo("GET", address, request_id, b"", CLOSE)


def post(address: Address, request_id: bytes, random: Random) -> EchoRequest:
    """POST with a random body of 1 to 16 KiB."""
    return _echo("POST", address, request_id, _body(random, MIN_BODY_BYTES, MAX_BODY_BYTES))


def short_post(address: Address, request_id: bytes, random: Random) -> EchoRequest:
    """POST with a small random body."""
    return _echo("POST", address, request_id, _body(random, SHORT_BODY_BYTES, SHORT_BODY_BYTES))


def get_or_post(address: Address, request_id: bytes, random: Random) -> EchoRequest:
    """One of both."""
    return random.choice((get, short_post))(address, request_id, random)


def through_tunnel(address: Address, request_id: bytes, random: Random) -> EchoRequest:
    """GET or POST, said to the pod beyond."""
    return get_or_post(_beyond(address), request_id, random)


def relayed_post(address: Address, request_id: bytes, random: Random) -> EchoRequest:
    """POST that the application passes on to the pod beyond."""
    path = b"/egress?to=" + _beyond(address).authority
    return _echo("POST", address, request_id, _body(random, SHORT_BODY_BYTES, MIN_BODY_BYTES), path=path)


def stream(address: Address, request_id: bytes, random: Random) -> EchoRequest:
    """GET of a chunked stream of events that lasts about a second."""
    return _stream(address, request_id, STREAM_EVENTS)


def long_stream(seconds: float) -> Compose:
    """GET of such a stream that lasts so long, on a connection of its own."""
    events = max(round(seconds * 1000 / EVENT_INTERVAL_MS), 1)

    def compose(address: Address, request_id: bytes, random: Random) -> EchoRequest:
        return _stream(address, request_id, events, CLOSE)

    return compose


def slow_upload(address: Address, request_id: bytes, random: Random) -> UploadRequest:
    """POST whose body comes in pieces, over some seconds, with its length told or in chunks."""
    return _upload(address, request_id, random, random.uniform(*UPLOAD_S))


def brief_upload(address: Address, request_id: bytes, random: Random) -> UploadRequest:
    """The same in short."""
    return _upload(address, request_id, random, BRIEFLY_S)


def over_http2(address: Address, request_id: bytes, random: Random) -> Http2Request:
    """GET or POST as a stream."""
    method, body = random.choice((("GET", b""), ("POST", _body(random, SHORT_BODY_BYTES, MIN_BODY_BYTES))))
    fields = [
        (b":method", method.encode()),
        (b":scheme", b"http"),
        (b":authority", address.authority),
        (b":path", b"/echo"),
        (b"x-request-id", request_id),
        *([(b"content-length", b"%d" % len(body))] if body else []),
    ]
    digest = _sha256(body)
    return Http2Request(method, body, request_id, digest, _echoed(request_id, digest), fields)


def message(address: Address, request_id: bytes, random: Random) -> Message:
    """A WebSocket message with a random payload."""
    payload = _body(random, SHORT_BODY_BYTES, MIN_BODY_BYTES)
    return Message(b"%b %b" % (request_id, payload), b"%b %b" % (request_id, _sha256(payload)))


CLOSE = b"Connection: close\r\n"
ECHO = b"/echo"


def _echo(
    method: str, address: Address, request_id: bytes, body: bytes, headers: bytes = b"", path: bytes = ECHO
) -> EchoRequest:
    head = _head(method.encode(), path, address, request_id) + headers
    if body:
        head += b"Content-Length: %d\r\n" % len(body)
    digest = _sha256(body) if body else SHA256_OF_NOTHING
    return EchoRequest(method, head + b"\r\n" + body, request_id, digest, _echoed(request_id, digest))


def _stream(address: Address, request_id: bytes, events: int, headers: bytes = b"") -> EchoRequest:
    path = b"/stream?events=%d&interval_ms=%d" % (events, EVENT_INTERVAL_MS)
    body = b"".join(b"id: %d\ndata: %b %d\n\n" % (n, request_id, n) for n in range(1, events + 1))
    expected = body + b"event: end\ndata: %b\n\n" % _sha256(body)
    data = _head(b"GET", path, address, request_id) + headers + b"\r\n"
    return EchoRequest("GET", data, request_id, SHA256_OF_NOTHING, expected)


def _upload(address: Address, request_id: bytes, random: Random, seconds: float) -> UploadRequest:
    count = int(seconds / PIECE_INTERVAL_S)
    parts = [_body(random, SHORT_BODY_BYTES, MIN_BODY_BYTES) for _ in range(count)]
    body = b"".join(parts)
    head = _head(b"POST", ECHO, address, request_id) + CLOSE
    if random.random() < 0.5:
        head += b"Transfer-Encoding: chunked\r\n\r\n"
        parts = [b"%x\r\n%b\r\n" % (len(part), part) for part in parts]
        parts[-1] += b"0\r\n\r\n"
    else:
        head += b"Content-Length: %d\r\n\r\n" % len(body)
    pieces = [Piece(number * PIECE_INTERVAL_S, data) for number, data in enumerate((head, *parts))]
    data = b"".join(piece.data for piece in pieces)
    digest = _sha256(body)
    return UploadRequest("POST", data, request_id, digest, _echoed(request_id, digest), pieces)


def _head(method: bytes, path: bytes, address: Address, request_id: bytes) -> bytes:
    return b"%b %b HTTP/1.1\r\nHost: %b\r\nx-request-id: %b\r\n" % (
        method,
        path,
        address.authority,
        request_id,
    )


def _beyond(address: Address) -> Address:
    assert address.beyond is not None, "nowhere to go"
    return address.beyond


def _echoed(request_id: bytes, digest: bytes) -> bytes:
    return b"%b %b\n" % (request_id, digest)


def _body(random: Random, least: int, most: int) -> bytes:
    size = random.randint(least, most)
    start = random.randrange(len(RANDOM_BYTES) - size)
    return RANDOM_BYTES[start : start + size]


def _sha256(data: bytes) -> bytes:
    return hashlib.sha256(data).hexdigest().encode()


SHA256_OF_NOTHING = _sha256(b"")
