"""Where the pods under test come from: the project's application, made for each lap, or a workload of the user's own.

Knows nothing of traffic and upgrades.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from kubernetes.client import ApiClient, AppsV1Api

from harness.calls import REQUEST_S, calling
from harness.site import Site
from harness.traffic.workload import app_deployment, app_name

LAP_LABEL = "hotupgrade/lap"


class Workload(Protocol):
    """The pods of a lap. Use: `start`, wait until they have their sidecars, …, `stop`."""

    @property
    def namespace(self) -> str:
        """Where they are."""

    @property
    def keeps_ledger(self) -> bool:
        """Its application records what it executed."""

    def labels(self, matching: Mapping[str, str], lap: int) -> dict[str, str]:
        """Labels that select the lap's pods; `matching` lets a pod match the SidecarSet."""

    def start(self, api: ApiClient, labels: Mapping[str, str], lap: int, pods: int) -> None:
        """Makes so many pods; ClusterError."""

    def scale(self, api: ApiClient, lap: int, pods: int) -> None:
        """Asks for so many pods; ClusterError. Nothing is waited for."""

    def stop(self, api: ApiClient, lap: int) -> None:
        """Takes them away; ClusterError. Nothing is waited for."""


@dataclass(frozen=True)
class OwnApplication:
    """The project's application, in fresh pods for each lap, in the run's namespace."""

    site: Site
    keeps_ledger: bool = True

    @property
    def namespace(self) -> str:
        """The run's."""
        return self.site.namespace

    def labels(self, matching: Mapping[str, str], lap: int) -> dict[str, str]:
        """The lap's own beside those that match."""
        return {**matching, LAP_LABEL: str(lap)}

    def start(self, api: ApiClient, labels: Mapping[str, str], lap: int, pods: int) -> None:
        """A Deployment."""
        apps: Any = AppsV1Api(api)
        with calling("create the application's Deployment"):
            apps.create_namespaced_deployment(
                self.namespace, app_deployment(self.site, lap, labels, replicas=pods)
            )

    def scale(self, api: ApiClient, lap: int, pods: int) -> None:
        """The Deployment's replicas."""
        apps: Any = AppsV1Api(api)
        with calling(f"scale the application to {pods} pods"):
            apps.patch_namespaced_deployment(
                app_name(lap), self.namespace, {"spec": {"replicas": pods}}, _request_timeout=REQUEST_S
            )

    def stop(self, api: ApiClient, lap: int) -> None:
        """Makes room for the next lap: two cores do not bear the pods of two."""
        with calling("delete the application's Deployment"):
            AppsV1Api(api).delete_namespaced_deployment(
                app_name(lap), self.namespace, _request_timeout=REQUEST_S
            )
