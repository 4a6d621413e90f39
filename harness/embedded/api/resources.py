"""The table of built-in resources. Custom ones take the same form (see `crd`). Knows nothing of their
fields' meaning.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from harness.embedded.seams import Object, Resource


@dataclass(frozen=True)
class Column:
    """A column of `kubectl get`; priority 0 is always shown, 1 only with -o wide. `path` is set for custom
    columns.
    """

    name: str
    type: str = "string"
    priority: int = 0
    format: str = ""
    description: str = ""
    path: str = ""


@dataclass(frozen=True)
class Kind:
    """One served version of a resource.

    `storage` is the version that is kept. `generation`: whether metadata.generation counts changes of the
    spec. `subresources` maps a name to its kind, its apiVersion if that is another one, and its verbs.
    """

    group: str
    version: str
    plural: str
    singular: str
    kind: str
    namespaced: bool
    short: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()
    subresources: Mapping[str, tuple[str, str, tuple[str, ...]]] = field(default_factory=dict)
    generation: bool = False
    storage: str = ""
    custom: bool = False
    columns: tuple[Column, ...] = ()

    @property
    def resource(self) -> str:
        """The key of its storage: `pods`, `deployments.apps`."""
        return f"{self.plural}.{self.group}" if self.group else self.plural

    @property
    def api_version(self) -> str:
        """`v1`, `apps/v1`."""
        return f"{self.group}/{self.version}" if self.group else self.version

    @property
    def stored_api_version(self) -> str:
        """The apiVersion in storage."""
        version = self.storage or self.version
        return f"{self.group}/{version}" if self.group else version

    @property
    def has_status(self) -> bool:
        """Whether status is written apart from the rest."""
        return "status" in self.subresources

    @property
    def identity(self) -> Object:
        """GroupVersionKind as JSON."""
        return {"group": self.group, "version": self.version, "kind": self.kind}

    @property
    def location(self) -> Object:
        """GroupVersionResource as JSON."""
        return {"group": self.group, "version": self.version, "resource": self.plural}

    def serves(self, resource: Resource) -> bool:
        """Whether it is that resource in that version."""
        return (self.group, self.version, self.plural) == (resource.group, resource.version, resource.plural)


ALL_VERBS = ("create", "delete", "deletecollection", "get", "list", "patch", "update", "watch")
CHANGE = ("get", "patch", "update")
NO_SUBRESOURCES: Mapping[str, tuple[str, str, tuple[str, ...]]] = {}
ADMISSION = "admissionregistration.k8s.io"


def _status(kind: str) -> dict[str, tuple[str, str, tuple[str, ...]]]:
    return {"status": (kind, "", CHANGE)}


def _workload(kind: str) -> dict[str, tuple[str, str, tuple[str, ...]]]:
    return {**_status(kind), "scale": ("Scale", "autoscaling/v1", CHANGE)}


POD_SUBRESOURCES = {
    **_status("Pod"),
    "log": ("Pod", "", ("get",)),
    "exec": ("PodExecOptions", "", ("create", "get")),
    "proxy": ("PodProxyOptions", "", ("create", "delete", "get", "patch", "update")),
    "binding": ("Binding", "", ("create",)),
    "eviction": ("Eviction", "policy/v1", ("create",)),
}
NODE_SUBRESOURCES = {**_status("Node"), "proxy": ("NodeProxyOptions", "", ("create",))}

BUILT_IN: tuple[Kind, ...] = (
    Kind(
        "",
        "v1",
        "namespaces",
        "namespace",
        "Namespace",
        False,
        ("ns",),
        (),
        {**_status("Namespace"), "finalize": ("Namespace", "", ("update",))},
    ),
    Kind("", "v1", "pods", "pod", "Pod", True, ("po",), ("all",), POD_SUBRESOURCES, generation=True),
    Kind("", "v1", "nodes", "node", "Node", False, ("no",), (), NODE_SUBRESOURCES),
    Kind("", "v1", "events", "event", "Event", True, ("ev",)),
    Kind("", "v1", "configmaps", "configmap", "ConfigMap", True, ("cm",)),
    Kind("", "v1", "secrets", "secret", "Secret", True),
    Kind("", "v1", "serviceaccounts", "serviceaccount", "ServiceAccount", True, ("sa",)),
    Kind("", "v1", "services", "service", "Service", True, ("svc",), ("all",), _status("Service")),
    Kind("", "v1", "endpoints", "endpoints", "Endpoints", True, ("ep",)),
    Kind(
        "apps",
        "v1",
        "deployments",
        "deployment",
        "Deployment",
        True,
        ("deploy",),
        ("all",),
        _workload("Deployment"),
        generation=True,
    ),
    Kind(
        "apps",
        "v1",
        "replicasets",
        "replicaset",
        "ReplicaSet",
        True,
        ("rs",),
        ("all",),
        _workload("ReplicaSet"),
        generation=True,
    ),
    Kind("apps", "v1", "controllerrevisions", "controllerrevision", "ControllerRevision", True),
    Kind("coordination.k8s.io", "v1", "leases", "lease", "Lease", True),
    Kind(
        ADMISSION,
        "v1",
        "mutatingwebhookconfigurations",
        "mutatingwebhookconfiguration",
        "MutatingWebhookConfiguration",
        False,
        (),
        ("api-extensions",),
        generation=True,
    ),
    Kind(
        ADMISSION,
        "v1",
        "validatingwebhookconfigurations",
        "validatingwebhookconfiguration",
        "ValidatingWebhookConfiguration",
        False,
        (),
        ("api-extensions",),
        generation=True,
    ),
    Kind(
        "apiextensions.k8s.io",
        "v1",
        "customresourcedefinitions",
        "customresourcedefinition",
        "CustomResourceDefinition",
        False,
        ("crd", "crds"),
        ("api-extensions",),
        _status("CustomResourceDefinition"),
        generation=True,
    ),
)

NAMESPACES_KEY, PODS_KEY = "namespaces", "pods"
MUTATING, VALIDATING = (
    f"mutatingwebhookconfigurations.{ADMISSION}",
    f"validatingwebhookconfigurations.{ADMISSION}",
)
CRDS = "customresourcedefinitions.apiextensions.k8s.io"
