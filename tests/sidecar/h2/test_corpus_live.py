"""Bytes that no client should send, against a real process: bytes in, the error out, nothing for the application.

Named after RFC 9113; what h2spec looks at is in here. One process serves all cases, so that each also shows that
the ones before have left no mark.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.sidecar.h2.peer import PREFACE, frame
from tests.sidecar.rig import PACKAGE, WITHIN_S, free_port

pytestmark = pytest.mark.integration

DATA, HEADERS, PRIORITY, RST, SETTINGS, PUSH, PING, GOAWAY, WINDOW, CONTINUATION = range(10)
END, ACK, BLOCK, PADDED, PRIO = 1, 1, 4, 8, 32
PROTOCOL, FLOW, CLOSED, SIZE, COMPRESSION, CALM = 1, 3, 5, 6, 9, 11

HELLO = PREFACE + frame(SETTINGS, 0, 0)
GOOD = b"\x82\x86\x84\x01\x01a"  # GET / of authority a, nothing indexed
BAD = b"\x82\x86\x04\x04/bad\x01\x01a"  # GET /bad


def literal(name: bytes, value: bytes) -> bytes:
    return b"\0" + bytes([len(name)]) + name + bytes([len(value)]) + value


def bad(*more: bytes, flags: int = BLOCK | END, stream: int = 1) -> bytes:
    return frame(HEADERS, flags, stream, b"".join([BAD, *more]))


def good(stream: int = 1, flags: int = BLOCK | END) -> bytes:
    return frame(HEADERS, flags, stream, GOOD)


OPEN = good(flags=BLOCK)  # a request whose body is to come

# Bytes after the preface and SETTINGS, and the codes that a GOAWAY may end the connection with.
ENDS: dict[str, tuple[bytes, set[int]]] = {
    "4.2 a frame larger than SETTINGS_MAX_FRAME_SIZE": (OPEN + frame(DATA, 0, 1, bytes(16385)), {SIZE}),
    "4.2 a header block in a frame that is too large": (frame(HEADERS, 5, 1, BAD + bytes(16385)), {SIZE}),
    "4.3 a header block that does not decode": (
        frame(HEADERS, 5, 1, b"\xff\xff\xff\xff\xff\xff"),
        {COMPRESSION},
    ),
    "4.3 an index that is not in the table": (frame(HEADERS, 5, 1, BAD + b"\xf0"), {COMPRESSION}),
    "4.3 a table larger than allowed": (frame(HEADERS, 5, 1, b"\x3f\xff\x7f" + BAD), {COMPRESSION}),
    "4.3 a change of the table's size in the middle": (frame(HEADERS, 5, 1, BAD + b"\x20"), {COMPRESSION}),
    "5.1 DATA on an idle stream": (frame(DATA, 0, 1, b"x"), {PROTOCOL}),
    "5.1 RST_STREAM on an idle stream": (frame(RST, 0, 1, bytes(4)), {PROTOCOL}),
    "5.1 RST_STREAM on a server's stream": (frame(RST, 0, 2, bytes(4)), {PROTOCOL}),
    "5.1 WINDOW_UPDATE on an idle stream": (frame(WINDOW, 0, 1, b"\0\0\0\1"), {PROTOCOL}),
    "5.1 CONTINUATION on an idle stream": (frame(CONTINUATION, 4, 1, BAD), {PROTOCOL}),
    "5.1.1 an even stream": (bad(stream=2), {PROTOCOL}),
    "5.1.1 a stream below one that was opened": (good(5) + bad(stream=3), {PROTOCOL}),
    "4.2 the head of a frame that is too large": (b"\0\x40\1" + frame(DATA, 0, 1)[3:], {SIZE}),
    "6.1 DATA on stream 0": (frame(DATA, 0, 0, b"x"), {PROTOCOL}),
    "6.1 padding longer than the frame": (OPEN + frame(DATA, PADDED, 1, b"\x05xx"), {PROTOCOL}),
    "6.2 HEADERS on stream 0": (bad(stream=0), {PROTOCOL}),
    "6.2 padding longer than the header block": (frame(HEADERS, 5 | PADDED, 1, b"\xff" + BAD), {PROTOCOL}),
    "6.2 another frame within a header block": (bad(flags=END) + frame(PING, 0, 0, bytes(8)), {PROTOCOL}),
    "6.2 another stream's HEADERS within a header block": (bad(flags=END) + bad(stream=3), {PROTOCOL}),
    "6.2 an unknown frame within a header block": (bad(flags=END) + frame(0xFF, 0, 1), {PROTOCOL}),
    "6.3 PRIORITY on stream 0": (frame(PRIORITY, 0, 0, bytes(5)), {PROTOCOL}),
    "6.3 PRIORITY of another size": (frame(PRIORITY, 0, 1, bytes(4)), {SIZE}),
    "6.4 RST_STREAM on stream 0": (frame(RST, 0, 0, bytes(4)), {PROTOCOL}),
    "6.4 RST_STREAM of another size": (OPEN + frame(RST, 0, 1, bytes(3)), {SIZE}),
    "6.5 SETTINGS on a stream": (frame(SETTINGS, 0, 1), {PROTOCOL}),
    "6.5 SETTINGS of another size": (frame(SETTINGS, 0, 0, bytes(5)), {SIZE}),
    "6.5 an acknowledgement that holds something": (frame(SETTINGS, ACK, 0, bytes(6)), {SIZE, PROTOCOL}),
    "6.5.2 ENABLE_PUSH of 2": (frame(SETTINGS, 0, 0, b"\0\2\0\0\0\2"), {PROTOCOL}),
    "6.5.2 INITIAL_WINDOW_SIZE of 2^31": (frame(SETTINGS, 0, 0, b"\0\4\x80\0\0\0"), {FLOW}),
    "6.5.2 MAX_FRAME_SIZE of 100": (frame(SETTINGS, 0, 0, b"\0\5\0\0\0\x64"), {PROTOCOL}),
    "6.5.2 MAX_FRAME_SIZE of 2^24": (frame(SETTINGS, 0, 0, b"\0\5\1\0\0\0"), {PROTOCOL}),
    "6.6 PUSH_PROMISE from a client": (OPEN + frame(PUSH, 4, 1, b"\0\0\0\2" + BAD), {PROTOCOL}),
    "6.7 PING on a stream": (frame(PING, 0, 1, bytes(8)), {PROTOCOL}),
    "6.7 PING of another size": (frame(PING, 0, 0, bytes(7)), {SIZE}),
    "6.8 GOAWAY on a stream": (frame(GOAWAY, 0, 1, bytes(8)), {PROTOCOL}),
    "6.9 a window of nothing more": (frame(WINDOW, 0, 0, bytes(4)), {PROTOCOL}),
    "6.9 a stream's window of nothing more": (OPEN + frame(WINDOW, 0, 1, bytes(4)), {PROTOCOL}),
    "6.9 WINDOW_UPDATE of another size": (frame(WINDOW, 0, 0, bytes(3)), {SIZE}),
    "6.9.1 a window beyond 2^31-1": (frame(WINDOW, 0, 0, b"\x7f\xff\xff\xff"), {FLOW}),
    "6.9.1 more DATA than the stream's window": (OPEN + frame(DATA, 0, 1, bytes(16384)) * 4, {FLOW}),
    "6.10 CONTINUATION of another stream": (bad(flags=END) + frame(CONTINUATION, 4, 3, b""), {PROTOCOL}),
    "6.10 CONTINUATION on stream 0": (bad(flags=END) + frame(CONTINUATION, 4, 0, b""), {PROTOCOL}),
    "6.10 CONTINUATION after the block's end": (
        bad(b"\x82") + frame(CONTINUATION, 4, 1, b""),
        {PROTOCOL, CLOSED},
    ),
    "8.1 trailers that do not end the stream": (OPEN + frame(HEADERS, 4, 1, literal(b"x", b"y")), {PROTOCOL}),
    "8.1.1 a length that is no number": (bad(literal(b"content-length", b"x")), {PROTOCOL}),
    "a flood of CONTINUATION that holds nothing": (
        bad(flags=END) + frame(CONTINUATION, 0, 1) * 100,
        {PROTOCOL, CALM},
    ),
    "a flood of CONTINUATION": (bad(flags=END) + frame(CONTINUATION, 0, 1, bytes(16384)) * 20, {CALM}),
    "a header list that expands beyond measure": (
        frame(HEADERS, 5, 1, BAD + b"\x40\x01x\x7f\xa1\x1e" + b"y" * 4000 + b"\xbe" * 100),
        {CALM},
    ),
    "a flood of PING": (frame(PING, 0, 0, bytes(8)) * 1000, {CALM}),
    "a flood of SETTINGS": (frame(SETTINGS, 0, 0) * 1000, {CALM}),
    "a flood of PRIORITY": (frame(PRIORITY, 0, 1, bytes(5)) * 1000, {CALM, PROTOCOL}),
    "a flood of windows": (frame(WINDOW, 0, 0, b"\0\0\0\1") * 1000, {CALM}),
    "a flood of DATA that holds nothing": (OPEN + frame(DATA, 0, 1) * 1000, {CALM}),
    "a flood of unknown frames": (frame(0xFE, 0, 0) * 1000, {CALM}),
    "rapid reset": (
        b"".join(bad(stream=number) + frame(RST, 0, number, bytes(4)) for number in range(1, 1001, 2)),
        {CALM},
    ),
}

# Bytes that end one stream with RST_STREAM, while the connection goes on.
RESETS: dict[str, tuple[bytes, set[int]]] = {
    "5.1 HEADERS after the stream's end": (good() + bad(), {CLOSED}),
    "5.1 DATA after the stream's end": (good() + frame(DATA, 0, 1, b"x"), {CLOSED}),
    "6.9.1 a stream's window beyond 2^31-1": (OPEN + frame(WINDOW, 0, 1, b"\x7f\xff\xff\xff"), {FLOW}),
    "8.1.1 DATA beyond the length": (
        bad(literal(b"content-length", b"1"), flags=BLOCK) + frame(DATA, END, 1, b"two"),
        {PROTOCOL},
    ),
    "8.1.1 DATA short of the length": (
        bad(literal(b"content-length", b"9"), flags=BLOCK) + frame(DATA, END, 1, b"two"),
        {PROTOCOL},
    ),
    "8.1.1 no DATA at all for a length": (bad(literal(b"content-length", b"9")), {PROTOCOL}),
    "8.1.1 two lengths": (
        bad(literal(b"content-length", b"0"), literal(b"content-length", b"0")),
        {PROTOCOL},
    ),
    "8.2 an upper-case name": (bad(literal(b"X-Upper", b"1")), {PROTOCOL}),
    "8.2 a name with a space": (bad(literal(b"x y", b"1")), {PROTOCOL}),
    "8.2 an empty name": (bad(literal(b"", b"1")), {PROTOCOL}),
    "8.2.1 a value with CR LF": (bad(literal(b"x", b"1\r\nhost: b")), {PROTOCOL}),
    "8.2.1 a value with NUL": (bad(literal(b"x", b"1\0")), {PROTOCOL}),
    "8.2.1 a value that ends with a space": (bad(literal(b"x", b"1 ")), {PROTOCOL}),
    "8.2.2 connection": (bad(literal(b"connection", b"close")), {PROTOCOL}),
    "8.2.2 transfer-encoding": (bad(literal(b"transfer-encoding", b"chunked")), {PROTOCOL}),
    "8.2.2 upgrade": (bad(literal(b"upgrade", b"h2c")), {PROTOCOL}),
    "8.2.2 te that is not trailers": (bad(literal(b"te", b"trailers, deflate")), {PROTOCOL}),
    "8.3 an unknown pseudo-header": (frame(HEADERS, 5, 1, literal(b":x", b"1") + BAD), {PROTOCOL}),
    "8.3 a response's pseudo-header": (frame(HEADERS, 5, 1, b"\x88" + BAD), {PROTOCOL}),
    "8.3 a pseudo-header after a field": (frame(HEADERS, 5, 1, literal(b"x", b"1") + BAD), {PROTOCOL}),
    "8.3 a pseudo-header in trailers": (
        bad(flags=BLOCK) + frame(HEADERS, 5, 1, literal(b":path", b"/bad")),
        {PROTOCOL},
    ),
    "8.3.1 no method": (frame(HEADERS, 5, 1, BAD[1:]), {PROTOCOL}),
    "8.3.1 no scheme": (frame(HEADERS, 5, 1, BAD[:1] + BAD[2:]), {PROTOCOL}),
    "8.3.1 no path": (frame(HEADERS, 5, 1, b"\x82\x86\x01\x01a"), {PROTOCOL}),
    "8.3.1 an empty path": (frame(HEADERS, 5, 1, b"\x82\x86\x04\0\x01\x01a"), {PROTOCOL}),
    "8.3.1 two methods": (frame(HEADERS, 5, 1, b"\x82" + BAD), {PROTOCOL}),
    "8.3.1 a path with a space": (frame(HEADERS, 5, 1, b"\x82\x86\x04\x05/ bad\x01\x01a"), {PROTOCOL}),
    "8.3.1 an authority that is not Host": (bad(literal(b"host", b"b")), {PROTOCOL}),
    "8.5 CONNECT of HTTP/2's extended kind": (bad(literal(b":protocol", b"x")), {PROTOCOL}),
    "more streams at once than allowed": (
        b"".join(good(number, BLOCK) for number in range(1, 202, 2)) + bad(stream=203),
        {7},
    ),
}

# Bytes that may look odd and are nothing wrong: the request on stream 101 is answered.
FINE: dict[str, bytes] = {
    "4.1 a frame of an unknown type": frame(0xBE, 0xFF, 0, b"whatever") + frame(0xBE, 0, 77, b""),
    "4.1 flags that nobody knows": frame(PING, 0xFE, 0, bytes(8)),
    "4.1 the reserved bit": frame(PING, 0, 0, bytes(8))[:5] + b"\x80" + frame(PING, 0, 0, bytes(8))[6:],
    "5.1 PRIORITY on an idle and on a closed stream": frame(PRIORITY, 0, 9, bytes(5))
    + good()
    + frame(PRIORITY, 0, 1, b"\0\0\0\3\1"),
    "5.1 WINDOW_UPDATE and RST_STREAM after the stream's end": good()
    + frame(WINDOW, 0, 1, b"\0\0\0\1")
    + frame(RST, 0, 1, bytes(4)),
    "5.5 SETTINGS that nobody knows": frame(SETTINGS, 0, 0, b"\x12\x34\0\0\0\1" * 20),
    "6.1 padding": OPEN + frame(DATA, PADDED | END, 1, b"\x03x\0\0\0"),
    "6.2 padding and a priority": frame(
        HEADERS, BLOCK | END | PADDED | PRIO, 1, b"\x02" + bytes(5) + GOOD + bytes(2)
    ),
    "6.5.3 a window that shrinks below what was sent": frame(SETTINGS, 0, 0, b"\0\4\0\0\0\0")
    + frame(SETTINGS, 0, 0, b"\0\4\0\0\xff\xff"),
    "6.8 GOAWAY without an error": frame(GOAWAY, 0, 0, bytes(8)),
    "6.10 a header block in many frames": b"".join(
        [
            frame(HEADERS, END, 1, GOOD[:1]),
            *(frame(CONTINUATION, 0, 1, GOOD[n : n + 1]) for n in range(1, len(GOOD))),
            frame(CONTINUATION, BLOCK, 1),
        ]
    ),
    "ALTSVC, which is for clients": frame(0xA, 0, 0, b"\0\1ah2"),
}


class World:
    """One process, and an application that keeps what it is asked."""

    def __init__(self, port: int, heads: list[bytes]) -> None:
        self.port, self.heads = port, heads

    def talk(self, data: bytes, wait_for: bytes = b"") -> bytes:
        """What comes back, until the end or until `wait_for` is in it."""
        received = b""
        with socket.create_connection(("127.0.0.1", self.port), WITHIN_S) as sock:
            with contextlib.suppress(ConnectionError):
                sock.sendall(data)
            with contextlib.suppress(ConnectionError):
                while part := sock.recv(65536):
                    received += part
                    if wait_for and wait_for in received:
                        break
        return received


def _answer(sock: socket.socket, heads: list[bytes]) -> None:
    with sock, contextlib.suppress(OSError):
        received = b""
        while data := sock.recv(65536):
            received += data
            while b"\r\n\r\n" in received:
                head, _, received = received.partition(b"\r\n\r\n")
                heads.append(head)
                if b"chunked" in head:
                    received = received.partition(b"0\r\n\r\n")[2]
                sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")


def _accept(listener: socket.socket, heads: list[bytes]) -> None:
    with contextlib.suppress(OSError):
        while True:
            sock, _ = listener.accept()
            threading.Thread(target=_answer, args=(sock, heads), daemon=True).start()


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    heads: list[bytes] = []
    listener = socket.create_server(("127.0.0.1", 0))
    acceptor = threading.Thread(target=_accept, args=(listener, heads))
    acceptor.start()
    root = Path(tempfile.mkdtemp(prefix="hu-"))
    port = free_port()
    process = subprocess.Popen(
        [sys.executable, "-m", "sidecar"],
        env={
            "PATH": os.environ["PATH"],
            "PYTHONPATH": str(PACKAGE),
            "SIDECAR_LISTEN": f"127.0.0.1:{port}",
            "SIDECAR_UPSTREAM": f"127.0.0.1:{listener.getsockname()[1]}",
            "SIDECAR_HANDOVER_DIR": str(root / "dir"),
            "SIDECAR_HEADER_LIMIT": "16384",
        },
        stdout=subprocess.PIPE,
    )
    assert process.stdout is not None
    deadline = time.monotonic() + WITHIN_S
    while b'"accepting"' not in process.stdout.readline():
        assert time.monotonic() < deadline
    yield World(port, heads)
    process.send_signal(signal.SIGKILL)
    process.wait()
    process.stdout.close()
    listener.shutdown(socket.SHUT_RDWR)
    listener.close()
    acceptor.join()
    shutil.rmtree(root)


def frames(data: bytes) -> list[tuple[int, int, int, bytes]]:
    """Kind, flags, stream, payload of each."""
    found = []
    while len(data) >= 9:
        size = int.from_bytes(data[:3], "big")
        found.append((data[3], data[4], int.from_bytes(data[5:9], "big") & 0x7FFFFFFF, data[9 : 9 + size]))
        data = data[9 + size :]
    return found


def never_asked(world: World) -> bool:
    return not any(b"/bad" in head or b"smuggled" in head for head in world.heads)


@pytest.mark.parametrize("case", ENDS)
def test_the_connection_ends_with_an_error(case: str, world: World) -> None:
    data, codes = ENDS[case]
    found = frames(world.talk(HELLO + data))
    goaways = [int.from_bytes(payload[4:8], "big") for kind, _, _, payload in found if kind == GOAWAY]
    assert len(goaways) == 1
    assert goaways[0] in codes
    if case != "rapid reset":  # whose first requests are none the worse
        assert never_asked(world)


@pytest.mark.parametrize("case", RESETS)
def test_one_stream_ends_with_an_error_and_the_connection_goes_on(case: str, world: World) -> None:
    data, codes = RESETS[case]
    pong = frame(PING, ACK, 0, b"allgood!")
    found = frames(world.talk(HELLO + data + frame(PING, 0, 0, b"allgood!"), pong))
    assert [kind for kind, _, _, _ in found if kind == GOAWAY] == []
    resets = [int.from_bytes(payload, "big") for kind, _, _, payload in found if kind == RST]
    assert set(resets) == codes
    assert never_asked(world)


@pytest.mark.parametrize("case", FINE)
def test_what_is_only_odd_is_served(case: str, world: World) -> None:
    found = frames(world.talk(HELLO + FINE[case] + good(101), frame(DATA, END, 101, b"ok")))
    assert not [kind for kind, _, _, _ in found if kind in (GOAWAY, RST)]
    assert (DATA, END, 101, b"ok") in found


@pytest.mark.parametrize(
    "first",
    [frame(PING, 0, 0, bytes(8)), frame(SETTINGS, ACK, 0), bad(), b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"],
)
def test_a_connection_that_does_not_begin_with_settings_ends(first: bytes, world: World) -> None:
    found = frames(world.talk(PREFACE + first))
    assert GOAWAY in [kind for kind, _, _, _ in found]
    assert never_asked(world)


@pytest.mark.parametrize(
    "preface",
    [
        b"PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\r",
        b"PRI / HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"PRI * HTTP/2.0\r\nHost: a\r\n\r\nSM\r\n\r\n",
        b"PRI * HTTP/1.1\r\nHost: a\r\n\r\nSM\r\n\r\n",
        b"PRJ * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    ],
)
def test_what_is_not_quite_the_preface_is_refused_as_http1(preface: bytes, world: World) -> None:
    received = world.talk(preface + frame(SETTINGS, 0, 0) + bad())
    assert received.startswith((b"HTTP/1.1 4", b"HTTP/1.1 5"))
    assert b"x-sidecar-error" in received
    assert never_asked(world)


def test_after_all_of_this_a_request_is_served(world: World) -> None:
    assert b"ok" in world.talk(HELLO + good(), frame(DATA, END, 1, b"ok"))
