"""Where things are in the API: the paths of its URLs. Knows nothing of what is done there."""

from __future__ import annotations

from harness.sidecarset.names import GROUP, PLURAL, STORAGE_VERSION, WHITELIST_CONFIGMAP, Object

SIDECARSETS = f"/apis/{GROUP}/{STORAGE_VERSION}/{PLURAL}"
PODS = "/api/v1/pods"
NAMESPACES = "/api/v1/namespaces"
CRDS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
MUTATING = "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations"
VALIDATING = "/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations"


def sidecarset(name: str, subresource: str = "") -> str:
    """A SidecarSet, or its status."""
    return _with(f"{SIDECARSETS}/{name}", subresource)


def pods_in(namespace: str | None) -> str:
    """The pods of a namespace, or all."""
    return f"{NAMESPACES}/{namespace}/pods" if namespace else PODS


def pod(body: Object, subresource: str = "") -> str:
    """A pod, or its status."""
    metadata = body["metadata"]
    return _with(f"{pods_in(metadata['namespace'])}/{metadata['name']}", subresource)


def namespace(name: str) -> str:
    """A namespace."""
    return f"{NAMESPACES}/{name}"


def events_in(namespace: str) -> str:
    """The events of a namespace."""
    return f"{NAMESPACES}/{namespace}/events"


def revisions_in(namespace: str) -> str:
    """The ControllerRevisions of a namespace."""
    return f"/apis/apps/v1/namespaces/{namespace}/controllerrevisions"


def whitelist_in(namespace: str) -> str:
    """The ConfigMap that says which annotations may be patched into pods."""
    return f"{NAMESPACES}/{namespace}/configmaps/{WHITELIST_CONFIGMAP}"


def _with(path: str, subresource: str) -> str:
    return f"{path}/{subresource}" if subresource else path
