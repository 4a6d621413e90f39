"""One upgrade to make. Data; knows nothing of who decides on it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Step:
    """Its index in the scenario, from 1, and the references of the images before and after it."""

    index: int
    source: str
    target: str
