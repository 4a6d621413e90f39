"""What the record keeps of the pods' events, where there are thousands of upgrades. Knows nothing of outcomes."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from harness.record.upgrade import PodEvent, PodUpgrade, Upgrade

WHOLE = 50  # the first so many upgrades keep all: one sound upgrade is like the other


def thinned(upgrades: Sequence[Upgrade], keep: Collection[int | None]) -> tuple[list[Upgrade], list[str]]:
    """The upgrades, and notes on what was left out. Those whose index is in `keep` stay as they are."""
    kept, left_out = list[Upgrade](), 0
    for number, upgrade in enumerate(upgrades):
        kept.append(upgrade if number < WHOLE or upgrade.index in keep else thin(upgrade))
        left_out += _events(upgrade) - _events(kept[-1])
    if not left_out:
        return kept, []
    note = f"{left_out:,} events of pods are left out: of upgrades without a failure after the first {WHOLE}"
    return kept, [f"{note}, only what places their phases is kept."]


def thin(upgrade: Upgrade) -> Upgrade:
    """An upgrade without the events that place none of its phases; a verdict needs no others."""
    pods = [
        pod.model_copy(update={"events": [event for event in pod.events if _places(event, pod)]})
        for pod in upgrade.pods
    ]
    return upgrade.model_copy(update={"pods": pods})


def _places(event: PodEvent, pod: PodUpgrade) -> bool:
    """Whether a phase begins or ends by it: the working container's first line, and its ends."""
    if event.container != pod.working:
        return False
    started = event.source == "sidecar" and event.reason == "started"
    return started or (event.source == "watch" and event.reason in ("Terminated", "Waiting"))


def _events(upgrade: Upgrade) -> int:
    return sum(len(pod.events) for pod in upgrade.pods)
