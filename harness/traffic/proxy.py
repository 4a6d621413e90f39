"""HTTP to a pod through the API server's pod proxy, with bodies exactly as the pod sent them.

The client's own proxy methods run a JSON answer through Python's repr, so the raw call is used. Knows nothing
of what is said.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from kubernetes.client import ApiClient, ApiException
from urllib3.exceptions import HTTPError

from harness.errors import ClusterError

Method = Literal["GET", "POST"]

QUOTED_CHARACTERS = 200  # of an error page: enough for its first line


class Unreachable(ClusterError):
    """The pod did not answer, or not with success."""


@dataclass(frozen=True)
class PodPort:
    """A port of a pod, behind the proxy."""

    client: ApiClient
    namespace: str
    pod: str
    port: int

    def call(self, method: Method, path: str, timeout_s: float) -> bytes:
        """Sends a request without a body and returns the answer's; Unreachable."""
        where = f"/api/v1/namespaces/{self.namespace}/pods/{self.pod}:{self.port}/proxy{path}"
        request = self.client.param_serialize(
            method, where, header_params={"Accept": "*/*"}, auth_settings=["BearerToken"]
        )
        try:
            response: Any = self.client.call_api(*request, _request_timeout=timeout_s)
            body: bytes = response.read()
        except (ApiException, HTTPError, OSError) as error:
            raise Unreachable(f"{method} {where}: {error}") from error
        if not 200 <= response.status < 300:
            said = body.decode(errors="replace").strip()[:QUOTED_CHARACTERS]
            raise Unreachable(f"{method} {where}: status {response.status}: {said}")
        return body
