"""A server that plays a script, one function per connection."""

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress

import pytest

from loadtests.client import Address

Act = Callable[[socket.socket], object]
Serve = Callable[..., Address]

PATIENCE_S = 10.0  # for what should happen at once


@pytest.fixture
def serve() -> Iterator[Serve]:
    """`serve(act, …)` starts a server that plays one act per connection, then accepts no more."""
    started: list[tuple[socket.socket, threading.Thread]] = []

    def start(*acts: Act) -> Address:
        listener = socket.create_server(("127.0.0.1", 0))
        listener.settimeout(PATIENCE_S)

        def play() -> None:
            for act in acts:
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                with connection:
                    connection.settimeout(PATIENCE_S)
                    act(connection)
            listener.close()

        thread = threading.Thread(target=play)
        thread.start()
        started.append((listener, thread))
        return Address("pod-1", "127.0.0.1", listener.getsockname()[1])

    yield start
    for listener, thread in started:
        with suppress(OSError):  # its thread may close it at any moment
            listener.shutdown(socket.SHUT_RDWR)
        thread.join(PATIENCE_S)
        listener.close()
