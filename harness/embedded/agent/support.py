"""What a pod may not ask for here, because its outcome would differ from a real node's, and what is passed
over.

Knows nothing of how a pod is run.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from harness.embedded.seams import Object

REFUSED_IN_POD = (
    "hostNetwork",
    "hostPID",
    "hostIPC",
    "shareProcessNamespace",
    "activeDeadlineSeconds",
    "hostAliases",
)
REFUSED_IN_CONTAINER = ("volumeDevices", "resizePolicy")
REFUSED_IN_POD_SECURITY = ("sysctls", "windowsOptions")
PASSED_IN_POD = ("runtimeClassName", "dnsConfig", "subdomain", "overhead")
PASSED_IN_SECURITY = (
    "allowPrivilegeEscalation",
    "appArmorProfile",
    "capabilities",
    "fsGroup",
    "procMount",
    "readOnlyRootFilesystem",
    "seLinuxOptions",
    "seccompProfile",
    "supplementalGroups",
)
PROBES = ("startupProbe", "livenessProbe", "readinessProbe")


def _containers(pod: Object) -> Iterator[tuple[str, Object]]:
    for key in ("initContainers", "containers"):
        for container in pod["spec"].get(key) or []:
            yield f"spec.{key}{{{container['name']}}}", container


def _asked(body: Object, keys: tuple[str, ...], path: str) -> Iterator[str]:
    """The keys that hold more than a default."""
    for key in keys:
        value: Any = body.get(key)
        if value:
            yield f"{path}.{key}"


def refusals(pod: Object) -> list[str]:
    """The fields that this node cannot give what they ask for; a pod with one of them is not started."""
    spec = pod["spec"]
    found = list(_asked(spec, REFUSED_IN_POD, "spec"))
    found += _asked(spec.get("securityContext") or {}, REFUSED_IN_POD_SECURITY, "spec.securityContext")
    for path, container in _containers(pod):
        found += _asked(container, REFUSED_IN_CONTAINER, path)
        security = container.get("securityContext") or {}
        found += _asked(security, ("privileged",), f"{path}.securityContext")
        if (security.get("capabilities") or {}).get("add"):
            found.append(f"{path}.securityContext.capabilities.add")
        found += [f"{path}.{probe}.grpc" for probe in PROBES if "grpc" in (container.get(probe) or {})]
    return found


def passed_over(pod: Object) -> list[str]:
    """The fields that have no effect here; the pod is started without them, and an event says so."""
    spec = pod["spec"]
    found = list(_asked(spec, PASSED_IN_POD, "spec"))
    found += _asked(spec.get("securityContext") or {}, PASSED_IN_SECURITY, "spec.securityContext")
    for path, container in _containers(pod):
        found += _asked(container.get("securityContext") or {}, PASSED_IN_SECURITY, f"{path}.securityContext")
    return found
