"""The embedded cluster with the reference SidecarSet controller on it."""

from __future__ import annotations

import socket
import time
from collections.abc import Sequence
from pathlib import Path

from kubernetes import client as k8s
from kubernetes.client.rest import ApiException

from harness import __version__
from harness.embedded import cluster
from harness.embedded.machine.check import check
from harness.embedded.machine.images import Catalogue, catalogue
from harness.errors import ClusterError, InputError
from harness.record.report import ClusterInfo, Controller, ImageInfo
from harness.sidecarset.manifests import NAMESPACE, install_objects

CONTROLLER_WITHIN_S = 30.0  # starts in about a second
POLL_S = 0.05
OWN_IMAGES = Path(__file__).resolve().parents[2] / "images"
NOTES = (
    "The embedded cluster is a substrate for tests on one machine: no image pulls, no kubelet latency, no processor limits. "
    "Its timings are never cluster figures."
)


class EmbeddedCluster:
    """See `harness.cluster.protocol.Cluster`. With `keep_as` it can be kept under that name beyond this process."""

    kind = "embedded"

    def __init__(
        self, *, images: Sequence[Path] = (), api_port: int = 0, kubelet_backoff: bool = False, keep_as: str | None = None
    ) -> None:
        self._images, self._port, self._backoff, self._keep_as = list(images), api_port, kubelet_backoff, keep_as
        self._machine: cluster.EmbeddedMachine | None = None
        self._catalogue: Catalogue | None = None
