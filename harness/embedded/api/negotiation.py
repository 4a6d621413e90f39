"""What a client sends and wants back: media types, bodies, options of a write. Knows nothing of resources."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from harness.embedded.api.lifecycle import Options
from harness.embedded.api.refusals import bad_request, unsupported_media
from harness.embedded.seams import ApiError, Object

JSON = "application/json"
PROTOBUF = "application/vnd.kubernetes.protobuf"
Form = Literal["object", "table", "metadata"]


@dataclass(frozen=True)
class Wanted:
    """The form of an answer; `discovery` is the version of an aggregated discovery document, or ""."""

    form: Form = "object"
    discovery: str = ""


PLAIN = Wanted()


def wanted(accept: str) -> Wanted:
    """The first form in an Accept header that can be served; JSON in the place of protobuf. ApiError 406."""
    if not accept or accept == JSON or accept == "*/*":
        return PLAIN
    known = False
    for clause in accept.split(","):
        media_type, *parameters = (part.strip() for part in clause.split(";"))
        given = dict(part.partition("=")[::2] for part in parameters)
        known = known or media_type in (JSON, "application/*", "*/*")
        if media_type != JSON and not (
            media_type == PROTOBUF and given.get("as", "").startswith("PartialObject")
        ):
            continue
        match given.get("as", ""):
            case "":
                return PLAIN
            case "Table" if given.get("v", "v1") == "v1":
                return Wanted("table")
            case "PartialObjectMetadata" | "PartialObjectMetadataList" if given.get("v", "v1") == "v1":
                return Wanted("metadata")
            case "APIGroupDiscoveryList" if given.get("v") in ("v2", "v2beta1"):
                return Wanted("object", given["v"])
    if known:
        return PLAIN
    message = f"only the following media types are accepted: {JSON}, {JSON};as=Table;v=v1;g=meta.k8s.io"
    raise ApiError(406, "NotAcceptable", message)


def parsed(body: bytes, content_type: str) -> Any:
    """A JSON body; ApiError 400, 415."""
    media_type = content_type.partition(";")[0].strip().lower()
    if media_type == PROTOBUF:
        raise unsupported_media(
            "the embedded cluster reads JSON, not protobuf, which `kubectl create KIND` sends; write a "
            "manifest (`kubectl create KIND … --dry-run=client -o yaml`) and use `kubectl apply -f`"
        )
    if media_type and not (media_type == JSON or media_type.endswith("+json")):
        raise unsupported_media(
            f"the body of the request was in an unknown format, {media_type}; send {JSON}"
        )
    try:
        return json.loads(body)
    except ValueError as error:
        raise bad_request(f"the body of the request is not JSON: {error}") from error


def options(query: Mapping[str, str], body: Any = None) -> Options:
    """Options of a write: the query, and the DeleteOptions in the body of a deletion; ApiError 400."""
    body = body if isinstance(body, dict) else {}
    dry_run = list(body.get("dryRun") or ([query["dryRun"]] if query.get("dryRun") else []))
    if dry_run not in ([], ["All"]):
        raise bad_request(f"dryRun: Unsupported value: {dry_run}: supported values: All")
    grace = body.get("gracePeriodSeconds", query.get("gracePeriodSeconds"))
    preconditions = body.get("preconditions") or {}
    propagation = body.get("propagationPolicy") or query.get("propagationPolicy") or ""
    if str(body.get("orphanDependents", query.get("orphanDependents", ""))).lower() == "true":
        propagation = "Orphan"
    if propagation not in ("", "Orphan", "Background", "Foreground"):
        raise bad_request(f"propagationPolicy: {propagation!r} is not one of Orphan, Background, Foreground")
    return Options(
        dry_run=bool(dry_run),
        grace_s=None if grace is None else whole(grace, "gracePeriodSeconds"),
        uid=preconditions.get("uid") or "",
        resource_version=preconditions.get("resourceVersion") or "",
        propagation=propagation,
        raw=_raw(query, body, dry_run),
    )


def _raw(query: Mapping[str, str], body: Object, dry_run: list[str]) -> Object:
    """The options as a webhook is shown them."""
    shown = {name: query[name] for name in ("fieldManager", "fieldValidation") if query.get(name)}
    return {**body, **shown, **({"dryRun": dry_run} if dry_run else {})}


def whole(value: Any, name: str) -> int:
    """A whole number from a query or a body; ApiError 400."""
    try:
        return int(value)
    except (TypeError, ValueError):
        raise bad_request(f"{name} has to be a whole number, not {value!r}") from None


def truth(query: Mapping[str, str], name: str) -> bool:
    """A flag in a query."""
    return query.get(name, "").lower() in ("true", "1")
