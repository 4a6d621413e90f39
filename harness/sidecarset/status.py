"""A SidecarSet's status: counters over its pods. Knows nothing of when they are written."""

from __future__ import annotations

from collections.abc import Sequence

from harness.sidecarset.api import SidecarSet
from harness.sidecarset.consistency import consistent, pod_ready, updated
from harness.sidecarset.names import Object


def status(sidecarset: SidecarSet, matched: Sequence[Object], revision: str) -> Object:
    """The status for that generation of the set. updatedReadyPods is left out when it is 0, as Kruise
    does."""
    up = [updated(pod, sidecarset) for pod in matched]
    ready = [consistent(pod, sidecarset) and pod_ready(pod, sidecarset) for pod in matched]
    both = sum(a and b for a, b in zip(up, ready, strict=True))
    return {
        "observedGeneration": sidecarset.generation,
        "matchedPods": len(matched),
        "updatedPods": sum(up),
        "readyPods": sum(ready),
        **({"updatedReadyPods": both} if both else {}),
        "latestRevision": revision,
        "collisionCount": 0,
    }
