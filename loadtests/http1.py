"""HTTP/1.1 on one connection: requests one by one or several at once, answers in their order.

Also what lasts by design: a stream that outlives an upgrade, an upload whose body comes in pieces.
Knows nothing of schedules and ledgers.
"""

from __future__ import annotations

import socket
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from time import monotonic
from typing import Protocol, TypeVar

import httptools

from loadtests.client import Address, Answer, Conversation, Reply, Request, RequestFailed, never

SWITCHING_PROTOCOLS = 101
EVENT_TIMEOUT_S = 5.0  # events come every tenth of a second: a stream that is silent for so long has stalled

HttpRequestT = TypeVar("HttpRequestT", bound=Request)


class Http1(Conversation[HttpRequestT]):
    """One HTTP/1.1 connection."""

    def __init__(self, address: Address, deadline: float, stopping: Callable[[], bool] = never) -> None:
        super().__init__(address, deadline, stopping)
        self._parser = httptools.HttpResponseParser(self)
        self._awaited = 0
        self._answers: deque[Answer] = deque()  # whole, and not yet given to who asked
        self._broken: RequestFailed | None = None
        self._expect_answer()

    def silent_until(self, when: float) -> bool:
        """See Conversation. The answer 408 is not unasked: with it a server gives up an idle connection."""
        unasked = self._overheard(when, socket.MSG_PEEK)
        if unasked and not unasked.startswith(b"HTTP/1.1 408"):
            raise RequestFailed("protocol", "bytes on the idle connection that nobody asked for")
        return unasked is None

    def ask(self, requests: Sequence[HttpRequestT], deadline: float) -> Iterator[Reply]:
        """See Conversation."""
        self._awaited = len(requests)
        self._expect_answer()
        self._write(requests, deadline)
        for number in range(len(requests)):
            yield number, self._answer(deadline, last=number == len(requests) - 1)

    def close(self) -> None:
        """See Conversation."""
        super().close()
        del self._parser  # it and this object refer to each other

    # -- what kinds of use differ in -----------------------------------------------------------------------

    def _write(self, requests: Sequence[HttpRequestT], deadline: float) -> None:
        self._send(b"".join(request.data for request in requests), deadline)

    def _answer(self, deadline: float, last: bool) -> Answer:
        """The next answer; nothing may follow the last one."""
        while not self._answers:
            self._read(deadline)
        if last and self._broken:
            raise self._broken
        return self._answers.popleft()

    def _read(self, deadline: float) -> None:
        """Reads on: the next answer is not whole yet."""
        if self._broken:
            raise self._broken
        if self.told:
            raise RequestFailed("eof", "the server said that it closes, before it had answered all")
        data = self._receive(deadline)
        if not data:
            self._at_end()
            return
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
            self._break(f"not HTTP/1.1: {error}")

    # -- called by the parser ------------------------------------------------------------------------------

    def on_message_begin(self) -> None:
        """An answer begins, to a request if one is left without."""
        if not self._awaited:
            self._break("bytes after the end of the answer")

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
        if self._status >= 200 or self._status == SWITCHING_PROTOCOLS:
            self._complete(last=not self._parser.should_keep_alive())
        self._expect_answer()

    # ------------------------------------------------------------------------------------------------------

    def _expect_answer(self) -> None:
        self._status = 0
        self._headers: dict[bytes, bytes] = {}
        self._body: list[bytes] = []

    def _complete(self, last: bool) -> None:
        self._awaited -= 1
        self._answers.append(Answer(self._status, self._headers, b"".join(self._body)))
        if last:
            self.told = "close"

    def _break(self, detail: str) -> None:
        self._broken = self._broken or RequestFailed("protocol", detail, self._so_far())

    def _at_end(self) -> None:
        """The server closed: right only for an answer whose length is told by that."""
        framed = b"content-length" in self._headers or b"transfer-encoding" in self._headers
        if not self._status or framed:
            raise RequestFailed("eof", self._progress(), self._so_far())
        self._complete(last=True)

    def _progress(self) -> str:
        return "no whole answer" if self._headers else "no answer"

    def _so_far(self) -> Mapping[bytes, bytes]:
        return self._headers


class LongStream(Http1[Request]):
    """A stream of events that outlives an upgrade. When the run is over its client leaves it: it was right so far."""

    def _answer(self, deadline: float, last: bool) -> Answer:
        while not self._answers:
            if self._status and self._stopping():
                return Answer(self._status, self._headers, b"".join(self._body), partial=True)
            self._read(min(deadline, monotonic() + EVENT_TIMEOUT_S))
        return super()._answer(deadline, last)


class PacedRequest(Request, Protocol):
    """A request that is sent in pieces."""

    @property
    def pieces(self) -> Sequence[Piece]:
        """All that is sent, in order."""


@dataclass(frozen=True)
class Piece:
    """Bytes, and when they are sent: seconds after the start."""

    at_s: float
    data: bytes


class Upload(Http1[PacedRequest]):
    """A request whose body comes in pieces. An answer or an end before the last piece is not waited out."""

    def _write(self, requests: Sequence[PacedRequest], deadline: float) -> None:
        begin = monotonic()
        for request in requests:
            for piece in request.pieces:
                if self._overheard(begin + piece.at_s, socket.MSG_PEEK) is not None:
                    return
                self._send(piece.data, deadline)
