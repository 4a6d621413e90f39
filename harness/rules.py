"""What a cluster's own rules do to the run's namespace: whether it takes a run's pods and lets them talk.

Pod security, quotas and policies are given to a namespace when it is made, so nothing tells before. Knows nothing of
what the pods do.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from kubernetes.client import ApiClient, CoreV1Api
from kubernetes.client.exceptions import ApiException

from harness.calls import REQUEST_S, calling, reason_of
from harness.errors import InputError
from harness.objects import listed
from harness.site import Site

REFUSALS = frozenset({400, 403, 422})  # what admission answers; anything else is trouble of the cluster
FORBIDDEN, NOT_FOUND = 403, 404
DIRECTIONS = {"Ingress": "ingress", "Egress": "egress"}


def admit(api: ApiClient, site: Site, pods: Sequence[Mapping[str, Any]]) -> None:
    """A dry run of every pod; InputError for one that the namespace does not take, ClusterError."""
    core: Any = CoreV1Api(api)
    for pod in pods:
        name = pod["metadata"]["name"]
        with calling(f"try whether the namespace takes pod {name}"):
            try:
                core.create_namespaced_pod(
                    site.namespace, dict(pod), dry_run="All", _request_timeout=REQUEST_S
                )
            except ApiException as error:
                if error.status not in REFUSALS:
                    raise
                raise InputError(
                    f"the cluster refuses pod {name} in a new namespace ({reason_of(error)}); "
                    "exempt namespaces hotupgrade-* from that rule"
                ) from error


def talk(api: ApiClient, site: Site) -> None:
    """InputError when NetworkPolicies that the cluster put into the namespace let its pods talk to nobody."""
    with calling("list the namespace's NetworkPolicies"):
        try:
            found = listed(api, f"/apis/networking.k8s.io/v1/namespaces/{site.namespace}/networkpolicies")
        except ApiException as error:
            if error.status in (FORBIDDEN, NOT_FOUND):  # who may not look has to try
                return
            raise
    for direction, names in _closed(found):
        raise InputError(
            f"NetworkPolicy {', '.join(names)}, which the cluster puts into new namespaces, "
            f"lets no {direction} through; exempt namespaces hotupgrade-* from it"
        )


def _closed(policies: Sequence[Mapping[str, Any]]) -> Iterator[tuple[str, list[str]]]:
    """Directions that are closed for every pod, and by which policies.

    What one policy allows, no other takes back: https://kubernetes.io/docs/concepts/services-networking/network-policies
    """
    for kind, field in DIRECTIONS.items():
        meant = [policy for policy in policies if kind in policy["spec"].get("policyTypes", ["Ingress"])]
        for_all = [policy["metadata"]["name"] for policy in meant if not any(_selector(policy).values())]
        if for_all and not any(policy["spec"].get(field) for policy in meant):
            yield field, for_all


def _selector(policy: Mapping[str, Any]) -> Mapping[str, Any]:
    found: Mapping[str, Any] = policy["spec"].get("podSelector") or {}
    return found
