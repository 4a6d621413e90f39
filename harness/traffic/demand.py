"""What traffic a scenario asks for. Data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from harness.traffic.workload import CONSTANT


@dataclass(frozen=True)
class Demand:
    """`clients` overrides, for a class, how many there are and the seconds between two requests of one.

    `shape` is how the rate of the paced classes goes over time (loadtests/shapes.py); `load_spec` is JSON.
    """

    classes: Sequence[str]
    version_header: str | None = None
    shape: str = CONSTANT
    clients: Mapping[str, tuple[int, float]] = field(default_factory=dict)
    workers: int = 1
    load_spec: str = ""
