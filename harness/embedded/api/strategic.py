"""Strategic merge patch: lists of objects are merged by a key, and directives reorder, delete and replace.

Directives, by their place:
    {"$patch": "replace" | "delete"}            in an object: put the rest in its place. In an item of a list,
                                                with the merge key: delete that item; alone: replace the list
    {"$retainKeys": [key, …]}                   in an object: everything else is dropped first
    {"$setElementOrder/LIST": [item, …]}        order of LIST; the server's own items keep their places
    {"$deleteFromPrimitiveList/LIST": [value]}  takes values out of LIST
`Shape` says which lists are merged and how; what no shape names is replaced (lists) or merged by key
(objects). Knows nothing of what the fields mean.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from harness.embedded.api.refusals import bad_request
from harness.embedded.api.storage import clone
from harness.embedded.seams import Object

PATCH, RETAIN = "$patch", "$retainKeys"
ORDER, REMOVE = "$setElementOrder/", "$deleteFromPrimitiveList/"


@dataclass(frozen=True)
class Shape:
    """How a field is merged. `key`: a list of objects, merged by that key; `union`: a list of values,
    merged as a set.
    """

    fields: Mapping[str, Shape] = field(default_factory=dict)
    key: str = ""
    union: bool = False


ATOMIC = Shape()


def merge(object: Object, patch: Mapping[str, Any], shape: Shape) -> Object:
    """The patched object, as another object; ApiError 400 for a patch that contradicts itself."""
    return _merge_object(clone(object), clone(patch), shape)


def _merge_object(target: Object, patch: Object, shape: Shape) -> Object:
    if PATCH in patch:
        return _directed(patch)
    _retain(target, patch)
    _reorder(target, patch, shape)
    for name, value in patch.items():
        removing = name.startswith(REMOVE)
        name = name.removeprefix(REMOVE)
        if value is None:
            target.pop(name, None)
        elif removing:
            if isinstance(target.get(name), list):
                target[name] = [item for item in target[name] if item not in value]
        elif type(target.get(name)) is not type(value):
            target[name] = _plain(value)
        elif isinstance(value, dict):
            target[name] = _merge_object(target[name], value, shape.fields.get(name, ATOMIC))
        elif isinstance(value, list):
            target[name] = _merge_list(target[name], value, shape.fields.get(name, ATOMIC))
        else:
            target[name] = value
    return target


def _directed(patch: Object) -> Object:
    directive = patch.pop(PATCH)
    if directive == "delete":
        return {}
    if directive in ("replace", "merge"):
        return _plain(patch)  # type: ignore[no-any-return]  # an object stays an object
    raise bad_request(f"unknown patch type {directive!r} in a strategic merge patch")


def _retain(target: Object, patch: Object) -> None:
    kept = patch.pop(RETAIN, None)
    if kept is None:
        return
    if extra := [
        name
        for name, value in patch.items()
        if value is not None and not name.startswith("$") and name not in kept
    ]:
        raise bad_request(f"$retainKeys {kept} does not hold {extra}, which the patch sets")
    for name in [name for name in target if name not in kept]:
        del target[name]


def _reorder(target: Object, patch: Object, shape: Shape) -> None:
    """Applies every list of the patch that comes with an order, and takes both out of the patch."""
    for directive in [name for name in patch if name.startswith(ORDER)]:
        order, name = patch.pop(directive), directive.removeprefix(ORDER)
        rule = shape.fields.get(name, ATOMIC)
        existing, given = target.get(name), patch.pop(name, None)
        if not all(isinstance(items, list) for items in (order, existing or [], given or [])):
            raise bad_request(f"{directive} and the field that it orders have to be lists")
        merged = existing
        if given is not None:
            merged = _plain(given) if existing is None else _merge_list(existing, given, rule)
        if merged is not None:
            target[name] = _ordered(merged, order, existing or [], _identity(rule))


def _merge_list(existing: list[Any], given: list[Any], rule: Shape) -> list[Any]:
    if rule.union:
        return _ordered(list(dict.fromkeys([*existing, *given])), given, existing, _identity(rule))
    if not rule.key or not all(isinstance(item, dict) for item in [*existing, *given]):
        return _plain(given)  # type: ignore[no-any-return]  # a list stays a list
    identity = _identity(rule)
    additions = [item for item in given if PATCH not in item]
    for item in additions:
        if rule.key not in item:
            raise bad_request(f"map: {item} does not contain declared merge key: {rule.key}")
    if any(item.get(PATCH) == "replace" for item in given):
        return [_plain(item) for item in additions]
    gone = [identity(item) for item in given if item.get(PATCH) == "delete"]
    merged = [item for item in existing if identity(item) not in gone]
    places = {identity(item): index for index, item in enumerate(merged)}
    for item in additions:
        if (index := places.get(identity(item))) is not None:
            merged[index] = _merge_object(merged[index], item, rule)
        else:
            places[identity(item)] = len(merged)
            merged.append(_plain(item))
    return _ordered(merged, additions, existing, identity)


def _identity(rule: Shape) -> Callable[[Any], Any]:
    return lambda item: item.get(rule.key) if rule.key and isinstance(item, dict) else _hashable(item)


def _hashable(item: Any) -> Any:
    return repr(item) if isinstance(item, dict | list) else item


def _ordered(
    merged: list[Any], wanted: Sequence[Any], existing: Sequence[Any], identity: Callable[[Any], Any]
) -> list[Any]:
    """Items of the patch in its order; the server's own are put before the first of those that they stood
    before.
    """
    rank = {identity(item): index for index, item in enumerate(wanted)}
    place = {identity(item): index for index, item in enumerate(existing)}
    ours = sorted((item for item in merged if identity(item) in rank), key=lambda item: rank[identity(item)])
    theirs = [item for item in merged if identity(item) not in rank]
    theirs.sort(key=lambda item: place.get(identity(item), len(place)))
    result = []
    while ours and theirs:
        left, right = place.get(identity(theirs[0])), place.get(identity(ours[0]))
        before = left is not None and right is not None and left < right
        result.append((theirs if before else ours).pop(0))
    return result + ours + theirs


def _plain(value: Any) -> Any:
    """A value of the patch that meets nothing: without directives, and without the nulls of its objects."""
    if isinstance(value, dict):
        return {
            name: _plain(item)
            for name, item in value.items()
            if item is not None and not name.startswith((ORDER, REMOVE)) and name not in (PATCH, RETAIN)
        }
    if isinstance(value, list):
        return [_plain(item) for item in value if not (isinstance(item, dict) and PATCH in item)]
    return value


# -- shapes of the built-in kinds ----------------------------------------------------------------------------


def _lists(keys: Mapping[str, str]) -> dict[str, Shape]:
    return {name: Shape(key=key) for name, key in keys.items()}


METADATA = Shape({"ownerReferences": Shape(key="uid"), "finalizers": Shape(union=True)})
CONDITIONS = Shape({"conditions": Shape(key="type")})
CONTAINER = {
    **_lists(
        {"ports": "containerPort", "env": "name", "volumeMounts": "mountPath", "volumeDevices": "devicePath"}
    ),
}
POD_SPEC = Shape(
    {
        **{
            name: Shape(CONTAINER, key="name")
            for name in ("containers", "initContainers", "ephemeralContainers")
        },
        **_lists(
            {"volumes": "name", "imagePullSecrets": "name", "hostAliases": "ip", "schedulingGates": "name"}
        ),
        **_lists({"topologySpreadConstraints": "topologyKey", "resourceClaims": "name"}),
    }
)
TEMPLATE = Shape({"metadata": METADATA, "spec": POD_SPEC})
WORKLOAD = Shape({"metadata": METADATA, "spec": Shape({"template": TEMPLATE}), "status": CONDITIONS})
WEBHOOKS = Shape({"metadata": METADATA, "webhooks": Shape(key="name")})
PLAIN = Shape({"metadata": METADATA})

SHAPES: Mapping[str, Shape] = {
    "pods": Shape(
        {
            "metadata": METADATA,
            "spec": POD_SPEC,
            "status": Shape(_lists({"conditions": "type", "podIPs": "ip", "hostIPs": "ip"})),
        }
    ),
    "deployments.apps": WORKLOAD,
    "replicasets.apps": WORKLOAD,
    "nodes": Shape(
        {
            "metadata": METADATA,
            "spec": Shape({"podCIDRs": Shape(union=True)}),
            "status": Shape(_lists({"conditions": "type", "addresses": "type"})),
        }
    ),
    "namespaces": Shape({"metadata": METADATA, "status": CONDITIONS}),
    "services": Shape({"metadata": METADATA, "spec": Shape(_lists({"ports": "port"})), "status": CONDITIONS}),
    "serviceaccounts": Shape({"metadata": METADATA, "secrets": Shape(key="name")}),
    "mutatingwebhookconfigurations.admissionregistration.k8s.io": WEBHOOKS,
    "validatingwebhookconfigurations.admissionregistration.k8s.io": WEBHOOKS,
}


def shape_of(resource: str) -> Shape:
    """The shape of a built-in resource; plain metadata for one that has no lists to merge."""
    return SHAPES.get(resource, PLAIN)
