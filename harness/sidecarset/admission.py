"""AdmissionReview and ConversionReview, v1: what the API server asks and how it is answered. Knows nothing of
SidecarSets."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable

from harness.sidecarset.names import Object

REFUSAL_CODE = 500
"""Kruise answers every refusal as an internal error, not as 422; clients see the same here."""


class Refused(Exception):
    """The request is not admitted; the message is what the user reads."""


class BadReview(ValueError):
    """Not a review that can be answered."""


def admitted(review: Object, handle: Callable[[Object], Object | None]) -> Object:
    """The answer to an AdmissionReview. `handle` gets the request and returns the changed object, or None."""
    request = _request(review)
    response: Object = {"uid": request["uid"], "allowed": True}
    try:
        changed = handle(request)
    except Refused as refusal:
        response = {
            "uid": request["uid"],
            "allowed": False,
            "status": {"code": REFUSAL_CODE, "message": str(refusal)},
        }
    else:
        operations = patch(request.get("object") or {}, changed) if changed is not None else []
        if operations:
            encoded = base64.b64encode(json.dumps(operations).encode()).decode()
            response |= {"patchType": "JSONPatch", "patch": encoded}
    return {"apiVersion": review["apiVersion"], "kind": review["kind"], "response": response}


def patch(before: Object, after: Object) -> list[Object]:
    """JSON patch that sets what differs, one operation per field of metadata and spec."""
    operations: list[Object] = []
    for section in ("metadata", "spec"):
        here, there = before.get(section) or {}, after.get(section) or {}
        if here:
            operations += [
                {"op": "add", "path": f"/{section}/{key}", "value": value}
                for key, value in there.items()
                if key not in here or here[key] != value
            ]
        elif there != here:
            operations.append({"op": "add", "path": f"/{section}", "value": there})
    return operations


def converted(review: Object, convert: Callable[[Object, str], Object]) -> Object:
    """The answer to a ConversionReview. `convert` gets an object and the apiVersion to convert to;
    ValueError."""
    request = _request(review)
    response: Object = {"uid": request["uid"]}
    try:
        objects = [convert(each, request["desiredAPIVersion"]) for each in request.get("objects") or []]
        response |= {"convertedObjects": objects, "result": {"status": "Success"}}
    except ValueError as error:
        response |= {"convertedObjects": [], "result": {"status": "Failure", "message": str(error)}}
    return {"apiVersion": review["apiVersion"], "kind": review["kind"], "response": response}


def _request(review: Object) -> Object:
    request = review.get("request") if isinstance(review, dict) else None
    if not isinstance(request, dict) or "uid" not in request or not {"apiVersion", "kind"} <= review.keys():
        raise BadReview("not a review: apiVersion, kind and request.uid are needed")
    return request
