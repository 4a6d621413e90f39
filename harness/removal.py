"""What carries the marks of runs on a cluster, and its removal in an order that lets go.

Webhook configurations come first: one that fails closed and has lost its server would refuse all that follows.
CRDs come last. Knows nothing of who asks.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from kubernetes.client import ApiClient
from kubernetes.client.exceptions import ApiException

from harness.calls import calling
from harness.errors import Timeout
from harness.manifest import GROUP
from harness.objects import delete, listed
from harness.site import MANAGED_BY, MANAGER, OWNER, RUN_LABEL

GONE_WITHIN_S = (
    90.0  # a namespace goes when its last pod has: their grace periods, one hook that holds a pod up
)
POLL_S = 0.2
NOT_FOUND, FORBIDDEN = 404, 403
CONFLICT = 409  # it is going already


@dataclass(frozen=True)
class Marked:
    """An object of a run; `owner` is empty where the run did not say."""

    kind: str
    name: str
    run: str
    owner: str

    def __str__(self) -> str:
        return f"{self.kind} {self.name}"


@dataclass(frozen=True)
class _Kind:
    """A kind whose objects lie in no namespace, and its place in the API."""

    name: str
    path: str


ADMISSION, RBAC = "/apis/admissionregistration.k8s.io/v1", "/apis/rbac.authorization.k8s.io/v1"
KINDS = (
    _Kind("MutatingWebhookConfiguration", f"{ADMISSION}/mutatingwebhookconfigurations"),
    _Kind("ValidatingWebhookConfiguration", f"{ADMISSION}/validatingwebhookconfigurations"),
    _Kind("SidecarSet", f"/apis/{GROUP}/v1alpha1/sidecarsets"),
    _Kind("Namespace", "/api/v1/namespaces"),
    _Kind("ClusterRoleBinding", f"{RBAC}/clusterrolebindings"),
    _Kind("ClusterRole", f"{RBAC}/clusterroles"),
    _Kind("CustomResourceDefinition", "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"),
)
"""In the order of removal. What lies in a namespace goes with it."""


def marked(api: ApiClient, run: str | None = None) -> list[Marked]:
    """Every object that carries the marks of that run, or of any; ClusterError.

    A kind that the cluster does not know has none, and one that may not be listed neither: who made one could.
    """
    selector = f"{MANAGED_BY}={MANAGER}," + (f"{RUN_LABEL}={run}" if run else RUN_LABEL)
    return [one for kind in KINDS for one in _of(api, kind, selector)]


def remove(api: ApiClient, objects: Sequence[Marked]) -> None:
    """Deletes them and waits until they are gone; ClusterError, Timeout names what stays."""
    deadline = time.monotonic() + GONE_WITHIN_S
    for kind in KINDS:
        pending = [one for one in objects if one.kind == kind.name]
        while pending:
            pending = [one for one in pending if not _gone(api, kind, one.name)]
            if pending and time.monotonic() > deadline:
                raise Timeout(
                    f"{', '.join(map(str, pending))} not gone after {GONE_WITHIN_S:.0f} s; look at what holds it "
                    "(kubectl describe), then call hotupgrade clean"
                )
            if pending:
                time.sleep(POLL_S)


def _of(api: ApiClient, kind: _Kind, selector: str) -> Iterator[Marked]:
    with calling(f"list {kind.name}s"):
        try:
            found = listed(api, kind.path, selector)
        except ApiException as error:
            if error.status in (NOT_FOUND, FORBIDDEN):
                return
            raise
    for one in found:
        metadata = one["metadata"]
        labels, annotations = metadata.get("labels") or {}, metadata.get("annotations") or {}
        yield Marked(kind.name, metadata["name"], labels.get(RUN_LABEL, ""), annotations.get(OWNER, ""))


def _gone(api: ApiClient, kind: _Kind, name: str) -> bool:
    with calling(f"delete {kind.name} {name}"):
        try:
            delete(api, kind.path, name)
        except ApiException as error:
            if error.status == NOT_FOUND:
                return True
            if error.status != CONFLICT:
                raise
    return False
