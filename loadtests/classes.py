"""The traffic classes: how many clients, how often, and what they send. Data and pure functions.

Numbers are over all pods together. They are chosen so that every class has at least 100 requests sent or in
flight in any 2 s, and all of them about 1,200 a second, which one Locust worker sends with ease.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from dataclasses import dataclass
from random import Random

MAX_BODY_BYTES = 16 * 1024
MIN_BODY_BYTES = 1024
IDLE_BODY_BYTES = 64
STREAM_EVENTS = 10
STREAM_INTERVAL_MS = 100
RANDOM_BYTES = os.urandom(
    16 * MAX_BODY_BYTES
)  # bodies are cut from it at random: making new ones costs more than sending


@dataclass(frozen=True)
class Request:
    """A request as bytes, the hash of its body, and the one right body of its answer."""

    method: str
    data: bytes
    digest: bytes
    expected: bytes


Compose = Callable[[bytes, bytes, Random], Request]
"""Makes a request from the Host header, the request id and a source of randomness."""


@dataclass(frozen=True)
class TrafficClass:
    """One way of using the sidecar. `interval_s` is between one client's requests."""

    name: str
    clients: int
    interval_s: float
    compose: Compose
    reuses: bool = True
    """Its requests follow each other on one connection."""
    paced: bool = True
    """May be sent faster or slower; the others' intervals are what they are about."""


def get(host: bytes, request_id: bytes, random: Random) -> Request:
    """GET on a connection that stays."""
    return _echo("GET", host, request_id, b"", b"")


def get_and_close(host: bytes, request_id: bytes, random: Random) -> Request:
    """GET on a connection of its own."""
    return _echo("GET", host, request_id, b"", b"Connection: close\r\n")


def post(host: bytes, request_id: bytes, random: Random) -> Request:
    """POST with a random body of 1 to 16 KiB."""
    return _echo("POST", host, request_id, _body(random, random.randint(MIN_BODY_BYTES, MAX_BODY_BYTES)), b"")


def short_post(host: bytes, request_id: bytes, random: Random) -> Request:
    """POST with a small random body."""
    return _echo("POST", host, request_id, _body(random, IDLE_BODY_BYTES), b"")


def stream(host: bytes, request_id: bytes, random: Random) -> Request:
    """GET of a chunked stream of events that lasts about a second."""
    path = b"/stream?events=%d&interval_ms=%d" % (STREAM_EVENTS, STREAM_INTERVAL_MS)
    events = b"".join(b"id: %d\ndata: %b %d\n\n" % (n, request_id, n) for n in range(1, STREAM_EVENTS + 1))
    expected = events + b"event: end\ndata: %b\n\n" % _sha256(events)
    return Request("GET", _head(b"GET", path, host, request_id) + b"\r\n", SHA256_OF_NOTHING, expected)


def _echo(method: str, host: bytes, request_id: bytes, body: bytes, headers: bytes) -> Request:
    head = _head(method.encode(), b"/echo", host, request_id) + headers
    if body:
        head += b"Content-Length: %d\r\n" % len(body)
    digest = _sha256(body) if body else SHA256_OF_NOTHING
    return Request(method, head + b"\r\n" + body, digest, b"%b %b\n" % (request_id, digest))


def _head(method: bytes, path: bytes, host: bytes, request_id: bytes) -> bytes:
    return b"%b %b HTTP/1.1\r\nHost: %b\r\nx-request-id: %b\r\n" % (method, path, host, request_id)


def _body(random: Random, size: int) -> bytes:
    start = random.randrange(len(RANDOM_BYTES) - size)
    return RANDOM_BYTES[start : start + size]


def _sha256(data: bytes) -> bytes:
    return hashlib.sha256(data).hexdigest().encode()


SHA256_OF_NOTHING = _sha256(b"")

CLASSES = {
    traffic.name: traffic
    for traffic in (
        TrafficClass("new-connection", clients=10, interval_s=0.04, compose=get_and_close, reuses=False),
        TrafficClass("keep-alive", clients=24, interval_s=0.04, compose=get),
        # The silence outlasts a flip, and with so many clients some are silent across every moment of it.
        TrafficClass("idle-keep-alive", clients=120, interval_s=1.6, compose=short_post, paced=False),
        TrafficClass("post", clients=10, interval_s=0.04, compose=post),
        # A stream lasts 0.9 s; the rest of the interval keeps the client on its schedule.
        TrafficClass("stream", clients=40, interval_s=1.0, compose=stream, paced=False),
    )
}
