"""The API calls that webhook and controller make, as one small surface, and the official client behind it.

Objects are plain JSON: nothing that this package does not know gets lost when an object is written back.
Knows nothing of SidecarSets.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, Literal, Protocol

from kubernetes.client import ApiClient
from kubernetes.client.exceptions import ApiException
from kubernetes.watch.watch import iter_resp_lines
from urllib3.exceptions import HTTPError

from harness.sidecarset.names import Object

CONNECT_S = 3.0
"""The API server is a hop away; longer means that it is gone."""
READ_S = 10.0
"""A call may wait for admission webhooks, which have this long."""
WATCH_S = 240
"""A watch is renewed after this, so that one that died silently is noticed."""

EventType = Literal["ADDED", "MODIFIED", "DELETED"]


class ApiFailure(Exception):
    """A call failed: HTTP code (0 when there was no answer), machine-readable reason and message."""

    def __init__(self, code: int, reason: str, message: str) -> None:
        super().__init__(f"{code} {reason}: {message}")
        self.code, self.reason, self.message = code, reason, message


class Client(Protocol):
    """The API. Paths are those of its URLs; every method may raise ApiFailure and may be called from any
    thread."""

    def get(self, path: str) -> Object:
        """One object."""

    def listing(self, path: str, labels: str = "") -> tuple[list[Object], str]:
        """All objects under a path, and the resourceVersion to watch from."""

    def create(self, path: str, body: Object) -> Object:
        """Creates under a path."""

    def replace(self, path: str, body: Object) -> Object:
        """Replaces an object or subresource; code 409 when the body's resourceVersion is not the newest."""

    def patch(self, path: str, body: Object) -> Object:
        """Strategic merge patch."""

    def delete(self, path: str) -> None:
        """Deletes an object."""

    def watch(self, path: str, resource_version: str) -> Iterator[tuple[EventType, Object]]:
        """Changes since then; ends when the watch does. Code 410 when that is too long ago."""


class KubernetesClient:
    """The API through the official client."""

    def __init__(self, api: ApiClient) -> None:
        self._api = api

    def get(self, path: str) -> Object:
        """One object."""
        return self._json("GET", path)

    def listing(self, path: str, labels: str = "") -> tuple[list[Object], str]:
        """All objects under a path, with the kind that lists leave out."""
        found = self._json("GET", path, [("labelSelector", labels)] if labels else [])
        kind = {
            "apiVersion": found.get("apiVersion"),
            "kind": str(found.get("kind", "")).removesuffix("List"),
        }
        items = [{**kind, **each} for each in found.get("items") or []]
        return items, str(found.get("metadata", {}).get("resourceVersion", ""))

    def create(self, path: str, body: Object) -> Object:
        """Creates under a path."""
        return self._json("POST", path, body=body)

    def replace(self, path: str, body: Object) -> Object:
        """Replaces an object or subresource."""
        return self._json("PUT", path, body=body)

    def patch(self, path: str, body: Object) -> Object:
        """Strategic merge patch."""
        return self._json("PATCH", path, body=body, content="application/strategic-merge-patch+json")

    def delete(self, path: str) -> None:
        """Deletes an object."""
        self._json("DELETE", path)

    def watch(self, path: str, resource_version: str) -> Iterator[tuple[EventType, Object]]:
        """Changes since then."""
        query = [
            ("watch", "true"),
            ("resourceVersion", resource_version),
            ("timeoutSeconds", str(WATCH_S)),
        ]
        response = self._request("GET", path, query, None, "application/json", read_s=WATCH_S + READ_S)
        try:
            for line in iter_resp_lines(response.response):  # type: ignore[no-untyped-call]
                event = json.loads(line)
                if event["type"] == "ERROR":
                    raise _failure(int(event["object"].get("code", 500)), event["object"])
                if event["type"] != "BOOKMARK":
                    yield event["type"], event["object"]
        except HTTPError as error:
            raise ApiFailure(0, "Unreachable", str(error)) from error
        finally:
            response.response.close()

    def _json(
        self,
        method: str,
        path: str,
        query: list[tuple[str, str]] | None = None,
        body: Object | None = None,
        content: str = "application/json",
    ) -> Object:
        response = self._request(method, path, query or [], body, content, read_s=READ_S)
        try:
            return dict(json.loads(response.read()))
        except HTTPError as error:
            raise ApiFailure(0, "Unreachable", str(error)) from error
        except ValueError as error:
            raise ApiFailure(response.status, "BadAnswer", f"{method} {path}: {error}") from error

    def _request(
        self,
        method: str,
        path: str,
        query: list[tuple[str, str]],
        body: Object | None,
        content: str,
        *,
        read_s: float,
    ) -> Any:
        headers = {"Accept": "application/json", "Content-Type": content}
        call = self._api.param_serialize(
            method, path, query_params=query, header_params=headers, body=body, auth_settings=["BearerToken"]
        )
        try:
            response = self._api.call_api(*call, _request_timeout=(CONNECT_S, read_s))
            if not 200 <= response.status < 300:
                raise _failure(response.status, _status(response.read()))  # type: ignore[no-untyped-call]
        except HTTPError as error:
            raise ApiFailure(0, "Unreachable", f"{method} {path}: {error}") from error
        except ApiException as error:
            raise ApiFailure(int(error.status or 0), str(error.reason), str(error.body)) from error
        return response


def _status(body: bytes) -> Object:
    try:
        found = json.loads(body)
    except ValueError:
        return {"message": body.decode(errors="replace")}
    return found if isinstance(found, dict) else {"message": str(found)}


def _failure(code: int, status: Object) -> ApiFailure:
    return ApiFailure(code, str(status.get("reason") or ""), str(status.get("message") or ""))
