"""The arithmetic of a Deployment's update: how many replicas each of its ReplicaSets gets next.

Pure. Knows nothing of objects and of time.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Replicas:
    """One ReplicaSet: how many it is asked for, and how many of them are there and available."""

    name: str
    wanted: int
    available: int
    existing: int


def amount(value: int | str, whole: int, round_up: bool) -> int:
    """A number, or a percentage of `whole`."""
    if isinstance(value, int):
        return value
    if not value.endswith("%"):
        return int(value)
    share = int(value[:-1]) * whole / 100
    return math.ceil(share) if round_up else math.floor(share)


def bounds(surge: int | str, unavailable: int | str, desired: int) -> tuple[int, int]:
    """How many pods may be there too much and missing. Both 0 would be a standstill, so that one may be
    missing then."""
    more, fewer = amount(surge, desired, True), amount(unavailable, desired, False)
    return more, 1 if more == fewer == 0 else fewer


def rolling(
    desired: int, surge: int, unavailable: int, target: Replicas, others: Sequence[Replicas]
) -> dict[str, int]:
    """The next sizes in a rolling update, of those that change. Growing comes before shrinking."""
    total = target.wanted + sum(other.wanted for other in others)
    if target.wanted > desired:
        return {target.name: desired}
    if target.wanted < desired and total < desired + surge:
        return {target.name: target.wanted + min(desired + surge - total, desired - target.wanted)}
    least = desired - unavailable
    spare = total - least - max(0, target.wanted - target.available)
    sizes = {other.name: other.wanted for other in others}
    for other in others:  # pods that serve nobody go first
        idle = min(max(0, other.wanted - other.available), max(0, spare))
        sizes[other.name] -= idle
        spare -= idle
    surplus = target.available + sum(min(other.available, sizes[other.name]) for other in others) - least
    for other in others:
        fewer = min(sizes[other.name], max(0, min(surplus, spare)))
        sizes[other.name] -= fewer
        surplus, spare = surplus - fewer, spare - fewer
    return {other.name: sizes[other.name] for other in others if sizes[other.name] != other.wanted}


def recreate(desired: int, target: Replicas, others: Sequence[Replicas]) -> dict[str, int]:
    """The next sizes where all others have to be gone first."""
    sizes = {other.name: 0 for other in others if other.wanted}
    if not sizes and all(other.existing == 0 for other in others) and target.wanted != desired:
        sizes[target.name] = desired
    return sizes
