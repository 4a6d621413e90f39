"""The fields of a pod that variables and downward API files may name. Knows nothing of where they are put."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from harness.embedded.seams import Object

SUBSCRIPT = re.compile(r"metadata\.(labels|annotations)\['(.+)'\]")
QUANTITY = re.compile(r"([0-9.]+)(m|[kMGTP]|[KMGTP]i|)")
SCALE = {"m": Fraction(1, 1000), "": Fraction(1), "k": Fraction(1000)} | {
    letter + suffix: Fraction(base**power)
    for power, letter in enumerate("KMGTP", 1)
    for suffix, base in (("i", 1024), ("", 1000))
}


class FieldError(Exception):
    """A field cannot be given; the message says which and why."""


@dataclass(frozen=True)
class Facts:
    """What a pod may learn of the node and of itself besides its own object."""

    node: str
    host_ip: str
    capacity: Mapping[str, str]
    pod_ip: str = ""


def quantity(text: str) -> Fraction:
    """The value of a quantity such as `100m` or `64Mi`."""
    match = QUANTITY.fullmatch(text)
    if match is None:
        raise FieldError(f"cannot read the quantity {text!r}")
    return Fraction(match[1]) * SCALE[match[2]]


def _lines(pairs: Mapping[str, str]) -> str:
    def quoted(value: str) -> str:
        return '"' + value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") + '"'

    return "\n".join(f"{key}={quoted(pairs[key])}" for key in sorted(pairs))


def field(pod: Object, path: str, facts: Facts) -> str:
    """The value of a fieldRef; FieldError when the path names none."""
    metadata, spec = pod["metadata"], pod["spec"]
    if match := SUBSCRIPT.fullmatch(path):
        return str((metadata.get(match[1]) or {}).get(match[2], ""))
    values: dict[str, Any] = {
        "metadata.name": metadata["name"],
        "metadata.namespace": metadata["namespace"],
        "metadata.uid": metadata["uid"],
        "metadata.labels": _lines(metadata.get("labels") or {}),
        "metadata.annotations": _lines(metadata.get("annotations") or {}),
        "spec.nodeName": facts.node,
        "spec.serviceAccountName": spec.get("serviceAccountName", "default"),
        "status.podIP": facts.pod_ip,
        "status.podIPs": facts.pod_ip,
        "status.hostIP": facts.host_ip,
        "status.hostIPs": facts.host_ip,
    }
    if path not in values:
        raise FieldError(f"fieldPath {path!r} is not supported by the embedded cluster")
    return str(values[path])


def resource(pod: Object, container: Object, reference: Object, facts: Facts) -> str:
    """The value of a resourceFieldRef, rounded up to whole divisors. A limit that is not set is the node's
    capacity."""
    wanted = reference.get("containerName") or container["name"]
    owner = next((c for c in pod["spec"]["containers"] if c["name"] == wanted), container)
    kind, _, name = str(reference["resource"]).partition(".")
    if kind not in ("limits", "requests"):
        raise FieldError(f"resource {reference['resource']!r}: it is limits.* or requests.*")
    given = (owner.get("resources") or {}).get(kind) or {}
    amount = quantity(str(given.get(name, facts.capacity.get(name, "0") if kind == "limits" else "0")))
    divisor = quantity(str(reference.get("divisor") or "1")) or Fraction(1)
    return str(-(-amount // divisor))
