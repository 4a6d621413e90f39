"""Which addresses an outbound listener connects to: an allow-list. Knows nothing of names or connections."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from ipaddress import IPv6Address, ip_address

from sidecar.address import Address
from sidecar.config import Network

_AUTHORITY = re.compile(r"(?:\[([0-9A-Fa-f:.]+)\]|([^:\[\]]+))(?::([0-9]{0,5}))?")


def split(authority: bytes, default: int = 0) -> tuple[str, int]:
    """Host and port of a request's authority; ValueError. Without a default the port has to be there."""
    match = _AUTHORITY.fullmatch(authority.decode("ascii"))
    port = int((match and match[3]) or default)
    if match is None or not 0 < port < 65536:
        raise ValueError(authority)
    return match[1] or match[2], port


def address_of(host: str, port: int) -> Address:
    """The address of a literal host. An IPv4 address in IPv6 clothes is what it is."""
    ip = ip_address(host)
    if isinstance(ip, IPv6Address):
        if ip.ipv4_mapped is None:
            return Address("inet6", str(ip), port)
        ip = ip.ipv4_mapped
    return Address("inet", str(ip), port)


class AllowList:
    """The networks that may be connected to, without this process's own listeners: that would be a loop."""

    def __init__(
        self, networks: Iterable[Network], listeners: Iterable[Address], is_here: Callable[[str], bool]
    ) -> None:
        """`is_here` says whether an IP address is one of this network namespace."""
        self._networks = tuple(networks)
        self._listeners = [listener for listener in listeners if listener.family != "unix"]
        self._is_here = is_here

    def permits(self, address: Address) -> bool:
        """Whether a connection may be made."""
        ip = ip_address(address.host)
        if ip.is_unspecified:  # the kernel takes it for loopback
            return False
        # Cloud metadata and other listeners of the pod are not meant by 0.0.0.0/0: they have to be named.
        special = ip.is_link_local or ip.is_loopback
        named = (one for one in self._networks if not special or one.is_link_local or one.is_loopback)
        return any(ip in network for network in named) and not self._listened_on(address)

    def _listened_on(self, address: Address) -> bool:
        return any(
            listener.port == address.port
            and (
                listener.host == address.host
                or (ip_address(listener.host).is_unspecified and self._is_here(address.host))
            )
            for listener in self._listeners
        )
