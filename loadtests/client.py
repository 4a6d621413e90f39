"""A strict client's side of one TCP connection: it never retries and never reconnects.

One `Conversation` is one connection and the protocol that is spoken on it; each protocol has a module of its own.
It says how it ended; whoever holds it opens the next one, and that is an event. Knows nothing of Locust,
schedules or ledgers. Under Locust the socket module is gevent's.
"""

from __future__ import annotations

import socket
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from time import monotonic
from typing import Generic, Literal, Protocol, TypeVar

CONNECT_TIMEOUT_S = 5.0
ANSWER_TIMEOUT_S = 10.0
"""From the start of the request, the connection's opening included, to the answer's last byte; what lasts by design
has its own time on top."""
RECEIVE_BYTES = 65536
OK = 200


class RequestFailed(Exception):
    """A request did not end well. `kind` is one of the ledger's; `detail` is the same for equal causes."""

    def __init__(self, kind: str, detail: str, headers: Mapping[bytes, bytes] | None = None) -> None:
        """`headers` are those of the answer as far as it came; names are in lower case."""
        super().__init__(f"{kind}: {detail}")
        self.kind, self.detail, self.headers = kind, detail, headers or {}


@dataclass(frozen=True)
class Address:
    """Where a pod's sidecar listens."""

    pod: str
    host: str
    port: int
    beyond: Address | None = None
    """Where the application of that pod passes requests on to; None: it executes them itself."""

    @property
    def authority(self) -> bytes:
        """Host and port, as a URL has them."""
        return (
            f"[{self.host}]:{self.port}".encode() if ":" in self.host else f"{self.host}:{self.port}".encode()
        )


@dataclass(frozen=True)
class Answer:
    """An answer; header names are in lower case."""

    status: int
    headers: Mapping[bytes, bytes]
    body: bytes
    partial: bool = False
    """The client left before the end, since the run was over."""


@dataclass(frozen=True)
class Fault:
    """What is wrong with an answer: a kind of the ledger's, and a detail that is the same for equal causes."""

    kind: str
    detail: str


class Request(Protocol):
    """What is asked, which knows a right answer from a wrong one."""

    @property
    def method(self) -> str:
        """GET, POST …"""

    @property
    def data(self) -> bytes:
        """What is sent, but for the protocol's framing."""

    def fault(self, answer: Answer) -> Fault | None:
        """What is wrong with an answer; None if nothing."""


RequestT = TypeVar("RequestT", bound=Request)
Reply = tuple[int, Answer | RequestFailed]
"""Which of the requests, and its end."""


def never() -> bool:
    """Nobody wants to leave."""
    return False


class Conversation(ABC, Generic[RequestT]):
    """One connection; a sequential user of it asks, reads the answers, waits, and so on."""

    told: Literal["", "close", "goaway"] = ""
    """How the server has said that it ends the connection."""

    def __init__(self, address: Address, deadline: float, stopping: Callable[[], bool] = never) -> None:
        """Opens it, until `deadline` (monotonic) at the latest; RequestFailed `refused`.

        `stopping` says that the run is over: what lasts by design may be left early.
        """
        self._stopping = stopping
        timeout = min(CONNECT_TIMEOUT_S, deadline - monotonic())
        try:
            self._socket = socket.create_connection((address.host, address.port), timeout=max(timeout, 0.001))
        except TimeoutError as error:
            raise RequestFailed("refused", f"no connection within {CONNECT_TIMEOUT_S:g} s") from error
        except OSError as error:
            raise RequestFailed("refused", f"no connection: {error.strerror or error}") from error
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    @abstractmethod
    def silent_until(self, when: float) -> bool:
        """Waits for `when` (monotonic) and says whether the server left the connection open until then.

        Returns at once when the server ends it or says that it will. RequestFailed `protocol` when it sends what
        was not asked for.
        """

    @abstractmethod
    def ask(self, requests: Sequence[RequestT], deadline: float) -> Iterator[Reply]:
        """Sends requests at once and gives each one's end as it comes, until `deadline` (monotonic).

        RequestFailed: the connection is of no use any more, and all that have not ended have failed with it.
        """

    def close(self) -> None:
        """Closes it from this side."""
        self._socket.close()

    # -- for the protocols ---------------------------------------------------------------------------------

    def _send(self, data: bytes, deadline: float) -> None:
        """Sends all of it; RequestFailed."""
        try:
            self._socket.settimeout(_left(deadline))
            self._socket.sendall(data)
        except OSError as error:
            raise self._failure(error) from error

    def _mention(self, data: bytes) -> None:
        """Sends what the protocol asks for between requests. If that fails, the next read shows why."""
        with suppress(OSError):
            self._socket.settimeout(CONNECT_TIMEOUT_S)
            self._socket.sendall(data)

    def _receive(self, deadline: float) -> bytes:
        """What comes next, empty at the end; RequestFailed."""
        try:
            self._socket.settimeout(_left(deadline))
            return self._socket.recv(RECEIVE_BYTES)
        except OSError as error:
            raise self._failure(error) from error

    def _overheard(self, when: float, flags: int = 0) -> bytes | None:
        """What comes until `when` though nothing was asked: None if nothing does, empty at the end."""
        self._socket.settimeout(max(when - monotonic(), 0.0))
        try:
            return self._socket.recv(RECEIVE_BYTES, flags)
        except (TimeoutError, BlockingIOError):
            return None
        except OSError:
            return b""

    def _progress(self) -> str:
        """How far the answer has come, for a failure's detail."""
        return "no answer"

    def _so_far(self) -> Mapping[bytes, bytes]:
        """The headers of the answer as far as it has come."""
        return {}

    def _failure(self, error: OSError) -> RequestFailed:
        if isinstance(error, TimeoutError):
            return RequestFailed("timeout", f"{self._progress()} in time", self._so_far())
        return RequestFailed("reset", f"{self._progress()}: {error.strerror or error}", self._so_far())


def _left(deadline: float) -> float:
    left = deadline - monotonic()
    if left <= 0:
        raise TimeoutError
    return left
