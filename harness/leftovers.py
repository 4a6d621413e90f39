"""Which marked objects are leftovers: those of runs whose process is gone. Pure but for a look at processes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from harness.removal import Marked
from harness.site import lives


@dataclass(frozen=True)
class Sorted:
    """`dead` can be removed; `left` says in one line for each run why its objects stay."""

    dead: list[Marked]
    left: list[str]


def sort_out(
    objects: Sequence[Marked], *, named: str | None, alive: Callable[[str], bool | None] = lives
) -> Sorted:
    """Tells leftovers from what runs still use. A run that is named goes unless its process lives on this machine.

    An object without an owner belongs to whoever owns the rest of its run.
    """
    owners: dict[str, str] = {}
    for one in objects:
        owners.setdefault(one.run, "")
        owners[one.run] = owners[one.run] or one.owner
    left: dict[str, str] = {}
    for run, owner in owners.items():
        state = alive(owner) if owner else None
        if state:
            left[run] = f"run {run} still goes on ({owner}); left alone"
        elif state is None and run != named:
            whose = f"was started elsewhere ({owner})" if owner else "does not say whose it is"
            left[run] = f"run {run} {whose}; remove it with --run {run}"
    return Sorted([one for one in objects if one.run not in left], list(left.values()))
