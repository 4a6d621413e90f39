"""Tables for `kubectl get`: which columns each resource has, and what stands in them. Knows nothing of
HTTP.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from harness.embedded.api.crd import column_value
from harness.embedded.api.pod_table import pod_cells
from harness.embedded.api.resources import CRDS, MUTATING, VALIDATING, Column, Kind
from harness.embedded.seams import Object

NAME = Column("Name", format="name", description="Name must be unique within a namespace.")
AGE = Column("Age", description="Time since the object was created.")
MINUTE_S, HOUR_S, DAY_S = 60, 3600, 86400
YEAR_S = 365 * DAY_S

Cells = Callable[[Object], Sequence[Any]]


def short_duration(seconds: float) -> str:
    """How kubectl writes a span of time: `90s`, `5m30s`, `3h5m`, `2d`, `3y`."""
    whole = int(seconds)
    if whole < 0:
        return "0s" if whole >= -1 else "<invalid>"
    for limit, unit, name, part, part_name in (
        (2 * MINUTE_S, 1, "s", 0, ""),
        (10 * MINUTE_S, MINUTE_S, "m", 1, "s"),
        (3 * HOUR_S, MINUTE_S, "m", 0, ""),
        (8 * HOUR_S, HOUR_S, "h", MINUTE_S, "m"),
        (2 * DAY_S, HOUR_S, "h", 0, ""),
        (8 * DAY_S, DAY_S, "d", HOUR_S, "h"),
        (2 * YEAR_S, DAY_S, "d", 0, ""),
        (8 * YEAR_S, YEAR_S, "y", DAY_S, "d"),
    ):
        if whole < limit:
            rest = whole % unit // part if part else 0
            return f"{whole // unit}{name}" + (f"{rest}{part_name}" if rest else "")
    return f"{whole // YEAR_S}y"


def since(moment: str | None) -> str:
    """How long ago an RFC 3339 time was."""
    if not moment:
        return "<unknown>"
    try:
        return short_duration((datetime.now(UTC) - datetime.fromisoformat(moment)).total_seconds())
    except ValueError:
        return "<unknown>"


def age(object: Object) -> str:
    """How long ago it was created."""
    return since(object["metadata"].get("creationTimestamp"))


def _status(object: Object, *path: str, default: Any = 0) -> Any:
    value: Any = object.get("status") or {}
    for step in path:
        value = value.get(step) if isinstance(value, dict) else None
    return default if value is None else value


def _template_columns() -> tuple[Column, ...]:
    return tuple(Column(name, priority=1) for name in ("Containers", "Images", "Selector"))


def _template_cells(object: Object) -> list[str]:
    spec = object["spec"]
    containers = spec.get("template", {}).get("spec", {}).get("containers") or ()
    labels = (spec.get("selector") or {}).get("matchLabels") or {}
    return [
        ",".join(container["name"] for container in containers),
        ",".join(container.get("image", "") for container in containers),
        ",".join(f"{key}={value}" for key, value in sorted(labels.items())) or "<none>",
    ]


def _deployment(object: Object) -> list[Any]:
    ready = f"{_status(object, 'readyReplicas')}/{object['spec'].get('replicas', 0)}"
    counts = [_status(object, "updatedReplicas"), _status(object, "availableReplicas")]
    return [ready, *counts, age(object), *_template_cells(object)]


def _replica_set(object: Object) -> list[Any]:
    counts = [
        object["spec"].get("replicas", 0),
        _status(object, "replicas"),
        _status(object, "readyReplicas"),
    ]
    return [*counts, age(object), *_template_cells(object)]


def _node(object: Object) -> list[Any]:
    ready = [
        item["status"] for item in _status(object, "conditions", default=[]) if item.get("type") == "Ready"
    ]
    state = {"True": "Ready", "False": "NotReady"}.get(ready[0] if ready else "", "Unknown")
    if object.get("spec", {}).get("unschedulable"):
        state += ",SchedulingDisabled"
    prefix = "node-role.kubernetes.io/"
    roles = sorted(
        key.removeprefix(prefix) for key in object["metadata"].get("labels") or {} if key.startswith(prefix)
    )
    addresses = {item.get("type"): item.get("address") for item in _status(object, "addresses", default=[])}
    info = _status(object, "nodeInfo", default={})
    return [
        *(state, ",".join(roles) or "<none>", age(object), info.get("kubeletVersion", "<unknown>")),
        *(addresses.get("InternalIP", "<none>"), addresses.get("ExternalIP", "<none>")),
        *(info.get(name, "<unknown>") for name in ("osImage", "kernelVersion", "containerRuntimeVersion")),
    ]


def _event(object: Object) -> list[Any]:
    involved = object.get("involvedObject") or {}
    last = (
        object.get("lastTimestamp") or object.get("eventTime") or object["metadata"].get("creationTimestamp")
    )
    first = object.get("firstTimestamp") or object.get("eventTime") or last
    source = (object.get("source") or {}).get("component") or object.get("reportingComponent", "")
    return [
        *(since(last), object.get("type", ""), object.get("reason", "")),
        f"{(involved.get('kind') or '').lower()}/{involved.get('name', '')}",
        *(involved.get("fieldPath", ""), source, (object.get("message") or "").strip()),
        *(since(first), object.get("count") or 1, object["metadata"]["name"]),
    ]


def _service(object: Object) -> list[Any]:
    spec = object.get("spec") or {}
    ports = ",".join(f"{port.get('port')}/{port.get('protocol', 'TCP')}" for port in spec.get("ports") or ())
    return [spec.get("type"), spec.get("clusterIP", "<none>"), "<none>", ports or "<none>", age(object)]


def _controller_revision(object: Object) -> list[Any]:
    owners = [item for item in object["metadata"].get("ownerReferences") or () if item.get("controller")]
    controller = f"{owners[0].get('kind', '').lower()}/{owners[0].get('name')}" if owners else "<none>"
    return [controller, object.get("revision"), age(object)]


NAMED = Column("Name", priority=1)  # an event's own name is told last
EVENT_COLUMNS = (
    *(Column(name) for name in ("Last Seen", "Type", "Reason", "Object")),
    *(Column(name, priority=1) for name in ("Subobject", "Source")),
    *(Column("Message"), Column("First Seen", priority=1), Column("Count", "integer", 1), NAMED),
)
POD_COLUMNS = (
    *(Column("Ready"), Column("Status"), Column("Restarts"), AGE),
    *(Column(name, priority=1) for name in ("IP", "Node", "Nominated Node", "Readiness Gates")),
)
NODE_COLUMNS = (
    *(Column("Status"), Column("Roles"), AGE, Column("Version")),
    *(Column(name, priority=1) for name in ("Internal-IP", "External-IP", "OS-Image", "Kernel-Version")),
    Column("Container-Runtime", priority=1),
)


def _integers(*names: str) -> tuple[Column, ...]:
    return tuple(Column(name, "integer") for name in names)


# Columns after the name, and their cells; events alone do not begin with the name.
TABLES: Mapping[str, tuple[Sequence[Column], Cells]] = {
    "pods": (POD_COLUMNS, pod_cells(since)),
    "nodes": (NODE_COLUMNS, _node),
    "events": (EVENT_COLUMNS, _event),
    "namespaces": ((Column("Status"), AGE), lambda item: [_status(item, "phase", default=""), age(item)]),
    "configmaps": (
        (*_integers("Data"), AGE),
        lambda item: [len(item.get("data") or ()) + len(item.get("binaryData") or ()), age(item)],
    ),
    "secrets": (
        (Column("Type"), *_integers("Data"), AGE),
        lambda item: [item.get("type"), len(item.get("data") or ()), age(item)],
    ),
    "serviceaccounts": (
        (*_integers("Secrets"), AGE),
        lambda item: [len(item.get("secrets") or ()), age(item)],
    ),
    "services": (
        (*(Column(name) for name in ("Type", "Cluster-IP", "External-IP", "Port(s)")), AGE),
        _service,
    ),
    "deployments.apps": (
        (Column("Ready"), *_integers("Up-to-date", "Available"), AGE, *_template_columns()),
        _deployment,
    ),
    "replicasets.apps": (
        (*_integers("Desired", "Current", "Ready"), AGE, *_template_columns()),
        _replica_set,
    ),
    "controllerrevisions.apps": ((Column("Controller"), *_integers("Revision"), AGE), _controller_revision),
    "leases.coordination.k8s.io": (
        (Column("Holder"), AGE),
        lambda item: [(item.get("spec") or {}).get("holderIdentity", ""), age(item)],
    ),
    CRDS: ((Column("Created At"),), lambda item: [item["metadata"].get("creationTimestamp")]),
    MUTATING: ((*_integers("Webhooks"), AGE), lambda item: [len(item.get("webhooks") or ()), age(item)]),
    VALIDATING: ((*_integers("Webhooks"), AGE), lambda item: [len(item.get("webhooks") or ()), age(item)]),
}


def _custom(columns: Sequence[Column]) -> Cells:
    def cells(object: Object) -> list[Any]:
        return [_cell(column_value(object, column.path), column.type) for column in columns]

    return cells


def _cell(value: Any, type: str) -> Any:
    if value is None:
        return None
    if type == "date":
        return since(value) if isinstance(value, str) else "<invalid>"
    return value if type in ("integer", "number", "boolean") else str(value)


def columns_and_cells(kind: Kind) -> tuple[list[Column], Cells]:
    """All columns of a kind, and the function that fills a row."""
    if kind.custom:
        columns, cells = kind.columns, _custom(kind.columns)
    else:
        columns, cells = TABLES.get(kind.resource, ((AGE,), lambda item: [age(item)]))
    if NAMED in columns:
        return list(columns), cells
    return [NAME, *columns], lambda item: [item["metadata"]["name"], *cells(item)]


def definitions(kind: Kind) -> list[Object]:
    """The columns as a Table tells them."""
    return [
        {
            "name": column.name,
            "type": column.type,
            "format": column.format,
            "description": column.description,
            "priority": column.priority,
        }
        for column in columns_and_cells(kind)[0]
    ]


def table(
    kind: Kind, objects: Sequence[Object], revision: str, *, include: str = "Metadata", head: bool = True
) -> Object:
    """A Table with a row per object; `include` is None, Metadata or Object. Followers leave the head out."""
    _, cells = columns_and_cells(kind)
    return {
        "kind": "Table",
        "apiVersion": "meta.k8s.io/v1",
        "metadata": {"resourceVersion": revision},
        "columnDefinitions": definitions(kind) if head else None,
        "rows": [{"cells": list(cells(item)), "object": _included(item, include)} for item in objects],
    }


def _included(object: Object, include: str) -> Object | None:
    if include == "Object":
        return object
    if include == "None":
        return None
    return {"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": object["metadata"]}
