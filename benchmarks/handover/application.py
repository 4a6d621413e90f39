"""The application behind the sidecar, as a process: answers at once and counts what it executes.

`GET /executions` gives the ledger. Any other request is answered with its id and the hash of its body; an
upgrade is answered with 101, and from then on bytes come back as they went in, as they do on a second port.
Knows nothing of sidecars.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
from typing import cast

import httptools
import uvloop

from benchmarks.handover.ledger import Executions
from benchmarks.handover.worker import say, told_to_stop

HASH_OF_NOTHING = hashlib.sha256(b"").hexdigest().encode()


class Echo(asyncio.Protocol):
    """Gives back what comes; reads no faster than it is read."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        self._transport.write(data)

    def pause_writing(self) -> None:
        self._transport.pause_reading()

    def resume_writing(self) -> None:
        self._transport.resume_reading()


class Http(asyncio.Protocol):
    """One HTTP/1.1 connection."""

    _transport: asyncio.Transport

    def __init__(self, executions: Executions) -> None:
        self._executions = executions
        self._parser = httptools.HttpRequestParser(self)
        self._answers: list[bytes] = []

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            self._upgrade(data[upgrade.args[0] :])
            return
        except httptools.HttpParserError:
            self._transport.abort()
            return
        if self._answers:
            self._transport.write(b"".join(self._answers))
            self._answers.clear()

    def on_message_begin(self) -> None:
        self._id, self._url = b"", b""
        self._hash = None

    def on_url(self, url: bytes) -> None:
        self._url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        if name.lower() == b"x-request-id":
            self._id = value

    def on_body(self, body: bytes) -> None:
        if self._hash is None:
            self._hash = hashlib.sha256()
        self._hash.update(body)

    def on_message_complete(self) -> None:
        if self._parser.should_upgrade():
            return
        if self._url == b"/executions":
            body = json.dumps(self._executions.document()).encode()
        else:
            self._executions.record(self._id.decode())
            digest = HASH_OF_NOTHING if self._hash is None else self._hash.hexdigest().encode()
            body = self._id + b" " + digest
        self._answers.append(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body))

    def _upgrade(self, early: bytes) -> None:
        self._executions.record(self._id.decode())
        echo = Echo()
        echo.connection_made(self._transport)
        self._transport.set_protocol(echo)
        self._transport.write(
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n" + early
        )

    _hash: hashlib._Hash | None = None


async def main() -> None:
    """Serves until it is told to stop."""
    loop = asyncio.get_running_loop()
    executions = Executions()
    http = await loop.create_server(lambda: Http(executions), "127.0.0.1", 0, backlog=4096)
    echo = await loop.create_server(Echo, "127.0.0.1", 0, backlog=4096)
    ports = [server.sockets[0].getsockname()[1] for server in (http, echo)]
    say("ready", port=ports[0], echo_port=ports[1])
    await told_to_stop()


if __name__ == "__main__":
    uvloop.run(main())
