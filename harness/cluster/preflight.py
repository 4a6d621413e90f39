"""What has to be right on a cluster before a run puts anything on it, each a check with one line that helps.

Knows nothing of runs; the table of rights is what harness and load generator call.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from kubernetes.client import ApiextensionsV1Api, AuthorizationV1Api, CoreV1Api
from kubernetes.client.exceptions import ApiException

from harness.calls import REQUEST_S, calling
from harness.cluster.protocol import Feature
from harness.cluster.remote import Remote, version_of
from harness.cluster.webhooks import refusal
from harness.errors import InputError
from harness.manifest import GROUP
from harness.upgrade.sidecarset import PLURAL

UPGRADES_PER_POD = 3  # a kubelet delays the fourth quick image change of a container
NOT_FOUND = 404
SERVED = "v1alpha1"
KRUISE = (
    "helm repo add openkruise https://openkruise.github.io/charts/ && "
    "helm install kruise openkruise/kruise --version 1.9.0"
)
KIND_LABEL, BACKOFF_LABEL = (
    "hotupgrade/cluster",
    "hotupgrade/kubelet-backoff",
)  # on an embedded cluster's node
EMBEDDED = "embedded"


@dataclass(frozen=True)
class Right:
    """A verb on a resource; `namespaced` within the run's namespace, which does not exist yet."""

    verb: str
    resource: str
    group: str = ""
    subresource: str = ""

    def __str__(self) -> str:
        name = f"{self.resource}/{self.subresource}" if self.subresource else self.resource
        return f"{self.verb} {name}" + (f".{self.group}" if self.group else "")


def _rights(group: str, resource: str, *verbs: str, subresource: str = "") -> list[Right]:
    return [Right(verb, resource, group, subresource) for verb in verbs]


RIGHTS: tuple[Right, ...] = (
    *_rights("", "namespaces", "create", "list", "delete"),
    *_rights("", "nodes", "list"),
    *_rights("", "pods", "create", "get", "list", "watch", "delete"),
    *_rights("", "pods", "get", subresource="log"),
    *_rights("", "pods", "get", "create", subresource="proxy"),
    *_rights("", "events", "list"),
    *_rights("", "configmaps", "create", "delete"),
    *_rights("", "services", "create", "delete"),
    *_rights("apps", "deployments", "create", "get", "list", "delete"),
    *_rights("apiextensions.k8s.io", "customresourcedefinitions", "get"),
    *_rights(GROUP, PLURAL, "create", "get", "list", "update", "delete"),
)
"""In all namespaces: the run's own does not exist yet."""


@dataclass(frozen=True)
class Offer:
    """What the cluster can do; see `harness.cluster.protocol.Cluster`."""

    features: frozenset[Feature]
    upgrades_per_pod: int | None


def check(remote: Remote) -> Offer:
    """Runs every check; InputError with one line for each that fails."""
    version_of(remote)
    for stage in STAGES:  # what a later stage asks means nothing when an earlier one fails
        wrong = [line for one in stage for line in one(remote)]
        if wrong:
            raise InputError("; ".join(wrong))
    labels = _node_labels(remote)
    delays = labels.get(BACKOFF_LABEL, "true") == "true"
    return Offer(
        features=frozenset() if labels.get(KIND_LABEL) == EMBEDDED else frozenset({"services"}),
        upgrades_per_pod=UPGRADES_PER_POD if delays else None,
    )


def _allowed(remote: Remote) -> Iterator[str]:
    missing = [right for right, allowed in zip(RIGHTS, _ask(remote), strict=True) if not allowed]
    if missing:
        verbs = ", ".join(map(str, missing))
        yield f"context {remote.context} may not {verbs}; ask for a ClusterRole with these"


def _ask(remote: Remote) -> list[bool]:
    api: Any = AuthorizationV1Api(remote.client())

    def one(right: Right) -> bool:
        attributes = {
            "verb": right.verb,
            "group": right.group,
            "resource": right.resource,
            "subresource": right.subresource,
        }
        review = {"spec": {"resourceAttributes": attributes}}
        answer = api.create_self_subject_access_review(review, _request_timeout=REQUEST_S)
        return bool(answer.status.allowed)

    with calling("ask which rights there are"), ThreadPoolExecutor(4) as pool:
        return list(pool.map(one, RIGHTS))


def _kruise(remote: Remote) -> Iterator[str]:
    api: Any = ApiextensionsV1Api(remote.client())
    with calling("look for Kruise"):
        try:
            definition = api.read_custom_resource_definition(f"{PLURAL}.{GROUP}", _request_timeout=REQUEST_S)
        except ApiException as error:
            if error.status != NOT_FOUND:
                raise
            yield f"Kruise is not installed ({PLURAL}.{GROUP} is missing); install it: {KRUISE}"
            return
    served = [version.name for version in definition.spec.versions if version.served]
    if SERVED not in served:  # the probe of its webhooks speaks it, so does clean
        yield f"Kruise serves SidecarSets as {', '.join(served)}, not {SERVED}; install 1.9.0: {KRUISE}"


def _webhooks(remote: Remote) -> Iterator[str]:
    why = refusal(remote.client())
    if why is not None:
        yield f"Kruise's webhooks do not answer ({why}); see kubectl -n kruise-system get pods"


def _nodes(remote: Remote) -> Iterator[str]:
    nodes = _list_nodes(remote)
    ready = [
        node
        for node in nodes
        if not node.spec.unschedulable
        and any(c.type == "Ready" and c.status == "True" for c in node.status.conditions or [])
    ]
    if not ready:
        yield f"none of {len(nodes)} nodes is ready and schedulable; see kubectl get nodes"


def _node_labels(remote: Remote) -> dict[str, str]:
    return {key: value for node in _list_nodes(remote) for key, value in (node.metadata.labels or {}).items()}


def _list_nodes(remote: Remote) -> list[Any]:
    core: Any = CoreV1Api(remote.client())
    with calling("list the nodes"):
        return list(core.list_node(_request_timeout=REQUEST_S).items)


Check = Callable[[Remote], Iterator[str]]
STAGES: tuple[tuple[Check, ...], ...] = ((_allowed,), (_kruise, _nodes), (_webhooks,))
"""In order; those of one stage are told together."""
