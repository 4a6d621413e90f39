"""A connection that has been upgraded to bytes both ways, joined to another one. Knows nothing of HTTP."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Any, cast

from aiohttp import web

RECEIVE_BYTES = 65536


class _Incoming:
    """Takes the place of the server's parser: what the client sends goes on."""

    def __init__(self, writer: asyncio.StreamWriter) -> None:
        self._writer = writer

    def feed_data(self, data: bytes) -> tuple[bool, bytes]:
        """Bytes from the client."""
        self._writer.write(data)
        return False, b""

    def feed_eof(self) -> None:
        """The client's connection has ended, and so does the other one."""
        self._writer.close()


async def join(
    request: web.Request, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> web.StreamResponse:
    """Answers 101 and passes bytes on until either side ends; then both do."""
    response = web.StreamResponse(status=101, headers={"Connection": "upgrade", "Upgrade": "tunnel"})
    response.force_close()
    client = request.transport
    try:
        await response.prepare(request)
        request.protocol.set_parser(cast(Any, _Incoming(writer)))
        with suppress(ConnectionError):
            while client is not None and (data := await reader.read(RECEIVE_BYTES)):
                client.write(data)
    finally:
        writer.close()
        if client is not None:
            client.close()
    return response
