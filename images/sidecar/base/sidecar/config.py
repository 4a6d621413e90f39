"""The environment, checked: every setting of the sidecar is declared here.

Knows nothing of what uses them.
"""

from __future__ import annotations

import ipaddress
import math
import os
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from sidecar import address, descriptors
from sidecar.address import Address
from sidecar.errors import ConfigError
from sidecar.listener import Kind, Listener
from sidecar.role import versions

# Numbers with their defaults. Seconds unless the name says otherwise.
SECONDS = {
    # Bounds a drain, and with it the hook. Below the 30 s of grace that a pod usually has.
    "SIDECAR_DRAIN_DEADLINE_S": 20.0,
    # A connection that stays silent for so long in a drain is closed: long enough for a client that uses its
    # connection every few seconds to be told, short enough that pools of idle clients do not cost the
    # deadline.
    "SIDECAR_DRAIN_IDLE_S": 5.0,
    # From the first look for a predecessor to the commit; a silent peer gets half of it for each step.
    "SIDECAR_HANDOVER_TIMEOUT_S": 6.0,
    # After TERM: what a busy connection of a working process gets.
    "SIDECAR_STOP_S": 5.0,
    "SIDECAR_HEADER_TIMEOUT_S": 15.0,
    "SIDECAR_BODY_TIMEOUT_S": 60.0,
    "SIDECAR_IDLE_TIMEOUT_S": 3600.0,
    "SIDECAR_CONNECT_TIMEOUT_S": 5.0,
    "SIDECAR_UPSTREAM_TIMEOUT_S": 60.0,
    # Applications close idle connections after 2 s (gunicorn) or more; staying below avoids the race.
    "SIDECAR_UPSTREAM_IDLE_S": 1.0,
}
BYTES = {"SIDECAR_HEADER_LIMIT": 65536, "SIDECAR_BODY_LIMIT": 0}  # a body limit of 0 is none
# The private networks that pods and services use; never link-local, where clouds keep their credentials.
OUTBOUND_ALLOW = "10.0.0.0/8,172.16.0.0/12,192.168.0.0/16,100.64.0.0/10,fc00::/7"
UPSTREAM_PROTOCOLS = ("http1", "h2")  # what HTTP/2 requests become; HTTP/1.1 ones stay what they are
RELEASE_FILE = "/etc/sidecar-release"
SAMPLE = "kruise-sample"  # the one value of MIGRATION_PROTOCOL
SAMPLE_SOCKET = "/dev/shm/migrate.sock"  # fixed by the sample
Network = ipaddress.IPv4Network | ipaddress.IPv6Network
MOST_LISTENERS = 253  # one message of a hand-over holds no more descriptors (the kernel's SCM_MAX_FD)


class Config(NamedTuple):
    """What the environment says. `version` is None when SidecarSet set none."""

    version: int | None
    alt: int
    release: str
    listeners: tuple[Listener, ...]
    upstream: Address
    outbound_allow: tuple[Network, ...]
    upstream_protocol: str
    directory: str
    drain_deadline_s: float
    drain_idle_s: float
    handover_timeout_s: float
    stop_s: float
    header_timeout_s: float
    body_timeout_s: float
    idle_timeout_s: float
    connect_timeout_s: float
    upstream_timeout_s: float
    upstream_idle_s: float
    header_limit: int
    body_limit: int
    max_connections: int
    sample_socket: str | None  # where a successor of openkruise/samples listens; None: not spoken

    @property
    def generation(self) -> str:
        """The name of this process among those that share the directory."""
        return "unset" if self.version is None else str(self.version)


def read(environment: Mapping[str, str]) -> Config:
    """The configuration, or ConfigError with one line: variable, value, remedy."""
    version, alt = versions(environment)
    upstream = address.parse(environment.get("SIDECAR_UPSTREAM", "127.0.0.1:8080"), "SIDECAR_UPSTREAM")
    directory = environment.get("SIDECAR_HANDOVER_DIR") or f"/dev/shm/sidecar-{os.geteuid()}"
    if (
        not directory.startswith("/") or len(os.fsencode(directory)) > 60
    ):  # a unix path holds 107, names need the rest
        raise ConfigError(
            f"SIDECAR_HANDOVER_DIR={directory!r} has to be an absolute path of at most 60 bytes"
        )
    seconds = {name: _seconds(environment, name, default) for name, default in SECONDS.items()}
    listeners = _listeners(environment, upstream)
    sizes = {name: _bytes(environment, name, default) for name, default in BYTES.items()}
    return Config(
        version=version,
        alt=alt,
        release=_release(environment.get("SIDECAR_RELEASE_FILE", RELEASE_FILE)),
        listeners=listeners,
        upstream=upstream,
        outbound_allow=_networks(environment, "SIDECAR_OUTBOUND_ALLOW", OUTBOUND_ALLOW),
        upstream_protocol=_upstream_protocol(environment.get("SIDECAR_UPSTREAM_PROTOCOL") or "http1"),
        directory=directory,
        drain_deadline_s=seconds["SIDECAR_DRAIN_DEADLINE_S"],
        drain_idle_s=seconds["SIDECAR_DRAIN_IDLE_S"],
        handover_timeout_s=seconds["SIDECAR_HANDOVER_TIMEOUT_S"],
        stop_s=seconds["SIDECAR_STOP_S"],
        header_timeout_s=seconds["SIDECAR_HEADER_TIMEOUT_S"],
        body_timeout_s=seconds["SIDECAR_BODY_TIMEOUT_S"],
        idle_timeout_s=seconds["SIDECAR_IDLE_TIMEOUT_S"],
        connect_timeout_s=seconds["SIDECAR_CONNECT_TIMEOUT_S"],
        upstream_timeout_s=seconds["SIDECAR_UPSTREAM_TIMEOUT_S"],
        upstream_idle_s=seconds["SIDECAR_UPSTREAM_IDLE_S"],
        header_limit=sizes["SIDECAR_HEADER_LIMIT"],
        body_limit=sizes["SIDECAR_BODY_LIMIT"],
        max_connections=descriptors.connections(environment),
        sample_socket=_sample_socket(environment, listeners),
    )


def _listeners(environment: Mapping[str, str], upstream: Address) -> tuple[Listener, ...]:
    """Every address that is listened on, each at most once."""
    inbound = environment.get("SIDECAR_LISTEN", "0.0.0.0:9091").split(",")
    found = [
        *(
            Listener(address.parse(part.strip(), "SIDECAR_LISTEN"), Kind.INBOUND, upstream)
            for part in inbound
        ),
        *(
            Listener(_inside(part, "SIDECAR_OUTBOUND"), Kind.OUTBOUND)
            for part in _parts(environment, "SIDECAR_OUTBOUND")
        ),
        *(_tcp(part) for part in _parts(environment, "SIDECAR_TCP")),
    ]
    admin = environment.get("SIDECAR_ADMIN")
    if admin:
        found.append(Listener(_inside(admin, "SIDECAR_ADMIN"), Kind.ADMIN))
    addresses = [listener.address for listener in found]
    if len(found) > MOST_LISTENERS:
        raise ConfigError(
            f"SIDECAR_LISTEN, SIDECAR_OUTBOUND, SIDECAR_TCP, SIDECAR_ADMIN: {len(found)} addresses are more "
            f"than can be handed over; {MOST_LISTENERS} can"
        )
    for one in addresses:
        if addresses.count(one) > 1:
            raise ConfigError(
                f"SIDECAR_LISTEN, SIDECAR_OUTBOUND, SIDECAR_TCP, SIDECAR_ADMIN: {str(one)!r} is given twice; "
                "leave one out"
            )
        loop = [str(other) for other in found if other.kind is Kind.TCP and _takes(one, other.target)]
        if loop:
            raise ConfigError(
                f"SIDECAR_TCP: {loop[0]!r} has a target that is listened on here; give another port"
            )
    return tuple(found)


def _inside(text: str, variable: str) -> Address:
    """An address that only the pod itself reaches: who asks there is not asked who he is."""
    where = address.parse(text, variable)
    if where.family != "unix" and not ipaddress.ip_address(where.host).is_loopback:
        raise ConfigError(
            f"{variable}: {text!r} can be reached from outside the pod; "
            "give an address of loopback, as 127.0.0.1:15001, or unix:/PATH"
        )
    return where


def _sample_socket(environment: Mapping[str, str], listeners: Sequence[Listener]) -> str | None:
    """The sample hands one listener over, and is asked for it over IPv4."""
    protocol = environment.get("MIGRATION_PROTOCOL")
    if not protocol:
        return None
    if protocol != SAMPLE:
        raise ConfigError(
            f"MIGRATION_PROTOCOL={protocol!r} is unknown; give {SAMPLE}, or leave it out to speak this sidecar's own"
        )
    inbound = [listener.address for listener in listeners if listener.kind is Kind.INBOUND]
    if [address.family for address in inbound] != ["inet"]:
        raise ConfigError(
            f"MIGRATION_PROTOCOL={SAMPLE} hands one IPv4 listener over; give SIDECAR_LISTEN one HOST:PORT"
        )
    return SAMPLE_SOCKET


def _takes(listener: Address, target: Address | None) -> bool:
    """Whether connections to the target would come by the listener: the usual ways to write a loop."""
    return target is not None and (
        listener == target
        or (
            (listener.host in ("0.0.0.0", "::") and target.host in ("127.0.0.1", "::1"))
            and listener.port == target.port
        )
    )


def _parts(environment: Mapping[str, str], name: str) -> list[str]:
    """A list with commas that may be missing or empty."""
    text = environment.get(name, "").strip()
    return [part.strip() for part in text.split(",")] if text else []


def _networks(environment: Mapping[str, str], name: str, default: str) -> tuple[Network, ...]:
    found: list[Network] = []
    for part in (environment.get(name) or default).split(","):
        try:
            found.append(ipaddress.ip_network(part.strip()))
        except ValueError as error:
            raise ConfigError(f"{name}: {error}; give networks as 10.0.0.0/8 or fc00::/7") from None
    return tuple(found)


def _tcp(text: str) -> Listener:
    where, equals, target = text.partition("=")
    if not equals:
        raise ConfigError(f"SIDECAR_TCP: {text!r} has no target; give ADDRESS=TARGET")
    return Listener(address.parse(where, "SIDECAR_TCP"), Kind.TCP, address.parse(target, "SIDECAR_TCP"))


def _upstream_protocol(text: str) -> str:
    if text not in UPSTREAM_PROTOCOLS:
        raise ConfigError(
            f"SIDECAR_UPSTREAM_PROTOCOL={text!r} is not spoken; give {' or '.join(UPSTREAM_PROTOCOLS)}"
        )
    return text


def _seconds(environment: Mapping[str, str], name: str, default: float) -> float:
    text = environment.get(name)
    if not text:
        return default
    try:
        value = float(text)
    except ValueError:
        value = -1
    if not (math.isfinite(value) and 0 < value <= 86400):
        raise ConfigError(f"{name}={text!r} is no time; give seconds, more than 0 and at most 86400")
    return value


def _bytes(environment: Mapping[str, str], name: str, default: int) -> int:
    text = environment.get(name)
    if not text:
        return default
    if not (text.isascii() and text.isdigit() and len(text) < 19) or (not int(text) and default):
        raise ConfigError(f"{name}={text!r} is no size; give bytes as digits")
    return int(text)


def _release(path: str) -> str:
    """The image says which release it is; without such a file it is none."""
    try:
        with open(path, encoding="ascii") as file:
            release = file.read(100).strip()
    except FileNotFoundError:
        return "unreleased"
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path!r} cannot be read: {error}") from error
    if not 1 <= len(release) <= 64 or not all(letter.isalnum() or letter in "._+-" for letter in release):
        raise ConfigError(
            f"{path!r} holds {release!r}; a release has 1 to 64 letters, digits, dots and dashes"
        )
    return release
