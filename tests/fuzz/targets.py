"""Every parser of bytes from outside, each with what has to hold for any bytes.

A target takes bytes and returns; it raises when a parser breaks its contract: it returns a value or raises its
own module's error, what it wrote it reads back, and what it passes on means the same to the next reader. Knows
nothing of how bytes are made.
"""

from __future__ import annotations

import contextlib
import json
import os
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple, cast

from h2.connection import H2Connection
from h2.exceptions import ProtocolError
from httptools import HttpParserError, HttpRequestParser

from sidecar import address, config
from sidecar.errors import ConfigError, PeerHandoverError, SidecarError
from sidecar.handover import frames, sample
from sidecar.handover.channel import Channel
from sidecar.handover.receiver import Receiver
from sidecar.proxy import plain
from sidecar.proxy.body import BadBodyError, Chunks
from sidecar.proxy.destination import split
from sidecar.proxy.h2 import state as http2
from sidecar.proxy.h2.engine import ServerEngine
from sidecar.proxy.h2.rest import at_rest, freeze, thaw
from sidecar.proxy.h2.state import BadStateError
from sidecar.proxy.head import UNTIL_CLOSE, BadResponseError, RefusedError, Request, request, response
from sidecar.proxy.standing import standing_of, state_of
from sidecar.role import role_of
from tests.sidecar.formats import ALL, RELEASED


class Target(NamedTuple):
    """One parser; samples are bytes that it accepts, or nearly so."""

    name: str
    run: Callable[[bytes], None]
    samples: Sequence[bytes]


def control_frame(data: bytes) -> None:
    """A record of the control channel: read, written, read again."""
    try:
        frame = frames.decode(data)
    except PeerHandoverError:
        return
    if frame.kind == frames.CARRY:
        again = frames.carry(frame.body["number"], frame.data)
        assert [record for record in again if record != data] == [] or not frame.data
        return
    written = frames.encode(frame.kind, frame.body)
    assert frames.encode(*frames.decode(written)[:2]) == written


def control_payload(data: bytes) -> None:
    """The payload of a frame, for everything that looks into one."""
    record = frames.HEADER.pack(frames.MAGIC, frames.FORMAT, frames.OFFER, len(data)) + data
    try:
        body = frames.decode(record).body
    except PeerHandoverError:
        return
    for reads in (frames.listeners, frames.protocol, frames.connections, frames.moved):
        try:
            found = reads(body)
        except PeerHandoverError:
            continue
        json.dumps(found, default=list)  # plain data, all of it


class NoChannel:
    """Where acknowledgements go."""

    def __init__(self) -> None:
        self.sent: list[tuple[int, dict[str, Any]]] = []

    def send(self, kind: int, body: dict[str, Any]) -> bool:
        self.sent.append((kind, body))
        return True


def move(data: bytes) -> None:
    """A connection's bytes and a move that brings no descriptor: refused whole, or each of its rows."""
    channel = NoChannel()
    receiver = Receiver(cast(Channel, channel), lambda _: True, lambda *_: None)
    bytes_ahead, _, payload = data.partition(b"\x1e")
    try:
        for record in frames.carry(0, bytes_ahead):
            receiver.carry(frames.decode(record))
        record = frames.HEADER.pack(frames.MAGIC, frames.FORMAT, frames.MOVE, len(payload)) + payload
        receiver.move(frames.decode(record), [])
    except PeerHandoverError:
        assert not channel.sent
    else:
        ((kind, body),) = channel.sent
        through, refused = frames.moved(body)
        assert (kind, refused) == (frames.MOVED, frozenset(range(through + 1)))
    assert receiver.taken == 0


def request_head(data: bytes) -> None:
    """A request: what goes on is one request with the same framing, to any reader."""
    head = first_head(data.lstrip(b"\r\n"))  # as a connection reads it
    for outbound in (False, True):
        try:
            wanted = request(head, b"10.0.0.9", outbound)
        except RefusedError as error:
            refused_the_short_way(head, outbound, error)
            continue
        short = plain.request(head[:-4], b"10.0.0.9", outbound)
        assert short._replace(forward=b"") == wanted._replace(forward=b""), f"{short}, {wanted}"
        assert unordered(short.forward) == unordered(wanted.forward), f"{short}, {wanted}"
        if outbound:
            with contextlib.suppress(ValueError):  # as its reader expects
                host, port = split(wanted.authority, 80 if wanted.forward else 0)
                assert host
                assert 0 < port < 65536
        if not wanted.forward:  # CONNECT
            continue
        one_head(wanted.forward)
        again = request(wanted.forward, b"10.0.0.9")
        for what in ("length", "head", "old", "expects", "upgrade"):
            assert getattr(again, what) == getattr(wanted, what), f"{wanted} goes on as {again}"
        assert wanted.forward.lower().count(b"\r\nhost:") == 1 or wanted.old


ASKED = [
    request(head, b"10.0.0.9")
    for head in (
        b"GET / HTTP/1.1\r\nHost: a\r\n\r\n",
        b"HEAD / HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET / HTTP/1.0\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket, x/1\r\n\r\n",
    )
]


def response_head(data: bytes) -> None:
    """An answer: what goes to the client has the framing that was read."""
    head = first_head(data)
    for asked in ASKED:
        try:
            found = response(head, asked)
        except BadResponseError:
            answer_refused_the_short_way(head, asked)
            continue
        passed = found.forward + found.framing + b"\r\n\r\n"
        short = plain.response(head[:-4], asked)
        assert short[1:3] == found[1:3], f"{short}, {found}"
        assert short.reusable == found.reusable, f"{short}, {found}"
        assert unordered(short.forward + short.framing) == unordered(passed), f"{short}, {found}"
        one_head(passed)
        again = response(passed, asked)
        assert again[:4] == found[:4], f"{found} is passed on as {again}"
        assert not (found.reusable and found.length == UNTIL_CLOSE)


def unordered(head: bytes) -> tuple[bytes, list[tuple[bytes, bytes]]]:
    """A first line, and fields without regard to order and spelling."""
    line, *fields = head.split(b"\r\n")
    pairs = (field.partition(b":") for field in fields if field)
    return line, sorted((name.lower(), value.strip(b" \t")) for name, _, value in pairs)


def refused_the_short_way(head: bytes, outbound: bool, error: RefusedError) -> None:
    """Both ways say the same."""
    try:
        plain.request(head[:-4], b"10.0.0.9", outbound)
    except RefusedError as short:
        if (short.status, short.reason) == (error.status, error.reason):
            return
    raise AssertionError(f"the short way does not refuse it as {error.status}, {error.reason}")


def answer_refused_the_short_way(head: bytes, asked: Request) -> None:
    """Both ways say the same."""
    try:
        plain.response(head[:-4], asked)
    except BadResponseError:
        return
    raise AssertionError("the short way passes it on")


def first_head(data: bytes) -> bytes:
    """What is read as a head: up to the first empty line."""
    whole = data + b"\r\n\r\n"
    return whole[: whole.index(b"\r\n\r\n") + 4]


def one_head(head: bytes) -> None:
    """Lines end with CRLF and nothing else, and the head ends where it ends."""
    assert head.endswith(b"\r\n\r\n")
    assert head.count(b"\r\n\r\n") == 1
    assert head.count(b"\r") == head.count(b"\n") == head.count(b"\r\n")
    assert b"\0" not in head


def chunks(data: bytes) -> None:
    """A chunked body: cuts make no difference, and another parser agrees where it ends."""
    whole, pieces = taken(data, len(data) or 1), taken(data, 1 + len(data) // 7)
    assert whole == pieces == taken(data, 1), f"{whole} in one piece, {pieces} in several"
    if whole is None or not whole[1]:
        return

    class Counts:
        size = 0
        complete = False

        def on_body(self, part: bytes) -> None:
            self.size += len(part)

        def on_message_complete(self) -> None:
            self.complete = True

    counts = Counts()
    parser = HttpRequestParser(counts)
    try:
        parser.feed_data(
            b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n" + data[: whole[0]]
        )
    except HttpParserError:
        return  # it is stricter, which costs nothing
    assert (counts.complete, counts.size) == (True, whole[2])


def taken(data: bytes, size: int) -> tuple[int, bool, int] | None:
    """Bytes taken, whether that is all, and the payload; None for a body that is refused."""
    body, at = Chunks(), 0
    try:
        while at < len(data) and not body.done:
            step = body.take(data[at : at + size])
            assert 0 <= step <= size
            at += step
    except BadBodyError:
        return None
    return at, body.done, body.payload


def http2_frames(data: bytes) -> None:
    """What an HTTP/2 client sends after its preface: events or a protocol error, and a state that can move."""
    engine = ServerEngine(65536)
    engine.greet()
    try:
        for at in range(0, len(data), 50):
            engine.receive(data[at : at + 50], 0.0)
    except ProtocolError:
        return
    if at_rest(engine, 0):
        frozen = freeze(engine, [])
        assert freeze(thaw(http2.parse(http2.encode(frozen))), []) == frozen


def http2_document(data: bytes) -> None:
    """What a moved HTTP/2 connection comes with: a state that is written as it was read, or one error."""
    try:
        state = http2.parse(data)
        engine = thaw(state)
    except BadStateError as error:
        one_line(error)
        return
    assert http2.parse(http2.encode(state)) == state
    with contextlib.suppress(ProtocolError):
        engine.receive(b"\0\0\x08\6\0\0\0\0\0ping-ing", 0.0)


def exchange(data: bytes) -> None:
    """What a moved exchange comes with: read, written, read again."""
    try:
        state = json.loads(data)
    except (ValueError, RecursionError):
        return
    try:
        found = standing_of(state)
    except ValueError:
        return
    written = state_of(found)
    assert state_of(standing_of(json.loads(json.dumps(written)))) == written


def http2_client() -> list[bytes]:
    """Bytes of a client that has asked for two things."""
    client = H2Connection()
    client.initiate_connection()
    head = [
        (":method", "POST"),
        (":scheme", "http"),
        (":authority", "a"),
        (":path", "/"),
        ("x-request-id", "1"),
    ]
    client.send_headers(1, head)
    client.send_data(1, b"body", end_stream=True)
    client.send_headers(3, head, end_stream=True)
    client.ping(b"12345678")
    client.reset_stream(1)
    whole = client.data_to_send()
    return [whole, whole[:70], whole[:24]]


def http2_states() -> list[bytes]:
    """Documents of a connection that has just begun, and of one that has been used."""
    documents = []
    for data in http2_client()[1:]:
        engine = ServerEngine(65536)
        engine.greet()
        engine.receive(data, 0.0)
        documents.append(http2.encode(freeze(engine, [])))
    return documents


_RELEASE = Path(tempfile.gettempdir()) / f"fuzz-release-{os.getpid()}"


def environment(data: bytes) -> None:
    """Lines of NAME=value as the environment; the first line without a name is the release file's content."""
    given: dict[str, str] = {}
    release = b"v1"
    for line in data.replace(b"\0", b"").split(b"\x1e"):
        name, equals, value = line.partition(b"=")
        if equals:
            given[os.fsdecode(name)] = os.fsdecode(value)
        else:
            release = line
    try:
        _RELEASE.write_bytes(release)
        read = config.read({**given, "SIDECAR_RELEASE_FILE": str(_RELEASE)})
        role_of(read.version, read.alt)
    except ConfigError as error:
        one_line(error)
    else:
        assert read.release.isascii()
        assert "\n" not in read.generation
    finally:
        _RELEASE.unlink()


def sample_answer(data: bytes) -> None:
    """What a predecessor that is the sample's answers to the trigger."""
    try:
        assert sample.read_answer(data) == sample.SUCCESS
    except PeerHandoverError as error:
        one_line(error)


def one_line(error: SidecarError) -> None:
    """What is wrong is told in one."""
    assert str(error).isprintable(), str(error)


def listen_address(data: bytes) -> None:
    """An address: what was read is written so that it is read again."""
    try:
        read = address.parse(os.fsdecode(data), "SIDECAR_LISTEN")
    except ConfigError as error:
        one_line(error)
        return
    assert address.parse(str(read), "X") == read


TARGETS = (
    Target("control-frame", control_frame, [frame.record for frame in ALL]),
    Target("control-payload", control_payload, [frame.record[8:] for frame in ALL if not frame.data]),
    Target("move", move, [b"GET / HTTP/1.1\r\nHo\x1e" + RELEASED[2]["move"].record[8:], b"\x1e{}"]),
    Target(
        "request-head",
        request_head,
        [
            b"GET /a?b=1 HTTP/1.1\r\nHost: a:1\r\nX-Request-Id: c-7\r\nAccept: */*\r\n\r\n",
            b"POST http://b:8/x?y HTTP/1.1\r\nHost: a\r\nContent-Length: 12\r\nExpect: 100-continue\r\n\r\n",
            b"PUT / HTTP/1.1\r\nHost: [::1]:8\r\nTransfer-Encoding: chunked\r\nTE: trailers\r\nTrailer: X\r\n\r\n",
            b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close, X-Hop\r\nX-Hop: 1\r\nX-Forwarded-For: 1.1.1.1\r\n\r\n",
            b"GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: h2c\r\nHTTP2-Settings: AA\r\n\r\n",
            b"GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket, x/1\r\n\r\n",
            b"CONNECT a.b:443 HTTP/1.1\r\nHost: a.b:443\r\n\r\n",
            b"OPTIONS * HTTP/1.0\r\nConnection: keep-alive\r\nX-Forwarded-Proto: https\r\n\r\n",
        ],
    ),
    Target(
        "response-head",
        response_head,
        [
            b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: keep-alive, X-Hop\r\nX-Hop: 1\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X\r\nx-sidecar-error: forged\r\n\r\n",
            b"HTTP/1.0 204 No Content\r\nConnection: keep-alive\r\nKeep-Alive: timeout=5\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nServer: app\r\n\r\n",
            b"HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\nSet-Cookie: a=b\r\n\r\n",
            b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n",
            b"HTTP/1.1 100 \r\n\r\n",
        ],
    ),
    Target(
        "chunks",
        chunks,
        [
            b'5\r\nhello\r\n0a;name="v"\r\n0123456789\r\n0\r\nX-Sum: 1\r\n\r\n',
            b"1\r\na\r\n1\r\nb\r\n0\r\n\r\nGET / HTTP/1.1\r\n\r\n",
            b"0\r\nA: b\r\nC: d\r\n\r\n",
        ],
    ),
    Target("http2-frames", http2_frames, http2_client()),
    Target("http2-document", http2_document, http2_states()),
    Target(
        "exchange",
        exchange,
        [
            b'{"head":false,"old":false,"started":true,"closing":false,"rechunk":true,"reusable":false,'
            b'"answer":{"left":3,"line":"","trailer":0,"expect":"size"},"ahead":0}',
            b'{"head":true,"old":true,"started":false,"closing":true,"rechunk":false,"reusable":true,'
            b'"answer":{"length":77},"ahead":12}',
        ],
    ),
    Target(
        "environment",
        environment,
        [
            b"SIDECARSET_VERSION=12\x1eSIDECARSET_VERSION_ALT=7\x1eSIDECAR_LISTEN=0.0.0.0:1, [::]:1,unix:/tmp/x",
            b"SIDECARSET_VERSION=18446744073709551615\x1eSIDECAR_UPSTREAM=localhost:80\x1ev1.2-rc.1\n",
            b"SIDECAR_HANDOVER_DIR=/dev/shm/x\x1eSIDECAR_DRAIN_DEADLINE_S=2.5e1\x1eSIDECAR_STOP_S=1",
            b"SIDECAR_TCP=0.0.0.0:5=127.0.0.1:6\x1eSIDECAR_OUTBOUND=127.0.0.1:7\x1eSIDECAR_OUTBOUND_ALLOW=10.0.0.0/8,fc00::/7",
            b"SIDECAR_ADMIN=unix:/run/admin\x1eSIDECAR_LISTEN=unix:/run/admin\x1ev1",
            "\x1e".join(
                f"{name}={value}" for name, value in {**config.SECONDS, **config.BYTES}.items()
            ).encode(),
            b"MIGRATION_PROTOCOL=kruise-sample\x1eSIDECAR_LISTEN=127.0.0.1:80",
            b"SIDECAR_HEADER_LIMIT=65536\x1eSIDECAR_BODY_LIMIT=0\x1eSIDECAR_LISTEN=unix:/a,unix:/b",
        ],
    ),
    Target(
        "sample-answer",
        sample_answer,
        [
            b"HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\nsuccess",
            b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nfailed",
        ],
    ),
    Target(
        "address",
        listen_address,
        [b"127.0.0.1:80", b"[0:0::1]:9091", b"localhost:65535", b"unix:/run/a.sock", b"[::ffff:1.2.3.4]:1"],
    ),
)
