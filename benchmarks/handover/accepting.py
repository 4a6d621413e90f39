"""A client that opens a connection about every millisecond, asks once, and closes; blocking, in a tight loop.

`connect` alone is answered by the kernel whether anybody accepts or not, so what is timed is connect, request
and answer together. Written to be quiet itself: no collector, no event loop.
"""

from __future__ import annotations

import gc
import select
import socket
import sys
import time
from itertools import cycle

from benchmarks.handover.http1 import bind_late, expected
from benchmarks.handover.worker import Record, say, settings

EVERY_S = 0.001
TIMEOUT_S = 10.0
# By turns: the ports of one address would run out, since the kernel keeps each for a while after its close.
SOURCES = cycle([f"127.0.1.{last}" for last in range(1, 33)])


def once(port: int, request: bytes, answer: bytes) -> str:
    """One connection; empty, or what failed."""
    with socket.socket() as sock:
        sock.settimeout(TIMEOUT_S)
        bind_late(sock, next(SOURCES))
        try:
            sock.connect(("127.0.0.1", port))
            sock.sendall(request)
            got = b""
            while data := sock.recv(4096):
                got += data
        except TimeoutError:
            return "no answer in time"
        except OSError as error:
            return str(error.strerror)
    if not got:
        return "no answer: closed"
    return "" if got.startswith(b"HTTP/1.1 200 ") and got.endswith(answer) else "wrong answer"


def main() -> None:
    """Until it is told to stop."""
    given = settings()
    record = Record()
    client = record.client("accepting.0", "accepting")
    say("ready")
    gc.collect()
    gc.freeze()
    gc.disable()
    due = time.monotonic()
    while not select.select([sys.stdin], [], [], 0)[0]:
        number = client.begin()
        name = f"{client.name}-{number}"
        request = (
            f"GET /echo HTTP/1.1\r\nHost: benchmark\r\nx-request-id: {name}\r\nConnection: close\r\n\r\n"
        ).encode()
        answer = expected(name, b"")
        began = time.monotonic()
        kind = once(given["port"], request, answer)
        ended = time.monotonic()
        if kind:
            client.fail(number, kind)
        else:
            client.answer()
            record.sample("accepting", began, ended)
        due = max(due + EVERY_S, ended)
        time.sleep(max(0.0, due - time.monotonic()))
    record.save(given["path"])
    say("done")


if __name__ == "__main__":
    main()
