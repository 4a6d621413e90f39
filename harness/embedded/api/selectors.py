"""Label and field selectors: parsed once, then asked of objects. Knows nothing of storage or HTTP."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from harness.embedded.api.refusals import bad_request
from harness.embedded.seams import Object

Predicate = Callable[[Mapping[str, str]], bool]

# a requirement: `key`, `!key`, `key=value`, `key==value`, `key!=value`, `key in (a,b)`, `key notin (a,b)`
KEY = r"[A-Za-z0-9][A-Za-z0-9_./-]*"
REQUIREMENT = re.compile(
    rf"\s*(?:(?P<absent>!\s*)?(?P<bare>{KEY})\s*(?=,|$)"
    rf"|(?P<key>{KEY})\s*(?P<op>==|=|!=)\s*(?P<value>[A-Za-z0-9_.-]*)\s*(?=,|$)"
    rf"|(?P<set>{KEY})\s+(?P<in>in|notin)\s*\((?P<values>[^()]*)\)\s*(?=,|$))"
)

# The fields that can be selected by, as in Kubernetes; others are refused.
EVERYWHERE = frozenset({"metadata.name", "metadata.namespace"})
FIELDS: Mapping[str, frozenset[str]] = {
    "pods": frozenset(
        {"spec.nodeName", "spec.restartPolicy", "spec.schedulerName", "spec.serviceAccountName"}
    )
    | frozenset({"status.phase", "status.podIP", "status.nominatedNodeName"}),
    "events": frozenset(
        f"involvedObject.{name}"
        for name in ("kind", "namespace", "name", "uid", "apiVersion", "resourceVersion", "fieldPath")
    )
    | frozenset({"reason", "reportingComponent", "source", "type"}),
    "nodes": frozenset({"spec.unschedulable"}),
    "namespaces": frozenset({"status.phase"}),
    "secrets": frozenset({"type"}),
    "replicasets.apps": frozenset({"status.replicas"}),
}


class Selector:
    """Labels and fields together, as a list or watch request gives them."""

    def __init__(self, resource: str, labels: str = "", fields: str = "") -> None:
        self._labels = label_requirements(labels)
        self._fields = _field_requirements(resource, fields)
        self.everything = not self._labels and not self._fields

    def matches(self, object: Object) -> bool:
        """Whether the object is selected."""
        if self.everything:
            return True
        labels = object["metadata"].get("labels") or {}
        return all(wanted(labels) for wanted in self._labels) and all(
            (_field(object, path) == value) is equal for path, equal, value in self._fields
        )


def label_requirements(text: str) -> list[Predicate]:
    """The requirements of a selector such as `app=web,tier in (a,b),!legacy`; ApiError 400."""
    requirements: list[Predicate] = []
    position = 0
    while position < len(text.rstrip()):
        found = REQUIREMENT.match(text, position)
        if found is None:
            raise bad_request(f"unable to parse label selector {text!r} at {text[position:]!r}")
        requirements.append(_requirement(found))
        position = found.end() + 1
    return requirements


def _requirement(found: re.Match[str]) -> Predicate:
    if key := found["bare"]:
        return _absent(key) if found["absent"] else _present(key)
    if key := found["key"]:
        return _not_in(key, {found["value"]}) if found["op"] == "!=" else _in(key, {found["value"]})
    values = {value.strip() for value in found["values"].split(",")}
    return _in(found["set"], values) if found["in"] == "in" else _not_in(found["set"], values)


def _present(key: str) -> Predicate:
    return lambda labels: key in labels


def _absent(key: str) -> Predicate:
    return lambda labels: key not in labels


def _in(key: str, values: set[str]) -> Predicate:
    return lambda labels: key in labels and labels[key] in values


def _not_in(key: str, values: set[str]) -> Predicate:
    return lambda labels: key not in labels or labels[key] not in values


OPERATORS: Mapping[str, Callable[[str, set[str]], Predicate]] = {
    "In": _in,
    "NotIn": _not_in,
    "Exists": lambda key, _: _present(key),
    "DoesNotExist": lambda key, _: _absent(key),
}


def label_selector_matches(selector: Object | None, labels: Mapping[str, str]) -> bool:
    """Whether a LabelSelector object selects these labels; an absent or empty one selects everything."""
    if not selector:
        return True
    if any(labels.get(key) != value for key, value in (selector.get("matchLabels") or {}).items()):
        return False
    for expression in selector.get("matchExpressions") or ():
        operator = OPERATORS.get(expression.get("operator", ""))
        if operator is None:
            raise bad_request(f"{expression.get('operator')!r} is not a valid label selector operator")
        if not operator(expression.get("key", ""), set(expression.get("values") or ()))(labels):
            return False
    return True


def _field_requirements(resource: str, text: str) -> list[tuple[str, bool, str]]:
    supported = EVERYWHERE | FIELDS.get(resource, frozenset())
    requirements = []
    for term in filter(None, (part.strip() for part in text.split(","))):
        path, operator, value = re.match(r"([^=!]*)(==|=|!=)?(.*)", term, re.S).groups()  # type: ignore[union-attr]  # matches anything
        if operator is None:
            raise bad_request(f"invalid selector: {term!r}; can't understand {term!r}")
        if path not in supported:
            raise bad_request(f"field label not supported: {path}")
        requirements.append((path, operator != "!=", value))
    return requirements


def _field(object: Object, path: str) -> str:
    value: Any = object
    for step in path.split("."):
        value = value.get(step) if isinstance(value, dict) else None
    if isinstance(value, dict):  # `source` of an event means its component
        value = value.get("component")
    if value is None:
        return ""
    return str(value).lower() if isinstance(value, bool) else str(value)
