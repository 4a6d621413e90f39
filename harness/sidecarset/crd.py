"""The CustomResourceDefinition of SidecarSet. Knows nothing of how it is applied."""

from __future__ import annotations

from typing import Any

from harness.sidecarset.names import GROUP, KIND, PLURAL, SERVED_VERSIONS, STORAGE_VERSION, Object

NAME = f"{PLURAL}.{GROUP}"

STRING: Object = {"type": "string"}
BOOLEAN: Object = {"type": "boolean"}
INTEGER: Object = {"type": "integer", "format": "int32"}
INT_OR_STRING: Object = {
    "anyOf": [{"type": "integer"}, {"type": "string"}],
    "x-kubernetes-int-or-string": True,
}
STRINGS: Object = {"type": "object", "additionalProperties": STRING}


def _object(required: tuple[str, ...] = (), **properties: Any) -> Object:
    return {"type": "object", "properties": properties, **({"required": list(required)} if required else {})}


def _list(items: Object) -> Object:
    return {"type": "array", "items": items}


ANYTHING: Object = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
"""For core types: their fields are the pod's business."""

SELECTOR = _object(
    matchLabels=STRINGS,
    matchExpressions=_list(_object(("key", "operator"), key=STRING, operator=STRING, values=_list(STRING))),
)

RESOURCES_POLICY = _object(
    ("targetContainersMode", "resourcesExpr"),
    targetContainersMode={"type": "string", "enum": ["sum", "max"]},
    targetContainersNameRegex={"type": "string", "default": ".*"},
    resourcesExpr=_object(
        limits=_object(cpu=STRING, memory=STRING), requests=_object(cpu=STRING, memory=STRING)
    ),
)

SIDECAR: Object = {
    **_object(
        podInjectPolicy=STRING,
        upgradeStrategy=_object(upgradeType=STRING, hotUpgradeEmptyImage=STRING),
        shareVolumePolicy=_object(type=STRING),
        shareVolumeDevicePolicy=_object(type=STRING),
        transferEnv=_list(
            _object(
                sourceContainerName=STRING,
                sourceContainerNameFrom=_object(fieldRef=_object(apiVersion=STRING, fieldPath=STRING)),
                envName=STRING,
                envNames=_list(STRING),
            )
        ),
        resourcesPolicy=RESOURCES_POLICY,
    ),
    "x-kubernetes-preserve-unknown-fields": True,
}

UPDATE_STRATEGY = _object(
    type=STRING,
    paused=BOOLEAN,
    selector=SELECTOR,
    partition=INT_OR_STRING,
    maxUnavailable=INT_OR_STRING,
    priorityStrategy=_object(
        weightPriority=_list(_object(("weight", "matchSelector"), weight=INTEGER, matchSelector=SELECTOR)),
        orderPriority=_list(_object(("orderedKey",), orderedKey=STRING)),
    ),
    scatterStrategy=_list(_object(("key", "value"), key=STRING, value=STRING)),
)

INJECTION_STRATEGY = _object(
    paused=BOOLEAN,
    revision=_object(
        customVersion=STRING,
        revisionName=STRING,
        policy={"type": "string", "enum": ["Always", "Partial"], "default": "Always"},
    ),
)

STATUS = _object(
    ("matchedPods", "updatedPods", "readyPods"),
    observedGeneration={"type": "integer", "format": "int64"},
    matchedPods=INTEGER,
    updatedPods=INTEGER,
    readyPods=INTEGER,
    updatedReadyPods=INTEGER,
    latestRevision=STRING,
    collisionCount=INTEGER,
)

OWN_FIELDS: dict[str, Object] = {
    "v1alpha1": {"namespace": STRING},
    "v1beta1": {"customVersion": STRING},
}


def _schema(version: str) -> Object:
    spec = _object(
        selector=SELECTOR,
        namespaceSelector=SELECTOR,
        initContainers=_list(SIDECAR),
        containers=_list(SIDECAR),
        volumes=_list(ANYTHING),
        imagePullSecrets=_list(_object(name=STRING)),
        revisionHistoryLimit=INTEGER,
        patchPodMetadata=_list(_object(annotations=STRINGS, patchPolicy=STRING)),
        updateStrategy=UPDATE_STRATEGY,
        injectionStrategy=INJECTION_STRATEGY,
        **OWN_FIELDS[version],
    )
    return _object(apiVersion=STRING, kind=STRING, metadata={"type": "object"}, spec=spec, status=STATUS)


COLUMNS: list[Object] = [
    {
        "name": "MATCHED",
        "type": "integer",
        "jsonPath": ".status.matchedPods",
        "description": "Pods that the set answers for.",
    },
    {
        "name": "UPDATED",
        "type": "integer",
        "jsonPath": ".status.updatedPods",
        "description": "Pods with the set's newest sidecars.",
    },
    {
        "name": "READY",
        "type": "integer",
        "jsonPath": ".status.readyPods",
        "description": "Pods whose sidecars are ready.",
    },
    {"name": "AGE", "type": "date", "jsonPath": ".metadata.creationTimestamp"},
]


def definition(convert: Object) -> Object:
    """The CRD; `convert` is the clientConfig of its conversion webhook."""
    versions = [
        {
            "name": version,
            "served": True,
            "storage": version == STORAGE_VERSION,
            "schema": {"openAPIV3Schema": _schema(version)},
            "subresources": {"status": {}},
            "additionalPrinterColumns": COLUMNS,
        }
        for version in SERVED_VERSIONS
    ]
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": NAME},
        "spec": {
            "group": GROUP,
            "scope": "Cluster",
            "names": {"plural": PLURAL, "singular": "sidecarset", "kind": KIND, "listKind": f"{KIND}List"},
            "versions": versions,
            "conversion": {
                "strategy": "Webhook",
                "webhook": {"clientConfig": convert, "conversionReviewVersions": ["v1"]},
            },
        },
    }
