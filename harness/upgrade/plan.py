"""The upgrades that a run makes, in order, and how they are shared out over laps. Pure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from harness.manifest import Subject


@dataclass(frozen=True)
class Step:
    """One upgrade to make: its index in the run, from 1, and the references of the images before and after it."""

    index: int
    source: str
    target: str


def plan(subject: Subject, count: int, alias: Callable[[str, int], str] = lambda ref, _: ref) -> list[Step]:
    """`count` upgrades, from the manifest's image through the alternation; `alias` names each upgrade's image."""
    steps: list[Step] = []
    current, source = subject.image, subject.image
    for index in range(1, count + 1):
        current = subject.image_after(current)
        target = alias(current, index)
        steps.append(Step(index, source, target))
        source = target
    return steps


def laps(steps: Sequence[Step], per_pod: int | None) -> list[list[Step]]:
    """The steps in laps of at most `per_pod`, each for pods of its own; all in one if it is None."""
    size = per_pod or len(steps)
    return [list(steps[start : start + size]) for start in range(0, len(steps), size)]
