"""A cluster that is there already: any kubeconfig and context. A run leaves nothing on it but what was there."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from kubernetes.client import ApiClient

from harness.cluster import preflight
from harness.cluster.protocol import Feature
from harness.cluster.remote import Remote, reach
from harness.cluster.webhooks import await_webhooks
from harness.errors import ClusterError
from harness.record.report import ClusterInfo
from harness.scenarios.steps import Part
from harness.site import Site

WEBHOOKS_WITHIN_S = 10.0  # the controller runs already; a webhook that is late by that is broken


class CurrentCluster:
    """See `harness.cluster.protocol.Cluster`."""

    kind = "current"
    outlives_run = True
    images_loaded = False
    upgrades_per_pod: int | None = preflight.UPGRADES_PER_POD

    def __init__(self, *, kubeconfig: Path | None, context: str | None) -> None:
        self._remote: Remote = reach(kubeconfig, context)
        self.features: frozenset[Feature] = frozenset()

    def preflight(self, images: Sequence[str]) -> None:
        """Reachable, allowed, Kruise there and healthy, nodes ready; InputError with all that is wrong."""
        offer = preflight.check(self._remote)
        self.features, self.upgrades_per_pod = offer.features, offer.upgrades_per_pod

    def up(self, site: Site) -> None:
        """It is up; its webhooks have to answer."""
        await_webhooks(self.client(), WEBHOOKS_WITHIN_S)

    def client(self) -> ApiClient:
        """A new client."""
        return self._remote.client()

    def alias(self, ref: str, index: int) -> str:
        """Itself: its registry is the user's."""
        return ref

    def restart(self, part: Part, within_s: float) -> None:
        """Never: nothing on a cluster that others use is the run's to restart."""
        raise ClusterError(f"the {part} of this cluster is not the run's to restart")

    def info(self) -> ClusterInfo:
        """What it is."""
        return self._remote.info(self.kind, [])

    def down(self) -> None:
        """It stays."""
