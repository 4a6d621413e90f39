"""What the record keeps of the pods' events, where there are thousands of upgrades. Knows nothing of outcomes."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from harness.record.upgrade import PodEvent, PodUpgrade, Upgrade

WHOLE = 50  # the first so many upgrades keep all: one sound upgrade is like the other


def thinned(upgrades: Sequence[Upgrade], keep: Collection[int | None]) -> tuple[list[Upgrade], list[str]]:
    """The upgrades, and notes on what was left out. Those whose index is in `keep` stay as they are."""
    whole = {upgrade.index for upgrade in upgrades[:WHOLE]}.union(keep)
    kept = [upgrade if upgrade.index in whole else _thin(upgrade) for upgrade in upgrades]
    left_out = _events(upgrades) - _events(kept)
    if not left_out:
        return kept, []
    note = f"{left_out:,} events of pods are left out: of upgrades without a failure after the first {WHOLE}"
    return kept, [f"{note}, only what places their phases is kept."]


def _thin(upgrade: Upgrade) -> Upgrade:
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


def _events(upgrades: Sequence[Upgrade]) -> int:
    return sum(len(pod.events) for upgrade in upgrades for pod in upgrade.pods)
