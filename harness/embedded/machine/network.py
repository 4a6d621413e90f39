"""The machine's network: a bridge, and for every pod a network namespace with one interface on it.

Addresses count up and are never used again. There is no way out of the machine. Knows nothing of what runs in
a pod.
"""

from __future__ import annotations

import contextlib
import os
import socket
from typing import TYPE_CHECKING

from harness.embedded.machine import linux

if TYPE_CHECKING:
    from pyroute2 import IPRoute  # imported where it is used: it is large, and only process 1 needs it

BRIDGE = "br0"
GATEWAY = "10.244.0.1"
PREFIX_LENGTH = 16
PER_BLOCK = 254  # of 256: some programs take .0 and .255 for network and broadcast
BLOCKS = 255  # 10.244.1.x to 10.244.255.x
SETTINGS = {
    "ipv4/ip_unprivileged_port_start": "0",
    "ipv4/ip_local_port_range": "20000 65535",  # clear of the ports that sidecars and applications listen on
    "ipv4/tcp_tw_reuse": "1",  # a connection per request would soon use up the ports
    "core/somaxconn": "65535",
}


def address(number: int) -> str:
    """The address of the n-th pod, from 1; ValueError when there are no more."""
    block, rest = divmod(number - 1, PER_BLOCK)
    if block >= BLOCKS:
        raise ValueError(f"no more than {BLOCKS * PER_BLOCK} pods in the life of a machine")
    return f"10.244.{block + 1}.{rest + 1}"


def make_bridge() -> None:
    """The machine's own side; control plane and pods reach each other over it."""
    from pyroute2 import IPRoute

    _apply({**SETTINGS, "ipv4/ip_forward": "1"})  # so that what leads nowhere is refused at once, not dropped
    with IPRoute() as ip:
        ip.link("set", index=_index(ip, "lo"), state="up")
        ip.link("add", ifname=BRIDGE, kind="bridge")
        _apply({f"ipv6/conf/{BRIDGE}/disable_ipv6": "1"})
        bridge = _index(ip, BRIDGE)
        ip.addr("add", index=bridge, address=GATEWAY, prefixlen=PREFIX_LENGTH)
        ip.link("set", index=bridge, state="up")


def make_sandbox(number: int, hostname: str) -> list[int]:
    """Moves the calling process into new namespaces of a pod, connected.

    Returns descriptors of net, ipc and uts.
    """
    from pyroute2 import IPRoute

    with IPRoute() as machine:
        linux.unshare(linux.CLONE_NEWNET | linux.CLONE_NEWIPC | linux.CLONE_NEWUTS)
        spaces = [os.open(f"/proc/self/ns/{kind}", os.O_RDONLY) for kind in ("net", "ipc", "uts")]
        outer = f"veth{number}"
        machine.link("add", ifname=outer, kind="veth", peer={"ifname": "eth0", "net_ns_fd": spaces[0]})
        machine.link("set", index=_index(machine, outer), master=_index(machine, BRIDGE), state="up")
    socket.sethostname(hostname)
    _apply({**SETTINGS, "ipv6/conf/eth0/disable_ipv6": "1"})
    with IPRoute() as pod:
        pod.link("set", index=_index(pod, "lo"), state="up")
        inner = _index(pod, "eth0")
        pod.addr("add", index=inner, address=address(number), prefixlen=PREFIX_LENGTH)
        pod.link("set", index=inner, state="up")
        pod.route("add", dst="default", gateway=GATEWAY)
    return spaces


def _index(ip: IPRoute, name: str) -> int:
    found: int = ip.link_lookup(ifname=name)[0]
    return found


def _apply(settings: dict[str, str]) -> None:
    """Sets what the kernel lets us."""
    for name, value in settings.items():
        with contextlib.suppress(OSError), open(f"/proc/sys/net/{name}", "w") as setting:
            setting.write(value)
