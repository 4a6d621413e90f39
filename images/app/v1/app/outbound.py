"""A strict client of the sidecar's outbound listener, which is an HTTP proxy: absolute form and CONNECT.

Connections are kept, as applications do, and looked at before use. A request is sent once, whatever becomes of it.
Knows nothing of what is asked for.
"""

from __future__ import annotations

import asyncio
import os
import re
import socket
from collections.abc import Mapping
from dataclasses import dataclass

import httptools

WITHIN_S = 8.0  # less than any client of ours waits, so that it learns why
RECEIVE_BYTES = 65536
AUTHORITY = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[0-9A-Za-z.-]+):[0-9]{1,5}")
OK = "200"


class OutboundError(Exception):
    """The request could not be passed on; says where it failed, in words that are the same for equal causes."""


@dataclass(frozen=True)
class Answer:
    """A whole answer; header names are in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class Outbound:
    """The proxy at one address, and the connections to it that are idle, by destination."""

    def __init__(self, host: str, port: int) -> None:
        self._host, self._port = host, port
        self._idle: dict[str, list[_Connection]] = {}

    async def post(self, to: str, path: str, headers: Mapping[str, str], body: bytes) -> Answer:
        """POST to `http://to/path`, once; OutboundError."""
        lines = [f"POST http://{to}{path} HTTP/1.1", f"Host: {to}", f"Content-Length: {len(body)}"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        request = "\r\n".join([*lines, "", ""]).encode() + body
        try:
            async with asyncio.timeout(WITHIN_S):
                return await self._exchange(to, request)
        except TimeoutError as error:
            raise OutboundError("no answer from the outbound listener in time") from error
        except OSError as error:
            raise OutboundError(f"the outbound listener: {_words(error)}") from error

    async def connect(self, to: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """A tunnel to `to`, by CONNECT; OutboundError."""
        try:
            async with asyncio.timeout(WITHIN_S):
                reader, writer = await asyncio.open_connection(self._host, self._port)
                try:
                    writer.write(f"CONNECT {to} HTTP/1.1\r\nHost: {to}\r\n\r\n".encode())
                    head = await reader.readuntil(b"\r\n\r\n")
                except BaseException:
                    writer.close()
                    raise
        except TimeoutError as error:
            raise OutboundError("no answer to CONNECT in time") from error
        except OSError as error:
            raise OutboundError(f"the outbound listener: {_words(error)}") from error
        except (asyncio.IncompleteReadError, asyncio.LimitOverrunError) as error:
            raise OutboundError("no whole answer to CONNECT") from error
        status = head.decode("latin-1").split(" ", 2)[1]
        if status != OK:
            writer.close()
            raise OutboundError(f"CONNECT was answered {status}")
        return reader, writer

    def close(self) -> None:
        """Closes what is idle."""
        for connections in self._idle.values():
            for connection in connections:
                connection.close()
        self._idle.clear()

    async def _exchange(self, to: str, request: bytes) -> Answer:
        connection = self._take(to) or await _Connection.open(self._host, self._port)
        try:
            answer = await connection.ask(request)
        except BaseException:
            connection.close()
            raise
        if connection.told:
            connection.close()
        else:
            self._idle.setdefault(to, []).append(connection)
        return answer

    def _take(self, to: str) -> _Connection | None:
        """An idle connection that is still open."""
        connections = self._idle.get(to, [])
        while connections:
            connection = connections.pop()
            if connection.is_open():
                return connection
            connection.close()
        return None


class _Connection:
    """One connection to the proxy; one request at a time. A plain socket, since its end has to be seen before use."""

    def __init__(self, sock: socket.socket) -> None:
        self._socket = sock
        self._parser = httptools.HttpResponseParser(self)
        self.told = False
        """The proxy closes it."""

    @classmethod
    async def open(cls, host: str, port: int) -> _Connection:
        """OSError."""
        sock = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
        sock.setblocking(False)
        try:
            await asyncio.get_running_loop().sock_connect(sock, (host, port))
        except BaseException:
            sock.close()
            raise
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return cls(sock)

    async def ask(self, request: bytes) -> Answer:
        """OSError, OutboundError."""
        self._headers: dict[str, str] = {}
        self._body: list[bytes] = []
        self._whole = False
        loop = asyncio.get_running_loop()
        await loop.sock_sendall(self._socket, request)
        while not self._whole:
            data = await loop.sock_recv(self._socket, RECEIVE_BYTES)
            if not data:
                raise OutboundError("the outbound listener closed the connection under a request")
            try:
                self._parser.feed_data(data)
            except (httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
                raise OutboundError(f"the outbound listener does not speak HTTP/1.1: {error}") from error
        return Answer(self._status, self._headers, b"".join(self._body))

    def is_open(self) -> bool:
        """Whether the proxy has left it open and silent."""
        try:
            self._socket.recv(1, socket.MSG_PEEK)
        except BlockingIOError:
            return True
        except OSError:
            return False
        return False

    def close(self) -> None:
        """From this side."""
        self._socket.close()
        del self._parser  # it and this object refer to each other

    # -- called by the parser ------------------------------------------------------------------------------

    def on_header(self, name: bytes, value: bytes) -> None:
        """A header, or a trailer."""
        self._headers[name.decode("latin-1").lower()] = value.decode("latin-1")

    def on_body(self, body: bytes) -> None:
        """A part of the body, without its framing."""
        self._body.append(body)

    def on_message_complete(self) -> None:
        """The answer is complete, unless it was an interim one (1xx)."""
        self._status = self._parser.get_status_code()
        self._whole = self._status >= 200
        self.told = self._whole and not self._parser.should_keep_alive()
        if not self._whole:
            self._headers = {}


def _words(error: OSError) -> str:
    return os.strerror(error.errno) if error.errno else type(error).__name__
