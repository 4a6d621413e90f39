"""Whether a cluster's SidecarSet webhooks answer. A server-side dry run shows it, nothing else does."""

from __future__ import annotations

import time
from typing import Any

from kubernetes.client import ApiClient, CoreV1Api, CustomObjectsApi
from kubernetes.client.exceptions import ApiException
from urllib3.exceptions import HTTPError

from harness.calls import REQUEST_S, reason_of
from harness.errors import ClusterError
from harness.manifest import GROUP
from harness.upgrade.sidecarset import PLURAL

CONTROLLER_NAMESPACE = "kruise-system"
DEFAULTED = "kruise.io/sidecarset-hash"  # the mutating webhook writes it into every SidecarSet
POLL_S = 0.05
LOG_LINES = 10


def await_webhooks(api: ApiClient, within_s: float) -> None:
    """Waits until a dry run of a SidecarSet comes back defaulted; ClusterError with the controller's last words."""
    deadline = time.monotonic() + within_s
    while (why := refusal(api)) is not None:
        if time.monotonic() > deadline:
            raise ClusterError(
                f"the SidecarSet controller did not answer within {within_s:.0f} s: {why}" + _log(api)
            )
        time.sleep(POLL_S)


def refusal(api: ApiClient) -> str | None:
    """Why a SidecarSet would not come through the webhooks now; None if it would."""
    custom: Any = CustomObjectsApi(api)
    try:
        made = custom.create_cluster_custom_object(
            GROUP, "v1alpha1", PLURAL, _probe(), dry_run="All", _request_timeout=REQUEST_S
        )
    except (ApiException, HTTPError) as error:
        return reason_of(error)
    if DEFAULTED in made["metadata"].get("annotations", {}):
        return None
    return "the mutating webhook is not registered yet"


def _probe() -> dict[str, Any]:
    return {
        "apiVersion": f"{GROUP}/v1alpha1",
        "kind": "SidecarSet",
        "metadata": {"name": "webhook-probe"},
        "spec": {
            "selector": {"matchLabels": {"hotupgrade": "nothing"}},
            "containers": [{"name": "probe", "image": "probe:v1"}],
        },
    }


def _log(api: ApiClient) -> str:
    """The last lines of every pod of the controller's namespace, indented."""
    core: Any = CoreV1Api(api)
    lines: list[str] = []
    try:
        for pod in core.list_namespaced_pod(CONTROLLER_NAMESPACE).items:
            lines += [f"pod {pod.metadata.name}: {pod.status.phase}"]
            lines += core.read_namespaced_pod_log(
                pod.metadata.name, CONTROLLER_NAMESPACE, tail_lines=LOG_LINES
            ).splitlines()
    except (ApiException, HTTPError):
        pass  # what was found is told; the time-out is the error
    return "".join(f"\n  {line}" for line in lines)
