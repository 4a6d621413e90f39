"""The embedded cluster with the reference SidecarSet controller on it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from kubernetes import client as k8s

from harness import __version__
from harness.calls import REQUEST_S, calling
from harness.cluster.protocol import Feature
from harness.cluster.restart import restart_controller
from harness.cluster.webhooks import await_webhooks
from harness.embedded import cluster
from harness.embedded.machine.check import check
from harness.embedded.machine.images import Catalogue, catalogue
from harness.errors import ClusterError, InputError
from harness.objects import create
from harness.record.report import ClusterInfo, Controller
from harness.scenarios.steps import Part
from harness.sidecarset.manifests import install_objects
from harness.site import Site

CONTROLLER_WITHIN_S = 30.0  # starts in about a second
CONTROLLER_IMAGE = "runtime"  # the base of all images: on the embedded cluster the harness is in it
BACKOFF_FROM = 3  # upgrades of one pod that a kubelet does not delay
OWN_IMAGES = Path(__file__).resolve().parents[2] / "images"
SUBSTRATE = (
    "The embedded cluster is a substrate for tests on one machine: no image pulls, no kubelet latency, no processor "
    "limits. Its timings are never cluster figures."
)
BACKOFF = {
    False: "Quick image changes of one container are not delayed; a kubelet delays the fourth (--kubelet-backoff).",
    True: "Quick image changes of one container are delayed as a real kubelet does (--kubelet-backoff).",
}


class EmbeddedCluster:
    """See `harness.cluster.protocol.Cluster`. With `keep_as` it can be kept under that name beyond this process."""

    kind = "embedded"
    outlives_run = False
    images_loaded = False
    features: frozenset[Feature] = frozenset({"restart-controller", "restart-agent"})

    def __init__(
        self,
        *,
        images: Sequence[Path] = (),
        api_port: int = 0,
        kubelet_backoff: bool = False,
        keep_as: str | None = None,
    ) -> None:
        self._folders = [OWN_IMAGES, *images]
        self._port, self._backoff, self._keep_as = api_port, kubelet_backoff, keep_as
        self.upgrades_per_pod = BACKOFF_FROM if kubelet_backoff else None
        self._machine: cluster.EmbeddedMachine | None = None
        self._catalogue: Catalogue | None = None

    def preflight(self, images: Sequence[str]) -> None:
        """Images, port, and whether this machine can make namespaces."""
        self._catalogue = catalogue(self._folders)
        for ref in images:
            if self._catalogue.find(ref) is None:
                raise InputError(self._catalogue.missing(ref) + " Give the folder of your own with --images.")
        cluster.listen(self._port).close()
        for finding in check():
            if not finding.ok:
                raise InputError(f"{finding.name}: {finding.detail}; {finding.remedy}")

    def up(self, site: Site | None = None) -> None:
        """Starts it, installs the controller, and waits until the webhooks answer."""
        self._machine = cluster.start(
            images=self._folders, api_port=self._port, kubelet_backoff=self._backoff, keep_as=self._keep_as
        )
        api = self.client()
        for body in install_objects(CONTROLLER_IMAGE):
            create(api, body)
        await_webhooks(api, CONTROLLER_WITHIN_S)

    def client(self) -> k8s.ApiClient:
        """A new client of its API."""
        if self._machine is None:
            raise ClusterError("the embedded cluster is not up")
        return self._machine.client()

    def alias(self, ref: str, index: int) -> str:
        """Itself: its images are folders."""
        return ref

    def restart(self, part: Part, within_s: float) -> None:
        """The controller is a pod like any other; the agent restarts when its node is told to."""
        api = self.client()
        if part == "controller":
            restart_controller(api, within_s)
            return
        core: Any = k8s.CoreV1Api(api)
        with calling("restart the node's agent"):
            for node in core.list_node(_request_timeout=REQUEST_S).items:
                core.connect_post_node_proxy_with_path(
                    node.metadata.name, "restart", _request_timeout=within_s
                )

    def info(self) -> ClusterInfo:
        """Kind, versions, node, and what makes it differ from a real cluster."""
        api = self.client()
        core: Any = k8s.CoreV1Api(api)
        return ClusterInfo(
            kind=self.kind,
            kubernetes=k8s.VersionApi(api).get_code().git_version,
            controller=Controller(name="reference SidecarSet controller", version=__version__),
            nodes=[node.metadata.name for node in core.list_node().items],
            notes=[SUBSTRATE, BACKOFF[self._backoff]],
        )

    def keep(self) -> None:
        """Lets it live on after this process."""
        if self._machine is not None:
            self._machine.release()

    def down(self) -> None:
        """Ends it; nothing is left."""
        if self._machine is not None:
            self._machine.stop()
            self._machine = None
