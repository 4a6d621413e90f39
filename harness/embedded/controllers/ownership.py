"""How objects belong to each other: owner references, label selectors. Knows nothing of what owners do."""

from __future__ import annotations

from collections.abc import Iterable

from harness.embedded.controllers.queue import Key
from harness.embedded.seams import Api, ApiError, Object, Resource, WatchEvent

OPERATORS = {"In": "in", "NotIn": "notin"}


def reference(owner: Object) -> Object:
    """The reference that makes an object the controller of another."""
    return {
        "apiVersion": owner["apiVersion"],
        "kind": owner["kind"],
        "name": owner["metadata"]["name"],
        "uid": owner["metadata"]["uid"],
        "controller": True,
        "blockOwnerDeletion": True,
    }


def controller_of(body: Object) -> Object | None:
    """The reference to an object's controller, if it has one."""
    references: list[Object] = body["metadata"].get("ownerReferences") or []
    return next((entry for entry in references if entry.get("controller")), None)


def controlled_by(kind: str) -> _Keys:
    """The keys of an event: the controller of that kind."""
    return _Keys(kind)


class _Keys:
    def __init__(self, kind: str) -> None:
        self._kind = kind

    def __call__(self, event: WatchEvent) -> Iterable[Key]:
        owner = controller_of(event.object)
        if owner is None or owner["kind"] != self._kind:
            return ()
        return ((event.object["metadata"]["namespace"], owner["name"]),)


def selector_text(selector: Object) -> str:
    """A label selector as a query writes it."""
    parts = [f"{key}={value}" for key, value in sorted((selector.get("matchLabels") or {}).items())]
    for entry in selector.get("matchExpressions") or []:
        key, operator = entry["key"], entry["operator"]
        if operator in OPERATORS:
            parts.append(f"{key} {OPERATORS[operator]} ({','.join(entry['values'])})")
        else:
            parts.append(key if operator == "Exists" else f"!{key}")
    return ",".join(parts)


async def claimed(api: Api, resource: Resource, owner: Object) -> list[Object]:
    """The objects that an owner selects and controls; those that nobody controls are adopted."""
    namespace, uid, found = owner["metadata"]["namespace"], owner["metadata"]["uid"], []
    for body in await api.list(resource, namespace, labels=selector_text(owner["spec"]["selector"])):
        controller = controller_of(body)
        if controller is not None:
            if controller["uid"] == uid:
                found.append(body)
        elif "deletionTimestamp" not in body["metadata"]:
            references = [*(body["metadata"].get("ownerReferences") or []), reference(owner)]
            found.append(
                await api.patch(
                    resource,
                    body["metadata"]["name"],
                    {"metadata": {"ownerReferences": references}},
                    namespace,
                )
            )
    return found


async def present(api: Api, resource: Resource, key: Key) -> Object | None:
    """The object of that name, or None."""
    try:
        return await api.get(resource, key[1], key[0] or None)
    except ApiError as error:
        if error.code != 404:
            raise
        return None
