"""The listeners of one process: adopted from a predecessor, or bound here.

Knows nothing of where adopted ones come from.
"""

from __future__ import annotations

import errno
import socket
from collections.abc import Mapping, Sequence

from sidecar.acceptor import Acceptor, Host
from sidecar.address import Address, bind
from sidecar.errors import LocalHandoverError
from sidecar.listener import Kind, Listener


class Listeners:
    """One acceptor for each configured address, as far as it is there."""

    def __init__(self, listeners: Sequence[Listener], service: Host, admin: Host) -> None:
        self._listeners = {listener.address: listener for listener in listeners}
        self._by_name = {str(listener): listener for listener in listeners}
        self._service, self._admin = service, admin
        self._gone: list[Acceptor] = []  # the successor does not listen there
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
            host = self._admin if listener.kind is Kind.ADMIN else self._service
            self._acceptors[address] = Acceptor(listener, sock, host)

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

    def find(self, address: str) -> Listener | None:
        """The listener of this process with an address, as text."""
        return self._by_name.get(address)

    def offered(self) -> list[tuple[Listener, int]]:
        """What is listened on, and the descriptors, to be sent; they stay this process's."""
        return [(acceptor.listener, acceptor.sock.fileno()) for acceptor in self._acceptors.values()]

    def kept(self, addresses: frozenset[str]) -> list[Listener]:
        """The successor keeps these addresses; returns the listeners that are gone with this process.

        They are not stopped with the others, since nobody else accepts there, but closed by `close_gone`.
        """
        self._gone = [one for one in self._acceptors.values() if str(one.listener) not in addresses]
        return [acceptor.listener for acceptor in self._gone]

    def close_gone(self) -> None:
        """Nobody listens there any more."""
        for acceptor in self._gone:
            acceptor.close()
            del self._acceptors[acceptor.listener.address]
        self._gone = []

    def start(self) -> None:
        """Accepts on all."""
        for acceptor in self._acceptors.values():
            acceptor.start()

    def stop(self) -> None:
        """Accepts on none that the successor keeps; the sockets stay open."""
        for acceptor in self._acceptors.values():
            if acceptor not in self._gone:
                acceptor.stop()

    def close(self) -> None:
        """Gives all up."""
        for acceptor in self._acceptors.values():
            acceptor.close()
        self._acceptors.clear()
        self._gone = []


def _explain(address: Address, error: OSError | LocalHandoverError) -> LocalHandoverError:
    if isinstance(error, LocalHandoverError):
        return error
    if error.errno == errno.EADDRINUSE:
        return LocalHandoverError(
            f"{address} is in use and nobody hands it over; is it held by another user or program?"
        )
    return LocalHandoverError(f"{address} cannot be listened on: {error.strerror}")
