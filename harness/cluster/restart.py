"""Restarts the SidecarSet controller of a cluster. Knows nothing of which cluster it is."""

from __future__ import annotations

from typing import Any

from kubernetes.client import ApiClient, CoreV1Api

from harness.calls import REQUEST_S, calling
from harness.cluster.webhooks import CONTROLLER_NAMESPACE, await_webhooks
from harness.errors import ClusterError

CONTROLLER = "kruise-controller-manager"  # how Kruise's Deployment, and so its pods, are called


def restart_controller(api: ApiClient, within_s: float) -> None:
    """Deletes the controller's pods at once, and waits until the webhooks answer again; ClusterError."""
    core: Any = CoreV1Api(api)
    with calling("restart the SidecarSet controller"):
        found = core.list_namespaced_pod(CONTROLLER_NAMESPACE, _request_timeout=REQUEST_S).items
        names = [pod.metadata.name for pod in found if pod.metadata.name.startswith(CONTROLLER)]
        if not names:
            raise ClusterError(f"namespace {CONTROLLER_NAMESPACE} has no pod of the SidecarSet controller")
        for name in names:
            core.delete_namespaced_pod(
                name, CONTROLLER_NAMESPACE, grace_period_seconds=0, _request_timeout=REQUEST_S
            )
    await_webhooks(api, within_s)
