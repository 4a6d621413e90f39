"""The patch types: JSON patch, JSON merge patch, strategic merge patch. Knows nothing of storage or HTTP."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import jsonpatch

from harness.embedded.api import strategic
from harness.embedded.api.refusals import bad_request, unsupported, unsupported_media
from harness.embedded.api.storage import clone
from harness.embedded.seams import ApiError, Object

JSON_PATCH = "application/json-patch+json"
MERGE_PATCH = "application/merge-patch+json"
STRATEGIC_PATCH = "application/strategic-merge-patch+json"
APPLY_PATCH = ("application/apply-patch+yaml", "application/apply-patch+cbor")


def apply(object: Object, patch: Any, media_type: str, shape: strategic.Shape | None) -> Object:
    """The object with the patch applied, as another object. `shape` is None for custom resources; ApiError
    4xx.
    """
    if media_type in APPLY_PATCH:
        raise _no_server_side_apply()
    if media_type == JSON_PATCH:
        return json_patch(object, patch)
    if media_type not in (MERGE_PATCH, STRATEGIC_PATCH):
        known = ", ".join((JSON_PATCH, MERGE_PATCH, STRATEGIC_PATCH))
        raise unsupported_media(
            f"the body of the request was in an unknown format - accepted media types include: {known}"
        )
    if not isinstance(patch, dict):
        raise bad_request("a merge patch has to be a JSON object")
    if media_type == MERGE_PATCH:
        return merge(object, patch)
    if shape is None:
        raise unsupported_media(
            "the body of the request was in an unknown format - accepted media types include: "
            f"{JSON_PATCH}, {MERGE_PATCH}; a strategic merge patch is for built-in kinds only"
        )
    return strategic.merge(object, patch, shape)


def _no_server_side_apply() -> ApiError:
    error = unsupported(
        "server-side apply; use client-side apply (`kubectl apply` without --server-side) or another patch"
    )
    return ApiError(415, "UnsupportedMediaType", error.message)


def json_patch(object: Object, operations: Any) -> Object:
    """RFC 6902."""
    if not isinstance(operations, list):
        raise bad_request("a JSON patch has to be a list of operations")
    try:
        result = jsonpatch.apply_patch(object, operations)
    except jsonpatch.JsonPatchTestFailed as error:
        raise ApiError(
            422, "Invalid", f"the server rejected our request due to an error in our request: {error}"
        ) from error
    except (jsonpatch.JsonPatchConflict, jsonpatch.JsonPointerException) as error:
        raise ApiError(
            422, "Invalid", f"the server rejected our request due to an error in our request: {error}"
        ) from error
    except (jsonpatch.JsonPatchException, TypeError, AttributeError, KeyError, ValueError) as error:
        raise bad_request(f"not a JSON patch: {error}") from error
    if not isinstance(result, dict):
        raise bad_request("a JSON patch must leave an object")
    return result


def merge(object: Object, patch: Mapping[str, Any]) -> Object:
    """RFC 7386."""
    result = clone(object)
    _merge(result, patch)
    return result  # type: ignore[no-any-return]  # clone keeps the type


def _merge(target: dict[str, Any], patch: Mapping[str, Any]) -> None:
    for key, value in patch.items():
        if value is None:
            target.pop(key, None)
        elif isinstance(value, dict):
            if not isinstance(target.get(key), dict):
                target[key] = {}
            _merge(target[key], value)
        else:
            target[key] = clone(value)
