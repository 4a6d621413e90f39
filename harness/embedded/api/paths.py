"""What a URL path of the API names. Knows nothing of which resources exist."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import unquote

PARTS_OF_NAMESPACE = (
    "status",
    "finalize",
)  # /namespaces/NAME/status is a subresource, not a resource in NAME


@dataclass(frozen=True)
class Target:
    """A resource, one object of it, or a part of one. `rest` is what follows the subresource (pod proxy)."""

    group: str
    version: str
    plural: str
    namespace: str = ""
    name: str = ""
    subresource: str = ""
    rest: str = ""


def target(path: str) -> Target | None:
    """The target of `/api/v1/…` or `/apis/GROUP/VERSION/…`; None for any other path. `path` is as sent, not
    decoded.
    """
    parts = path.strip("/").split("/")
    if parts[0] == "api" and len(parts) > 2:
        group, version, parts = "", parts[1], parts[2:]
    elif parts[0] == "apis" and len(parts) > 3:
        group, version, parts = parts[1], parts[2], parts[3:]
    else:
        return None
    namespace = ""
    if parts[0] == "namespaces" and len(parts) > 2 and parts[2] not in PARTS_OF_NAMESPACE:
        namespace, parts = parts[1], parts[2:]
    named = [unquote(part) for part in (group, version, *(*parts[:3], "", "")[:3], namespace)]
    rest = "/".join(path.lstrip("/").split("/")[_depth(group, namespace) :])
    group, version, plural, name, subresource, namespace = named
    return Target(group, version, plural, namespace, name, subresource, rest)


def _depth(group: str, namespace: str) -> int:
    """How many parts of a path stand before what follows a subresource."""
    return (3 if group else 2) + (2 if namespace else 0) + 3
