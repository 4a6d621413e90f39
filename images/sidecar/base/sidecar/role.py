"""What a container is to do, from the two variables that SidecarSet sets. Knows nothing of sockets or time.

Values are resourceVersions: 64 bits, ordered, not consecutive, so they are compared and never counted with.
A running process keeps the values it was started with.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum

from sidecar.errors import ConfigError

VERSION = "SIDECARSET_VERSION"
VERSION_ALT = "SIDECARSET_VERSION_ALT"
LARGEST_VERSION = 2**64 - 1


class Role(Enum):
    """The part that a starting process plays; the value is what log lines show."""

    IDLE = "idle"  # the empty one: serves nothing
    INITIAL = "initial"  # binds by itself
    SUCCESSOR = "successor"  # takes over; binds if nobody serves
    SILENT = "silent"  # a predecessor restarted in mid-upgrade: stays silent while somebody serves


# (condition on VERSION and ALT, role); the first row that holds decides. An ALT that is absent reads 0.
_ROLES = (
    (lambda version, alt: version is None, Role.INITIAL),
    (lambda version, alt: version == 0, Role.IDLE),
    (lambda version, alt: alt == 0, Role.INITIAL),
    (lambda version, alt: version > alt, Role.SUCCESSOR),
    (lambda version, alt: version < alt, Role.SILENT),
)


def role_of(version: int | None, alt: int) -> Role:
    """The role for a pair of versions. Equal ones cannot be ordered: ConfigError."""
    for holds, role in _ROLES:
        if holds(version, alt):
            return role
    raise ConfigError(f"{VERSION} and {VERSION_ALT} are both {version}: give the successor the greater one")


def versions(environment: Mapping[str, str]) -> tuple[int | None, int]:
    """VERSION (None if unset) and ALT (0 if unset).

    A missing annotation makes a variable empty: that is unset.
    """
    return _number(environment, VERSION), _number(environment, VERSION_ALT) or 0


def _number(environment: Mapping[str, str], name: str) -> int | None:
    text = environment.get(name, "")
    if not text:
        return None
    if not (text.isascii() and text.isdigit()) or len(text) > 20 or int(text) > LARGEST_VERSION:
        raise ConfigError(f"{name}={text!r} is no 64-bit number: give digits only, or leave it out")
    return int(text)
