"""SidecarSets that would meet in one pod and disagree. Knows nothing of a set's own validity."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from harness.sidecarset import selectors
from harness.sidecarset.api import SidecarSet
from harness.sidecarset.fielderrors import invalid
from harness.sidecarset.hashing import pruned
from harness.sidecarset.names import OVERWRITE


def conflicts(sidecarset: SidecarSet, others: Iterable[SidecarSet]) -> Iterator[str]:
    """One message for each thing that both would put into a pod. A canary and its base never meet."""
    for other in others:
        related = sidecarset.base == other.name or other.base == sidecarset.name
        if other.name == sidecarset.name or related or _apart(sidecarset, other):
            continue
        yield from _containers(sidecarset, other)
        yield from _volumes(sidecarset, other)
        yield from _annotations(sidecarset, other)


def _apart(one: SidecarSet, other: SidecarSet) -> bool:
    return selectors.disjoint(one.namespace_selector, other.namespace_selector) or selectors.disjoint(
        one.selector, other.selector
    )


def _containers(one: SidecarSet, other: SidecarSet) -> Iterator[str]:
    for mine, theirs in ((one.containers, other.containers), (one.init_containers, other.init_containers)):
        taken = {each.name for each in theirs}
        for each in mine:
            if each.name in taken:
                yield invalid(
                    "spec.containers", each.name, f"container {each.name} already exist in {other.name}"
                )


def _volumes(one: SidecarSet, other: SidecarSet) -> Iterator[str]:
    theirs = {each.get("name"): pruned(each) for each in other.spec.get("volumes") or []}
    for volume in one.spec.get("volumes") or []:
        name = volume.get("name")
        if name in theirs and theirs[name] != pruned(volume):
            yield invalid("spec.volumes", name, f"volume {name} is in conflict with sidecarset {other.name}")


def _annotations(one: SidecarSet, other: SidecarSet) -> Iterator[str]:
    mine, theirs = _policies(one), _policies(other)
    for key in sorted(mine.keys() & theirs.keys()):
        if OVERWRITE in (mine[key], theirs[key]):
            reason = f"annotation {key} is in conflict with sidecarset {other.name}"
            yield invalid("spec.patchPodMetadata", key, reason)


def _policies(sidecarset: SidecarSet) -> dict[str, str]:
    return {
        key: str(entry.get("patchPolicy"))
        for entry in sidecarset.spec.get("patchPodMetadata") or []
        for key in entry.get("annotations") or {}
    }
