"""Which changes wake the reconciliation of which SidecarSet, and how soon.

A container that starts, fails or becomes Ready, and a pod that comes, goes or changes its labels, are looked
at once. A change of spec or annotations, nearly always the controller's own, is looked at after SETTLE_S: it
only moves counters, and the kubelet's next report comes sooner. Pods' updates do not wake a set of type
NotUpdate, whose counters therefore lag; that is as Kruise does it. Knows nothing of the API and of clocks.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, NamedTuple

from harness.sidecarset import notes, pods
from harness.sidecarset.api import SidecarSet
from harness.sidecarset.client import EventType
from harness.sidecarset.names import (
    HASH,
    HASH_WITHOUT_IMAGE,
    INJECTED_LIST,
    UPDATE_STATE,
    WORKING,
    Object,
)

SETTLE_S = 5.0
"""As long as Kruise waits after a change of a pod's consistency."""

BOOKS = (HASH, HASH_WITHOUT_IMAGE, INJECTED_LIST, UPDATE_STATE, WORKING)


class Wake(NamedTuple):
    """Reconcile that set after so many seconds."""

    sidecarset: str
    after_s: float


@dataclass(frozen=True)
class _Seen:
    """What of a pod matters: `acts` at once, `books` later. `sets` are those it has sidecars from."""

    sets: tuple[str, ...]
    acts: Any
    books: Any


class Triggers:
    """Remembers what was seen of sets and pods, and tells what a change is worth."""

    def __init__(self) -> None:
        self._generations: dict[str, tuple[str, int]] = {}
        self._not_update: set[str] = set()
        self._pods: dict[str, _Seen] = {}

    def sidecarset(self, kind: EventType, raw: Object) -> list[Wake]:
        """A set was created, changed or deleted. Only a new generation counts, not a new status."""
        sidecarset = SidecarSet(raw)
        if kind == "DELETED":
            self._generations.pop(sidecarset.name, None)
            return []
        seen = sidecarset.uid, sidecarset.generation
        if self._generations.get(sidecarset.name) == seen:
            return []
        self._generations[sidecarset.name] = seen
        (self._not_update.add if sidecarset.not_update else self._not_update.discard)(sidecarset.name)
        return [Wake(sidecarset.name, 0.0)]

    def pod(self, kind: EventType, raw: Object) -> list[Wake]:
        """A pod was created, changed or deleted."""
        uid = raw["metadata"].get("uid", "")
        before, now = self._pods.get(uid), _seen(raw)
        if kind == "DELETED":
            self._pods.pop(uid, None)
            return [Wake(name, 0.0) for name in now.sets]
        if not now.sets:
            return []
        self._pods[uid] = now
        if before is None:
            return [Wake(name, 0.0) for name in now.sets]
        listening = [name for name in now.sets if name not in self._not_update]
        if before.acts != now.acts:
            return [Wake(name, 0.0) for name in listening]
        return [Wake(name, SETTLE_S) for name in listening] if before.books != now.books else []

    def relisted_sidecarsets(self, listed: Iterable[Object]) -> list[Wake]:
        """All sets that there are, after changes may have been missed."""
        listed = list(listed)
        for name in self._generations.keys() - {SidecarSet(each).name for each in listed}:
            del self._generations[name]
        return [wake for each in listed for wake in self.sidecarset("ADDED", each)]

    def relisted_pods(self, listed: Iterable[Object]) -> list[Wake]:
        """All pods that there are, after changes may have been missed."""
        listed = list(listed)
        gone = self._pods.keys() - {each["metadata"].get("uid", "") for each in listed}
        missed = [Wake(name, 0.0) for uid in gone for name in self._pods.pop(uid).sets]
        return missed + [wake for each in listed for wake in self.pod("ADDED", each)]


def _seen(pod: Object) -> _Seen:
    statuses = [
        (name, status.get("ready"), status.get("imageID"), status.get("image"))
        for name, status in sorted(pods.statuses(pod).items())
    ]
    acts = (
        dict(pods.labels(pod)),
        pods.active(pod),
        pod.get("status", {}).get("phase"),
        pods.condition(pod, "Ready").get("status"),
        statuses,
    )
    images = [(name, each.get("image")) for name, each in pods.containers(pod).items()]
    books = images, {key: pods.annotation_map(pod).get(key) for key in BOOKS}
    return _Seen(tuple(notes.injected(pod)), acts, books)
