"""Objects of any kind, by their places in the API and word for word. Knows nothing of what they are.

The client's own models refuse manifests that a server takes (a number for a quantity) and know no custom kinds, and
each class of it takes a fifth of a second to import.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from kubernetes.client import ApiClient
from kubernetes.client.exceptions import ApiException

from harness.calls import REQUEST_S, calling
from harness.errors import ClusterError


def create(api: ApiClient, body: Mapping[str, Any]) -> None:
    """Creates it; ClusterError."""
    kind, metadata = body["kind"], body["metadata"]
    with calling(f"create {kind} {metadata['name']}"):
        root = _root(body["apiVersion"])
        resource = _resource(api, root, kind)
        within = f"/namespaces/{metadata.get('namespace', 'default')}" if resource["namespaced"] else ""
        _call(api, "POST", f"{root}{within}/{resource['name']}", dict(body))


def listed(api: ApiClient, path: str, selector: str = "") -> Sequence[Mapping[str, Any]]:
    """The manifests of those at a place, such as /api/v1/namespaces, that a label selector names; ApiException."""
    items: Sequence[Mapping[str, Any]] = _call(api, "GET", path, None, {"labelSelector": selector})["items"]
    return items


def delete(api: ApiClient, path: str, name: str) -> None:
    """Tells the cluster that it has to go; ApiException."""
    _call(api, "DELETE", f"{path}/{name}", None)


def _root(api_version: str) -> str:
    return f"/apis/{api_version}" if "/" in api_version else f"/api/{api_version}"


def _resource(api: ApiClient, root: str, kind: str) -> Mapping[str, Any]:
    """The resource of a kind, as the server's discovery has it."""
    for resource in _call(api, "GET", root, None)["resources"]:
        if resource["kind"] == kind and "/" not in resource["name"]:
            found: Mapping[str, Any] = resource
            return found
    raise ClusterError(f"the cluster serves no {kind} in {root}")


def _call(
    api: ApiClient,
    method: str,
    path: str,
    body: Mapping[str, Any] | None,
    query: Mapping[str, str] | None = None,
) -> Any:
    headers = {"Accept": "application/json", "Content-Type": "application/json"}
    request = api.param_serialize(
        method,
        path,
        query_params=list((query or {}).items()),
        header_params=headers,
        body=body,
        auth_settings=["BearerToken"],
    )
    answer: Any = api.call_api(*request, _request_timeout=REQUEST_S)
    text = answer.read()
    if not 200 <= answer.status < 300:
        raise ApiException(status=answer.status, reason=answer.reason, body=text.decode(errors="replace"))
    return json.loads(text)
