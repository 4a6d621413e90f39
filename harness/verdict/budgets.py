"""How much slower a pod may become while its sidecars change, for each profile. Data; `stalls` holds runs to it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from harness.record.report import ProfileName


@dataclass(frozen=True)
class Budget:
    """What the latencies of a pod that flips may come to, in the median of all flips.

    At most `ratio` times what they are in peace and at the other pods meanwhile, or `floor_ms` where that is more.
    A pod that is alone has nobody to tell the machine's noise from its own: there it is `alone_floor_ms`.
    Fewer than `min_flips` flips decide nothing.
    """

    ratio: float = 2.0
    floor_ms: float = 20.0
    alone_floor_ms: float = 100.0
    min_flips: int = 3
    apart_ms: float = 100.0
    """So much more the flips to one image come to than those to another, if that alone is to tell."""
    apart_flips: int = 5


BUDGETS: Mapping[ProfileName, Budget | None] = {
    "core": Budget(),
    "extended": Budget(),
    "resilience": None,  # a process that dies may cost time; what it may cost is its scenario's to say
}
