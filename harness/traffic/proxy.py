"""HTTP to a pod through the API server's pod proxy, with bodies exactly as the pod sent them.

The client's own proxy methods run a JSON answer through Python's repr, so its connections are used as they are.
Knows nothing of what is said.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from kubernetes.client import ApiClient
from urllib3.exceptions import HTTPError

from harness.errors import ClusterError

Method = Literal["GET", "POST"]

QUOTED_CHARACTERS = 200  # of an error page: enough for its first line


class Unreachable(ClusterError):
    """The pod did not answer, or not with success."""


@dataclass(frozen=True)
class Reply:
    """A pod's answer, whatever it says; or the API server's, when the pod has none."""

    status: int
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True)
class PodPort:
    """A port of a pod, behind the proxy."""

    client: ApiClient
    namespace: str
    pod: str
    port: int

    def call(self, method: Method, path: str, timeout_s: float, body: bytes | None = None) -> bytes:
        """Sends a request and returns the answer's body; Unreachable."""
        reply = self.exchange(method, path, timeout_s, {"Accept": "*/*"}, body)
        if not 200 <= reply.status < 300:
            said = reply.body.decode(errors="replace").strip()[:QUOTED_CHARACTERS]
            raise Unreachable(f"{method} {self._path(path)}: status {reply.status}: {said}")
        return reply.body

    def exchange(
        self, method: Method, path: str, timeout_s: float, headers: Mapping[str, str], body: bytes | None
    ) -> Reply:
        """Sends a request as it is, and returns what came back as it is; Unreachable when nothing did."""
        _, url, authorized, *_ = self.client.param_serialize(
            method, self._path(path), header_params=dict(headers), auth_settings=["BearerToken"]
        )
        try:
            response = self.client.rest_client.pool_manager.request(
                method, url, headers=authorized, body=body, timeout=timeout_s, redirect=False
            )
        except (HTTPError, OSError) as error:
            raise Unreachable(f"{method} {self._path(path)}: {error}") from error
        return Reply(response.status, response.headers, response.data)

    def _path(self, path: str) -> str:
        return f"/api/v1/namespaces/{self.namespace}/pods/{self.pod}:{self.port}/proxy{path}"
