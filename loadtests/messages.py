"""A WebSocket that lives as long as the run: messages go out several at once, answers come in their order.

Any end of it counts: under a message it is a failure, in between it is a closed connection.
Knows nothing of schedules and ledgers.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence

import wsproto
from wsproto import events
from wsproto.utilities import LocalProtocolError, RemoteProtocolError

from loadtests.client import OK, Address, Answer, Conversation, Reply, Request, RequestFailed, never

PATH = "/ws"


class WebSocket(Conversation[Request]):
    """One WebSocket. Its handshake is part of the first message."""

    def __init__(self, address: Address, deadline: float, stopping: Callable[[], bool] = never) -> None:
        """Shakes hands too; RequestFailed `status` when the server declines."""
        super().__init__(address, deadline, stopping)
        self._websocket = wsproto.WSConnection(wsproto.ConnectionType.CLIENT)
        self._messages: deque[bytes] = deque()  # whole, and not yet given to who asked
        self._parts: list[bytes] = []
        self._open = self._closed = False
        try:
            self._send(
                self._websocket.send(events.Request(host=address.authority.decode(), target=PATH)), deadline
            )
            while not self._open:
                self._read(deadline)
        except RequestFailed:
            self.close()
            raise

    def silent_until(self, when: float) -> bool:
        """See Conversation. Pings are answered."""
        while not self._closed and (data := self._overheard(when)) is not None:
            if not data:
                return False
            self._take(data)
            if self._messages:
                raise RequestFailed("protocol", "a message that nobody asked for")
        return not self._closed

    def ask(self, requests: Sequence[Request], deadline: float) -> Iterator[Reply]:
        """See Conversation."""
        messages = [self._websocket.send(events.BytesMessage(data=request.data)) for request in requests]
        self._send(b"".join(messages), deadline)
        for number in range(len(requests)):
            while not self._messages:
                self._read(deadline)
            answer = Answer(OK, {}, self._messages.popleft())
            if self._messages and number == len(requests) - 1:
                raise RequestFailed("protocol", "a message that nobody asked for")
            yield number, answer

    def _read(self, deadline: float) -> None:
        if self._closed:
            raise RequestFailed("eof", "the server closed the WebSocket")
        data = self._receive(deadline)
        if not data:
            raise RequestFailed("eof", self._progress())
        self._take(data)

    def _take(self, data: bytes) -> None:
        """Bytes from the server."""
        try:
            self._websocket.receive_data(data)
            for event in self._websocket.events():
                self._happened(event)
        except (RemoteProtocolError, LocalProtocolError) as error:
            raise RequestFailed("protocol", f"not a WebSocket: {error}") from error

    def _happened(self, event: events.Event) -> None:
        if isinstance(event, events.TextMessage | events.BytesMessage):
            data = event.data
            self._parts.append(data.encode() if isinstance(data, str) else bytes(data))
            if event.message_finished:
                self._messages.append(b"".join(self._parts))
                self._parts.clear()
        elif isinstance(event, events.Ping):
            self._mention(self._websocket.send(event.response()))
        elif isinstance(event, events.AcceptConnection):
            self._open = True
        elif isinstance(event, events.RejectConnection):
            raise RequestFailed("status", f"status {event.status_code}: no WebSocket", dict(event.headers))
        elif isinstance(event, events.CloseConnection):
            self._closed = True

    def _progress(self) -> str:
        return "no whole answer" if self._parts else "no answer"
