"""CustomResourceDefinitions: what they make the server serve, and conversion between served versions.

A custom object is kept in its storage version and shown in the version that was asked for. Schemas are
kept and shown, not enforced: no pruning, no defaults (webhooks do that work here).
"""

from __future__ import annotations

import re
import uuid
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from typing import Any

from harness.embedded.api import webhook
from harness.embedded.api.meta import timestamp
from harness.embedded.api.refusals import INVALID, NOT_SUPPORTED, REQUIRED, Cause, internal
from harness.embedded.api.resources import CHANGE, Column, Kind
from harness.embedded.api.storage import clone
from harness.embedded.seams import ApiError, Object

CONVERSION_TIMEOUT_S = 10.0  # as Kubernetes has it
REMEMBERED_CONVERSIONS = 64  # watchers and pollers ask for the same few objects again and again

DEFAULT_COLUMNS = (Column("Age", "date", path=".metadata.creationTimestamp"),)


def default(definition: Object) -> None:
    """Fills names and conversion in."""
    spec = definition.setdefault("spec", {})
    names = spec.setdefault("names", {})
    if isinstance(names.get("kind"), str):
        names.setdefault("singular", names["kind"].lower())
        names.setdefault("listKind", names["kind"] + "List")
    spec.setdefault("conversion", {"strategy": "None"})


def validate(definition: Object) -> list[Cause]:
    """What is wrong with a definition."""
    spec, causes = definition["spec"], []
    names = spec["names"]
    for path, value in (
        ("spec.group", spec.get("group")),
        ("spec.names.plural", names.get("plural")),
        ("spec.names.kind", names.get("kind")),
    ):
        if not value:
            causes.append(Cause(path, REQUIRED))
    wanted = f"{names.get('plural')}.{spec.get('group')}"
    if not causes and definition["metadata"].get("name") != wanted:
        causes.append(
            Cause(
                "metadata.name",
                INVALID,
                f'must be spec.names.plural+"."+spec.group ({wanted})',
                definition["metadata"].get("name"),
            )
        )
    if spec.get("scope") not in ("Namespaced", "Cluster"):
        causes.append(
            Cause("spec.scope", NOT_SUPPORTED, 'supported values: "Cluster", "Namespaced"', spec.get("scope"))
        )
    versions = spec.get("versions") or []
    if sum(bool(version.get("storage")) for version in versions) != 1:
        causes.append(
            Cause(
                "spec.versions",
                INVALID,
                "must have exactly one version marked as storage version",
                [version.get("name") for version in versions],
            )
        )
    strategy = spec["conversion"].get("strategy")
    if strategy not in ("None", "Webhook"):
        causes.append(
            Cause("spec.conversion.strategy", NOT_SUPPORTED, 'supported values: "None", "Webhook"', strategy)
        )
    if strategy == "Webhook" and not (spec["conversion"].get("webhook") or {}).get("clientConfig"):
        causes.append(
            Cause(
                "spec.conversion.webhook.clientConfig", REQUIRED, "required when strategy is set to Webhook"
            )
        )
    return causes


def establish(definition: Object) -> None:
    """Sets the status that says that the resource is served."""
    spec, seen = definition["spec"], timestamp()
    conditions = [
        ("NamesAccepted", "NoConflicts", "no conflicts found"),
        ("Established", "InitialNamesAccepted", "the initial names have been accepted"),
    ]
    definition["status"] = {
        "conditions": [
            {"type": type, "status": "True", "lastTransitionTime": seen, "reason": reason, "message": message}
            for type, reason, message in conditions
        ],
        "acceptedNames": clone(spec["names"]),
        "storedVersions": [version["name"] for version in spec["versions"] if version.get("storage")],
    }


def kinds(definition: Object) -> list[Kind]:
    """One kind per served version."""
    spec = definition["spec"]
    names = spec["names"]
    storage = next(version["name"] for version in spec["versions"] if version.get("storage"))
    return [
        Kind(
            group=spec["group"],
            version=version["name"],
            plural=names["plural"],
            singular=names["singular"],
            kind=names["kind"],
            namespaced=spec["scope"] == "Namespaced",
            short=tuple(names.get("shortNames") or ()),
            categories=tuple(names.get("categories") or ()),
            subresources={"status": (names["kind"], "", CHANGE)}
            if "status" in (version.get("subresources") or {})
            else {},
            generation=True,
            storage=storage,
            custom=True,
            columns=tuple(_columns(version.get("additionalPrinterColumns") or ())),
        )
        for version in spec["versions"]
        if version.get("served")
    ]


def _columns(columns: Sequence[Mapping[str, Any]]) -> Sequence[Column]:
    if not columns:
        return DEFAULT_COLUMNS
    return [
        Column(
            str(column["name"]),
            str(column.get("type", "string")),
            int(str(column.get("priority", 0))),
            str(column.get("format", "")),
            str(column.get("description", "")),
            str(column["jsonPath"]),
        )
        for column in columns
    ]


class Converter:
    """Turns custom objects from one version into another as their definition says."""

    def __init__(self, caller: webhook.Caller) -> None:
        self._caller = caller
        self._strategies: dict[str, Object] = {}
        self._done: OrderedDict[tuple[str, str, str], Object] = OrderedDict()

    def define(self, resource: str, definition: Object) -> None:
        """A definition came or changed. One that goes is kept: watchers still have deletions to see."""
        self._done.clear()
        self._strategies[resource] = definition["spec"]["conversion"]

    async def convert(self, resource: str, objects: Sequence[Object], api_version: str) -> list[Object]:
        """The objects in that version; those that have it already are returned as they are."""
        result = list(objects)
        missing = []
        for index, object in enumerate(objects):
            if object["apiVersion"] == api_version:
                continue
            known = self._done.get(_memo(object, api_version))
            if known is None:
                missing.append(index)
            else:
                result[index] = known
        if missing:
            converted = await self._ask(resource, [objects[index] for index in missing], api_version)
            for index, object in zip(missing, converted, strict=True):
                result[index] = object
                self._remember(objects[index], api_version, object)
        return result

    def _remember(self, source: Object, api_version: str, converted: Object) -> None:
        if not source["metadata"].get("resourceVersion"):
            return  # not stored yet: nothing tells it from another draft
        self._done[_memo(source, api_version)] = converted
        if len(self._done) > REMEMBERED_CONVERSIONS:
            self._done.popitem(last=False)

    async def _ask(self, resource: str, objects: list[Object], api_version: str) -> list[Object]:
        strategy = self._strategies[resource]
        if strategy["strategy"] == "None":
            return [{**object, "apiVersion": api_version} for object in objects]
        request = {"uid": str(uuid.uuid4()), "desiredAPIVersion": api_version, "objects": objects}
        review = {"apiVersion": "apiextensions.k8s.io/v1", "kind": "ConversionReview", "request": request}
        failed = f"conversion webhook for {resource}, to {api_version}, failed"
        try:
            answer = await self._caller.call(
                strategy["webhook"]["clientConfig"], review, CONVERSION_TIMEOUT_S
            )
        except webhook.CallFailed as error:
            raise internal(f"{failed}: {error}") from error
        return _converted(answer, objects, api_version, failed)


def _converted(answer: Object, sources: Sequence[Object], api_version: str, failed: str) -> list[Object]:
    response = answer.get("response")
    response = response if isinstance(response, dict) else {}
    outcome = response.get("result") or {}
    if outcome.get("status") != "Success":
        raise ApiError(500, "InternalError", f"{failed}: {outcome.get('message', 'it gave no reason')}")
    objects = response.get("convertedObjects")
    if not isinstance(objects, list) or [object.get("apiVersion") for object in objects] != [
        api_version
    ] * len(sources):
        raise internal(f"{failed}: it did not return {len(sources)} objects of that version")
    for source, item in zip(sources, objects, strict=True):
        # Labels and annotations are all of the metadata that a conversion may change.
        given = item.get("metadata") or {}
        kept = {
            key: value for key, value in source["metadata"].items() if key not in ("labels", "annotations")
        }
        item["metadata"] = kept | {key: given[key] for key in ("labels", "annotations") if given.get(key)}
    return objects


def _memo(object: Object, api_version: str) -> tuple[str, str, str]:
    metadata = object["metadata"]
    return metadata.get("uid", ""), metadata.get("resourceVersion") or "", api_version


STEP = re.compile(
    r"\.([A-Za-z0-9_-]+)|\['([^']+)'\]|\[(\d+|\*)\]|\[\?\(@\.([A-Za-z0-9_-]+)\s*==\s*[\"']([^\"']*)[\"']\)\]"
)


def column_value(shown: Object, path: str) -> Any:
    """The value at the JSONPath of a printer column, or None; the first where there are several."""
    found: list[Any] = [shown]
    position = 0
    while position < len(path):
        step = STEP.match(path, position)
        if step is None:
            return None
        found = [child for value in found for child in _children(value, step)]
        position = step.end()
    return found[0] if found else None


def _children(value: Any, step: re.Match[str]) -> list[Any]:
    name = step[1] or step[2]
    if name and isinstance(value, dict):
        return [value[name]] if name in value else []
    if isinstance(value, list):
        if step[3] == "*":
            return value
        if step[3]:
            return value[int(step[3]) : int(step[3]) + 1]
        if step[4]:
            return [item for item in value if isinstance(item, dict) and str(item.get(step[4])) == step[5]]
    return []
