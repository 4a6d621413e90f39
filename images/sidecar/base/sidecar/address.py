"""Addresses to listen on and to connect to: IPv4, IPv6 and unix sockets, TCP or stream.

Knows nothing of HTTP.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import stat
from typing import NamedTuple

from sidecar.errors import ConfigError, LocalHandoverError, PeerHandoverError

# Longer than any burst between two turns of a loop; the kernel cuts it to net.core.somaxconn.
BACKLOG = 4096
_FAMILIES = {"inet": socket.AF_INET, "inet6": socket.AF_INET6, "unix": socket.AF_UNIX}


class Address(NamedTuple):
    """One address: `family` is inet, inet6 or unix; `host` is a literal address or a unix socket's path."""

    family: str
    host: str
    port: int = 0

    def __str__(self) -> str:
        if self.family == "unix":
            return f"unix:{self.host}"
        return f"[{self.host}]:{self.port}" if self.family == "inet6" else f"{self.host}:{self.port}"

    @property
    def number(self) -> int:
        """The family as the kernel numbers it."""
        return _FAMILIES[self.family]

    @property
    def name(self) -> tuple[str, int] | str:
        """The address as the socket module takes it."""
        return self.host if self.family == "unix" else (self.host, self.port)


def parse(text: str, variable: str) -> Address:
    """`127.0.0.1:80`, `[::1]:80`, `localhost:80` or `unix:/path`; ConfigError names the variable."""
    if text.startswith("unix:"):
        path = text[5:]
        if not path.startswith("/") or len(os.fsencode(path)) > 107:
            raise ConfigError(f"{variable}: {text!r} needs an absolute path of at most 107 bytes after unix:")
        return Address("unix", path)
    host, colon, port = text.rpartition(":")
    if not (colon and port.isascii() and port.isdigit() and 0 < int(port) < 65536):
        raise ConfigError(f"{variable}: {text!r} lacks a port from 1 to 65535; give HOST:PORT or unix:/PATH")
    if host == "localhost":
        host = "127.0.0.1"
    bracketed = host.startswith("[") and host.endswith("]")
    family = "inet6" if bracketed else "inet"
    try:
        packed = socket.inet_pton(_FAMILIES[family], host[1:-1] if bracketed else host)
    except (OSError, ValueError):
        raise ConfigError(
            f"{variable}: {text!r} is no address; give IPv4, IPv6 in brackets, or unix:/PATH"
        ) from None
    return Address(family, socket.inet_ntop(_FAMILIES[family], packed), int(port))


def bind(address: Address) -> socket.socket:
    """A listening, non-blocking socket; OSError as the kernel gives it. A dead unix path is replaced."""
    sock = socket.socket(address.number, socket.SOCK_STREAM)
    try:
        sock.setblocking(False)
        if address.family == "unix":
            _remove_dead(address.host)
        else:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            # Accepted sockets inherit it: clients that vanish are noticed in the end.
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        if address.family == "inet6":
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        sock.bind(address.name)
        sock.listen(BACKLOG)
    except BaseException:
        sock.close()
        raise
    return sock


async def connect(address: Address, within_s: float) -> socket.socket:
    """A connected, non-blocking socket; OSError or TimeoutError."""
    sock = socket.socket(address.number, socket.SOCK_STREAM)
    try:
        sock.setblocking(False)
        # Peers that vanish are noticed in the end.
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        async with asyncio.timeout(within_s):
            await asyncio.get_running_loop().sock_connect(sock, address.name)
    except BaseException:
        sock.close()
        raise
    return sock


def check_listener(sock: socket.socket, address: Address) -> None:
    """Refuses a received socket that is not the listener it was said to be (PeerHandoverError)."""
    sock.setblocking(False)  # the flag is shared with the sender, and a blocking accept would stop both
    domain = sock.getsockopt(socket.SOL_SOCKET, socket.SO_DOMAIN)
    # Go listens on all addresses with one IPv6 socket that takes IPv4 as well: that is 0.0.0.0 and more.
    if address.host == "0.0.0.0" and domain == socket.AF_INET6 and not _only_ipv6(sock):
        address = Address("inet6", "::", address.port)
    seen = {
        "family": (domain, address.number),
        "kind": (sock.getsockopt(socket.SOL_SOCKET, socket.SO_TYPE), socket.SOCK_STREAM),
        "listening": (sock.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN), 1),
    }
    for what, (found, wanted) in seen.items():
        if found != wanted:
            raise PeerHandoverError(
                f"the socket offered for {address} has {what} {int(found)}, not {int(wanted)}"
            )
    name = sock.getsockname()
    bound = Address(address.family, name) if address.family == "unix" else Address(address.family, *name[:2])
    if bound != address:
        raise PeerHandoverError(f"the socket offered for {address} listens on {bound}")


def peer_host(host: str) -> str:
    """The client's address as people write it: an IPv4 client of an IPv6 socket is an IPv4 client."""
    return host.removeprefix("::ffff:") if "." in host else host


def _only_ipv6(sock: socket.socket) -> bool:
    return bool(sock.getsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY))


def _remove_dead(path: str) -> None:
    with contextlib.suppress(FileNotFoundError):
        if not stat.S_ISSOCK(os.lstat(path).st_mode):
            raise LocalHandoverError(f"{path} exists and is no socket: remove it or listen elsewhere")
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
            probe.settimeout(1)
            try:
                probe.connect(path)
            except ConnectionRefusedError:
                os.unlink(path)
