"""Which SidecarSets a new pod gets its sidecars from, and which pods a SidecarSet answers for.

Knows nothing of what is injected.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from harness.sidecarset import notes, pods, selectors
from harness.sidecarset.api import SidecarSet
from harness.sidecarset.names import Object


def selects(sidecarset: SidecarSet, pod: Object, namespace_labels: Mapping[str, str]) -> bool:
    """Whether the set's selectors match a pod in a namespace with those labels."""
    if not pods.active(pod):
        return False
    in_namespace = sidecarset.namespace_selector is None or selectors.matches(
        sidecarset.namespace_selector, namespace_labels
    )
    return in_namespace and selectors.matches(sidecarset.selector, pods.labels(pod))


def for_new_pod(
    sidecarsets: Iterable[SidecarSet], pod: Object, namespace_labels: Mapping[str, str]
) -> list[SidecarSet]:
    """The sets to inject, by name. A canary that matches takes the place of its base."""
    found = [
        each
        for each in sidecarsets
        if not each.injection.get("paused") and selects(each, pod, namespace_labels)
    ]
    bases = {each.base for each in found}
    return sorted((each for each in found if each.name not in bases), key=lambda each: each.name)


def has_sidecars(sidecarset: SidecarSet, pod: Object) -> bool:
    """Whether the pod was injected from the set and has every container that the set expects."""
    if (
        sidecarset.name not in notes.injected(pod)
        or not sidecarset.names_in_pod <= pods.containers(pod).keys()
    ):
        return False
    return all(notes.has_working_entry(pod, each) for each in sidecarset.hot_containers)


def matched(
    sidecarset: SidecarSet, candidates: Iterable[Object], namespaces: Mapping[str, Object]
) -> list[Object]:
    """The pods that the set answers for. `namespaces` maps a namespace's name to its labels."""
    return [
        pod
        for pod in candidates
        if selects(sidecarset, pod, namespaces.get(pod.get("metadata", {}).get("namespace", ""), {}))
        and has_sidecars(sidecarset, pod)
    ]
