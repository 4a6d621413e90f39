"""The listeners of one process: adopted from a predecessor, or bound here.

Knows nothing of where adopted ones come from.
"""

from __future__ import annotations

import errno
import socket
from collections.abc import Mapping, Sequence

from sidecar.acceptor import Acceptor
from sidecar.address import Address, bind
from sidecar.errors import LocalHandoverError
from sidecar.listener import Listener
from sidecar.proxy.service import Service


class Listeners:
    """One acceptor for each configured address, as far as it is there."""

    def __init__(self, listeners: Sequence[Listener], service: Service) -> None:
        self._listeners = {listener.address: listener for listener in listeners}
        self._service = service
        self._acceptors: dict[Address, Acceptor] = {}

    def adopt(self, received: Mapping[Address, socket.socket]) -> None:
        """Takes those that are configured here and closes the rest."""
        for address, sock in received.items():
            present = self._acceptors.get(address)
            if present is not None and present.sock is sock:
                continue
            listener = self._listeners.get(address)
            if listener is None:
                sock.close()
                continue
            if present is not None:
                present.close()
            self._acceptors[address] = Acceptor(listener, sock, self._service)

    def bind_missing(self) -> None:
        """Binds what was not adopted: all or none of it.

        LocalHandoverError says which address cannot be had.
        """
        bound: dict[Address, socket.socket] = {}
        for address in self._listeners:
            if address in self._acceptors:
                continue
            try:
                bound[address] = bind(address)
            except (OSError, LocalHandoverError) as error:
                for sock in bound.values():
                    sock.close()
                raise _explain(address, error) from error
        self.adopt(bound)

    def offered(self) -> list[tuple[Address, int]]:
        """Addresses and descriptors, to be sent; they stay this process's."""
        return [(address, acceptor.sock.fileno()) for address, acceptor in self._acceptors.items()]

    def start(self) -> None:
        """Accepts on all."""
        for acceptor in self._acceptors.values():
            acceptor.start()

    def stop(self) -> None:
        """Accepts on none; the sockets stay open."""
        for acceptor in self._acceptors.values():
            acceptor.stop()

    def close(self) -> None:
        """Gives all up."""
        for acceptor in self._acceptors.values():
            acceptor.close()
        self._acceptors.clear()


def _explain(address: Address, error: OSError | LocalHandoverError) -> LocalHandoverError:
    if isinstance(error, LocalHandoverError):
        return error
    if error.errno == errno.EADDRINUSE:
        return LocalHandoverError(
            f"{address} is in use and nobody hands it over; is it held by another user or program?"
        )
    return LocalHandoverError(f"{address} cannot be listened on: {error.strerror}")
