"""What every cluster offers. Nothing above this asks which one it is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from kubernetes.client import ApiClient

from harness.record.report import ClusterInfo, ImageInfo


class Cluster(Protocol):
    """A cluster with a SidecarSet controller. Use: `preflight`, then `up` … `down` (always, also after an error)."""

    kind: str

    def preflight(self, images: Sequence[str]) -> None:
        """Refuses what can be known before anything starts: InputError for an unknown image, a port in use, a machine
        that cannot do it. Starts nothing."""

    def up(self) -> None:
        """Starts or reaches the cluster and waits until its SidecarSet webhooks answer; ClusterError."""

    def client(self) -> ApiClient:
        """A new client of its API, for one thread."""

    def image(self, ref: str) -> ImageInfo:
        """The image as the cluster resolves it."""

    def info(self) -> ClusterInfo:
        """What it is, for the report."""

    def down(self) -> None:
        """Ends what `up` started. Bounded in time; may be called twice, and from a signal's handler path."""
