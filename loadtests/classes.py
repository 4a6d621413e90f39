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
from typing import Protocol

from loadtests.client import Answer

MAX_BODY_BYTES = 16 * 1024
MIN_BODY_BYTES = 1024
IDLE_BODY_BYTES = 64
STREAM_EVENTS = 10
STREAM_INTERVAL_MS = 100
RANDOM_BYTES = os.urandom(
    16 * MAX_BODY_BYTES
)  # bodies are cut from it at random: making new ones costs more than sending


OK = 200


@dataclass(frozen=True)
class Fault:
    """What is wrong with a whole answer: a kind of the ledger's, and a detail that is the same for equal causes."""

    kind: str
    detail: str


class Request(Protocol):
    """A request as bytes, which knows a right answer from a wrong one."""

    @property
    def method(self) -> str:
        """GET, POST …"""

    @property
    def data(self) -> bytes:
        """All that is sent."""

    def fault(self, answer: Answer) -> Fault | None:
        """What is wrong with a whole answer; None if nothing."""


@dataclass(frozen=True)
class EchoRequest:
    """To the project's application: the answer carries the id, the hash of the request's body, one right body."""

    method: str
    data: bytes
    request_id: bytes
    digest: bytes
    expected: bytes

    def fault(self, answer: Answer) -> Fault | None:
        """What is wrong with a whole answer."""
        if answer.status != OK:
            return Fault("status", f"status {answer.status}")
        if answer.headers.get(b"x-request-id") != self.request_id:
            return Fault("corrupted", "the answer to another request")
        if answer.headers.get(b"x-body-sha256") != self.digest:
            return Fault("corrupted", "the application received another body")
        if answer.body != self.expected:
            return Fault("corrupted", "the answer's body is not what the application sent")
        return None


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
    service: bool = False
    """Goes to the Service in front of the pods, and not to each pod."""


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
    data = _head(b"GET", path, host, request_id) + b"\r\n"
    return EchoRequest("GET", data, request_id, SHA256_OF_NOTHING, expected)


def _echo(method: str, host: bytes, request_id: bytes, body: bytes, headers: bytes) -> Request:
    head = _head(method.encode(), b"/echo", host, request_id) + headers
    if body:
        head += b"Content-Length: %d\r\n" % len(body)
    digest = _sha256(body) if body else SHA256_OF_NOTHING
    data = head + b"\r\n" + body
    return EchoRequest(method, data, request_id, digest, b"%b %b\n" % (request_id, digest))


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
        # Through a Service's address: only a new connection asks which pods are its endpoints.
        TrafficClass(
            "service", clients=3, interval_s=0.04, compose=get_and_close, reuses=False, service=True
        ),
    )
}
