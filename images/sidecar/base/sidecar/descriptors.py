"""How many descriptors this process may have, and how many connections that makes.

Knows nothing of who uses them.
"""

from __future__ import annotations

import resource
from collections.abc import Mapping

from sidecar.errors import ConfigError

VARIABLE = "SIDECAR_MAX_CONNECTIONS"
EACH = 2  # the client's and, in an exchange, the application's; who sets a number may count on idle ones
# What is not a connection: 253 listeners at most, as many as a message may bring; the control channel and who
# watches it; the admin listener; the loop and the standard streams. But no more than half of all.
RESERVE = 320
# Without a setting: containers often have a limit of a billion, and so many connections would be memory
# without a bound. One core serves fewer.
DEFAULT = 50_000


def raise_limit() -> None:
    """To what the kernel allows: the soft limit is for programs that use select()."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def connections(environment: Mapping[str, str]) -> int:
    """How many connections from clients there may be; ConfigError if descriptors do not suffice for them."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = 10**9 if hard == resource.RLIM_INFINITY else hard - min(RESERVE, hard // 2)
    text = environment.get(VARIABLE)
    if not text:
        return max(1, min(most // EACH, DEFAULT))
    if not (text.isascii() and text.isdigit() and 0 < int(text) < 10**9):
        raise ConfigError(f"{VARIABLE}={text!r} is no number of connections; give digits, more than 0")
    if int(text) > most:
        raise ConfigError(
            f"{VARIABLE}={text} is more than RLIMIT_NOFILE={hard} bears; give at most {most}, or raise that"
        )
    return int(text)
