"""Where the reference deliberately differs from OpenKruise 1.9, and why: data for the documentation and the
reports.

Knows nothing of the code that differs.
"""

from __future__ import annotations

from typing import NamedTuple


class Deviation(NamedTuple):
    """One difference: what Kruise does, what happens here, and the reason."""

    topic: str
    kruise: str
    here: str
    reason: str


DEVIATIONS: tuple[Deviation, ...] = (
    Deviation(
        "prompt reset",
        "queues the reset again 5 s after a container's consistency changes",
        "resets as soon as the kubelet reports the successor; only counters after its own writes lag 5 s",
        "the conditions of a reset are the same, waiting adds nothing to them",
    ),
    Deviation(
        "roll-back to the predecessor's image while the successor fails",
        "skips the container but counts the pod as updated; the bad image stays, no reset follows",
        "gives the successor that image too; it takes over and the usual reset follows",
        "the pod would never settle, or at the wrong version; the sockets may have been handed over",
    ),
    Deviation(
        "roll-back to the predecessor's image while both are healthy",
        "changes the books alone, then empties the newer one",
        "waits for the reset, then upgrades as usual",
        "the predecessor has given its sockets away and would not start anew",
    ),
    Deviation(
        "image equal to hotUpgradeEmptyImage",
        "accepted; after the upgrade no container of the pair works",
        "refused by validation",
        "it is an outage in every pod",
    ),
    Deviation(
        "hotUpgradeEmptyImage changes",
        "every idle container restarts at once, past partition and maxUnavailable",
        "idle containers keep the empty image they have; pods created later get the new one",
        "a field other than image cannot be upgraded in place, and this one is no exception",
    ),
    Deviation(
        "hot container without hotUpgradeEmptyImage",
        "pods are refused because a container has no image",
        "pods are refused with a message that names set, container and field",
        "the cause is found sooner",
    ),
    Deviation(
        "hot `mesh` beside a container `mesh-1`",
        "accepted; pods are refused for a duplicate name",
        "refused by validation",
        "the set can never be injected",
    ),
    Deviation(
        "a change that could not be upgraded is taken back",
        "the condition SidecarSetUpgradable stays False",
        "it turns True again",
        "the pod is up to date",
    ),
    Deviation(
        "image names with and without their default registry",
        "compared as text; the same content under a new tag never becomes consistent",
        "compared with the default registry filled in",
        "runtimes report the long form",
    ),
    Deviation(
        "a container that was emptied and upgraded again before the kubelet acted",
        "counts as upgraded once the empty image runs, since the image's id has changed",
        "counts as upgraded only when something else than the empty image runs",
        "the predecessor would be emptied before its successor exists",
    ),
    Deviation(
        "lost wake-up",
        "a container that becomes Ready without changing the pod's Ready condition wakes nobody",
        "every change of a container's readiness or image wakes its sets",
        "the reset would never come",
    ),
    Deviation(
        "status after a conflict",
        "stamps the newer generation beside counts of the older one",
        "fails and counts anew",
        "observedGeneration has to belong to the counts",
    ),
    Deviation(
        "stale caches",
        "reads its own cache, and waits 1 s when that has not seen its last write",
        "reads sets and pods from the API server in each round, and sets and namespace for each new pod",
        "exact at the sizes that this is made for; a pod made right after its SidecarSet gets its sidecars",
    ),
    Deviation(
        "order of injection across sets, and of pods that tie",
        "unspecified",
        "by name",
        "runs can be repeated",
    ),
    Deviation(
        "canary and base with equal container names",
        "the base cannot be edited while its canary exists",
        "each is exempt from conflicts with the other",
        "they never meet in one pod",
    ),
    Deviation(
        "transferEnv whose sourceContainerNameFrom has no fieldRef",
        "crashes the defaulting",
        "refused by validation",
        "a crash explains nothing",
    ),
    Deviation(
        "annotations that cannot be read",
        "errors that end the round for all pods of the set",
        "count as absent",
        "one pod must not hold up the others",
    ),
)
