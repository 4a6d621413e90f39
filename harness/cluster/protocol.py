"""What every cluster offers. Nothing above this asks which one it is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, Protocol

from kubernetes.client import ApiClient

from harness.record.report import ClusterInfo
from harness.scenarios.steps import Part
from harness.site import Site

Feature = Literal["services", "restart-controller", "restart-agent"]
"""What some clusters lack. `services`: a Service's address leads to its ready pods. `restart-controller` and
`restart-agent`: the run may restart the SidecarSet controller, and the nodes' agents."""


class Cluster(Protocol):
    """A cluster with a SidecarSet controller. Use: `preflight`, then `up` … `down` (always, also after an error)."""

    kind: str

    @property
    def outlives_run(self) -> bool:
        """What a run makes on it stays unless the run removes it."""

    images_loaded: bool
    """Images were put onto its nodes: they are there, and pulling them would fail."""

    upgrades_per_pod: int | None
    """How many upgrades a pod bears before its kubelet delays them; None if it never does."""

    features: frozenset[Feature]

    def preflight(self, images: Sequence[str]) -> None:
        """Refuses what can be known before anything starts: InputError for an unknown image, a port in use, a machine
        that cannot do it, missing rights. Starts nothing."""

    def up(self, site: Site) -> None:
        """Starts or reaches the cluster and waits until its SidecarSet webhooks answer; ClusterError.

        What it puts onto a cluster that outlives the run carries the site's marks.
        """

    def client(self) -> ApiClient:
        """A new client of its API, for one thread."""

    def alias(self, ref: str, index: int) -> str:
        """Another reference of the same content for the upgrade `index`, or `ref` itself where there can be none."""

    def restart(self, part: Part, within_s: float) -> None:
        """Restarts a part, and waits until it works again; ClusterError. Only where the feature is there."""

    def info(self) -> ClusterInfo:
        """What it is, for the report."""

    def down(self) -> None:
        """Ends what `up` started. Bounded in time; may be called twice, and from a signal's handler path."""
