"""A strict HTTP/1.1 client on one socket: it never retries and never reconnects.

One `Connection` is one TCP connection. It says how it ended; whoever holds it opens the next one, and that is
an event. Knows nothing of Locust, schedules or ledgers. Under Locust the socket module is gevent's.
"""

from __future__ import annotations

import socket
from collections.abc import Mapping
from dataclasses import dataclass
from time import monotonic

import httptools

CONNECT_TIMEOUT_S = 5.0
ANSWER_TIMEOUT_S = (
    10.0  # from the start of the request, the connection's opening included, to the answer's last byte
)
RECEIVE_BYTES = 65536
SWITCHING_PROTOCOLS = 101


class RequestFailed(Exception):
    """A request did not end well. `kind` is one of the ledger's; `detail` is the same for equal causes."""

    def __init__(self, kind: str, detail: str, served_by: str | None = None) -> None:
        super().__init__(f"{kind}: {detail}")
        self.kind, self.detail, self.served_by = kind, detail, served_by


@dataclass(frozen=True)
class Address:
    """Where a pod's sidecar listens."""

    pod: str
    host: str
    port: int


@dataclass(frozen=True)
class Answer:
    """A whole answer; header names are in lower case."""

    status: int
    headers: Mapping[bytes, bytes]
    body: bytes
    last: bool
    """The server said that it closes the connection after this answer."""


class Connection:
    """One TCP connection; a sequential user of it sends a request, reads the answer, waits, and so on."""

    def __init__(self, address: Address, deadline: float) -> None:
        """Opens it, until `deadline` (monotonic) at the latest; RequestFailed `refused`."""
        timeout = min(CONNECT_TIMEOUT_S, deadline - monotonic())
        try:
            self._socket = socket.create_connection((address.host, address.port), timeout=max(timeout, 0.001))
        except TimeoutError as error:
            raise RequestFailed("refused", f"no connection within {CONNECT_TIMEOUT_S:g} s") from error
        except OSError as error:
            raise RequestFailed("refused", f"no connection: {error.strerror or error}") from error
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._parser = httptools.HttpResponseParser(self)
        self._expect_answer()

    def silent_until(self, when: float) -> bool:
        """Waits for `when` (monotonic) and says whether the server left the connection open until then.

        Returns at once when the server closes it. RequestFailed `protocol` when it sends what was not asked
        for; the answer 408 is none of that: with it a server says that it gives up an idle connection.
        """
        self._socket.settimeout(max(when - monotonic(), 0.0))
        try:
            unasked = self._socket.recv(64, socket.MSG_PEEK)
        except (TimeoutError, BlockingIOError):
            return True
        except OSError:
            return False
        if unasked and not unasked.startswith(b"HTTP/1.1 408"):
            raise RequestFailed("protocol", "bytes on the idle connection that nobody asked for")
        return False

    def ask(self, request: bytes, deadline: float) -> Answer:
        """Sends a request and reads the whole answer until `deadline` (monotonic); RequestFailed."""
        self._expect_answer()
        try:
            self._within(deadline)
            self._socket.sendall(request)
            while not self._complete:
                self._within(deadline)
                data = self._socket.recv(RECEIVE_BYTES)
                if not data:
                    self._at_end()
                    break
                self._parser.feed_data(data)
        except TimeoutError as error:
            raise RequestFailed("timeout", f"{self._progress()} within {ANSWER_TIMEOUT_S:g} s") from error
        except OSError as error:
            raise RequestFailed("reset", f"{self._progress()}: {error.strerror or error}") from error
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
            raise RequestFailed("protocol", f"not HTTP/1.1: {error}") from error
        if self._surplus:
            raise RequestFailed("protocol", "bytes after the end of the answer")
        return Answer(self._status, self._headers, b"".join(self._body), self._last)

    @property
    def headers(self) -> Mapping[bytes, bytes]:
        """The headers of the answer as far as they have come; names are in lower case."""
        return self._headers

    def close(self) -> None:
        """Closes it from this side."""
        self._socket.close()
        del self._parser  # it and this object refer to each other

    # -- called by the parser ------------------------------------------------------------------------------

    def on_message_begin(self) -> None:
        """An answer begins; a second one to the same request is surplus."""
        self._surplus = self._complete

    def on_header(self, name: bytes, value: bytes) -> None:
        """A header, or a trailer."""
        self._headers[name.lower()] = value

    def on_headers_complete(self) -> None:
        """The head is there."""
        self._status = self._parser.get_status_code()

    def on_body(self, body: bytes) -> None:
        """A part of the body, without its framing."""
        self._body.append(body)

    def on_message_complete(self) -> None:
        """The answer is complete, unless it was an interim one (1xx)."""
        if self._status < 200 and self._status != SWITCHING_PROTOCOLS:
            self._expect_answer()
            return
        self._complete = True
        self._last = not self._parser.should_keep_alive()

    # ------------------------------------------------------------------------------------------------------

    def _expect_answer(self) -> None:
        self._status = 0
        self._headers: dict[bytes, bytes] = {}
        self._body: list[bytes] = []
        self._complete = self._surplus = self._last = False

    def _within(self, deadline: float) -> None:
        left = deadline - monotonic()
        if left <= 0:
            raise TimeoutError
        self._socket.settimeout(left)

    def _at_end(self) -> None:
        """The server closed: right only for an answer whose length is told by that."""
        framed = b"content-length" in self._headers or b"transfer-encoding" in self._headers
        if not self._status or framed:
            raise RequestFailed("eof", self._progress())
        self._complete = self._last = True

    def _progress(self) -> str:
        if not self._headers:
            return "no answer"
        return "no whole answer"
