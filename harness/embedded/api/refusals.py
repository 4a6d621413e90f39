"""Errors of the API as Kubernetes words them, and their Status bodies. Knows nothing of HTTP connections."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from harness.embedded.seams import ApiError, Object

# Types of a cause, with the words that Kubernetes puts in front of its detail.
REQUIRED, INVALID, DUPLICATE = "FieldValueRequired", "FieldValueInvalid", "FieldValueDuplicate"
NOT_FOUND, NOT_SUPPORTED, FORBIDDEN = "FieldValueNotFound", "FieldValueNotSupported", "FieldValueForbidden"
WORDS = {
    REQUIRED: "Required value",
    INVALID: "Invalid value",
    DUPLICATE: "Duplicate value",
    NOT_FOUND: "Not found",
    NOT_SUPPORTED: "Unsupported value",
    FORBIDDEN: "Forbidden",
}


@dataclass(frozen=True)
class Cause:
    """One thing that is wrong with an object: where, what kind of wrong, the value, and a detail."""

    field: str
    type: str
    detail: str = ""
    value: Any = None

    @property
    def message(self) -> str:
        """As in Kubernetes: `Invalid value: "x": detail`."""
        words = WORDS[self.type]
        if self.type not in (REQUIRED, FORBIDDEN):
            words += f": {json.dumps(self.value)}"
        return f"{words}: {self.detail}" if self.detail else words


def not_found(resource: str, name: str) -> ApiError:
    """404; `resource` is the plural with its group, as in `deployments.apps`."""
    group = resource.partition(".")[2]
    details: Object = {"name": name, "kind": resource.partition(".")[0]}
    if group:
        details["group"] = group
    return ApiError(404, "NotFound", f'{resource} "{name}" not found', details)


def unknown_path(path: str) -> ApiError:
    """404 for a path that names no resource of this server."""
    return ApiError(404, "NotFound", f"the server could not find the requested resource ({path})")


def already_exists(resource: str, name: str) -> ApiError:
    """409 for a create."""
    return ApiError(
        409,
        "AlreadyExists",
        f'{resource} "{name}" already exists',
        {"name": name, "kind": resource.partition(".")[0]},
    )


def conflict(resource: str, name: str, why: str) -> ApiError:
    """409 for a write or a delete whose precondition does not hold."""
    return ApiError(
        409,
        "Conflict",
        f'Operation cannot be fulfilled on {resource} "{name}": {why}',
        {"name": name, "kind": resource.partition(".")[0]},
    )


MODIFIED = "the object has been modified; please apply your changes to the latest version and try again"


def bad_request(message: str) -> ApiError:
    """400."""
    return ApiError(400, "BadRequest", message)


def forbidden(resource: str, name: str, why: str, causes: Sequence[Mapping[str, str]] = ()) -> ApiError:
    """403."""
    details: Object = {"name": name, "kind": resource.partition(".")[0]}
    if causes:
        details["causes"] = [dict(cause) for cause in causes]
    return ApiError(403, "Forbidden", f'{resource} "{name}" is forbidden: {why}', details)


def invalid(group: str, kind: str, name: str, causes: Sequence[Cause]) -> ApiError:
    """422 with its causes."""
    listed = [f"{cause.field}: {cause.message}" for cause in causes]
    told = listed[0] if len(listed) == 1 else f"[{', '.join(listed)}]"
    details: Object = {
        "name": name,
        "kind": kind,
        "causes": [
            {"reason": cause.type, "message": cause.message, "field": cause.field} for cause in causes
        ],
    }
    if group:
        details["group"] = group
    title = f"{kind}.{group}" if group else kind
    return ApiError(422, "Invalid", f'{title} "{name}" is invalid: {told}', details)


def unsupported_media(message: str) -> ApiError:
    """415."""
    return ApiError(415, "UnsupportedMediaType", message)


def unsupported(message: str) -> ApiError:
    """501: Kubernetes can do it, this cluster cannot; the message says what to do instead."""
    return ApiError(501, "NotImplemented", f"not supported by the embedded cluster: {message}")


def not_allowed(verb: str, resource: str) -> ApiError:
    """405."""
    return ApiError(405, "MethodNotAllowed", f"{verb} is not supported on resources of kind {resource!r}")


def expired(message: str) -> ApiError:
    """410: the caller has to list again."""
    return ApiError(410, "Expired", message)


def internal(message: str) -> ApiError:
    """500."""
    return ApiError(500, "InternalError", f"Internal error occurred: {message}")


def status_of(error: ApiError) -> Object:
    """The Status body that a client gets; a reason that is not known is left out, as Kubernetes does."""
    body: Object = {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure"}
    body["message"] = error.message
    if error.reason:
        body["reason"] = error.reason
    if error.details:
        body["details"] = error.details
    body["code"] = error.code
    return body


def success(details: Object | None = None) -> Object:
    """The Status body of a request that worked and has nothing else to show."""
    body: Object = {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success"}
    if details:
        body["details"] = details
    return body
