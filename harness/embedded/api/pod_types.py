"""Which JSON type each field of a pod has, as far as anything here reads it; what does not fit cannot be
decoded.

Fields that are not named here are kept as they come.
"""

from __future__ import annotations

from typing import Any

STRING, INTEGER, BOOLEAN, ANYTHING = "string", "int", "bool", "any"
TEXTS = "map[string]string"  # an object with values of type string
NUMBER_OR_TEXT = "intstr.IntOrString"

# A type is one of the names above, [item type], or {field: type}.
_HANDLER = {
    "exec": {"command": [STRING]},
    "httpGet": {
        "path": STRING,
        "port": NUMBER_OR_TEXT,
        "host": STRING,
        "scheme": STRING,
        "httpHeaders": [{"name": STRING, "value": STRING}],
    },
    "tcpSocket": {"port": NUMBER_OR_TEXT, "host": STRING},
    "sleep": {"seconds": INTEGER},
}
_PROBE = {
    **_HANDLER,
    "grpc": {"port": INTEGER, "service": STRING},
    **dict.fromkeys(
        ("initialDelaySeconds", "periodSeconds", "timeoutSeconds", "successThreshold", "failureThreshold"),
        INTEGER,
    ),
    "terminationGracePeriodSeconds": INTEGER,
}
_KEY = {"name": STRING, "key": STRING, "optional": BOOLEAN}
_FIELD = {"apiVersion": STRING, "fieldPath": STRING}
_RESOURCES: dict[str, Any] = {"limits": {}, "requests": {}}
CONTAINER = {
    "name": STRING,
    "image": STRING,
    "imagePullPolicy": STRING,
    "command": [STRING],
    "args": [STRING],
    "workingDir": STRING,
    "restartPolicy": STRING,
    "ports": [
        {"name": STRING, "containerPort": INTEGER, "hostPort": INTEGER, "protocol": STRING, "hostIP": STRING}
    ],
    "env": [
        {
            "name": STRING,
            "value": STRING,
            "valueFrom": {
                "fieldRef": _FIELD,
                "configMapKeyRef": _KEY,
                "secretKeyRef": _KEY,
                "resourceFieldRef": {},
            },
        }
    ],
    "envFrom": [{"prefix": STRING, "configMapRef": _KEY, "secretRef": _KEY}],
    "volumeMounts": [
        {"name": STRING, "mountPath": STRING, "subPath": STRING, "subPathExpr": STRING, "readOnly": BOOLEAN}
    ],
    "resources": _RESOURCES,
    "livenessProbe": _PROBE,
    "readinessProbe": _PROBE,
    "startupProbe": _PROBE,
    "lifecycle": {"postStart": _HANDLER, "preStop": _HANDLER},
    "securityContext": {},
    "stdin": BOOLEAN,
    "tty": BOOLEAN,
}
_ITEMS = [{"key": STRING, "path": STRING, "mode": INTEGER}]
_FILES = [{"path": STRING, "fieldRef": _FIELD, "resourceFieldRef": {}, "mode": INTEGER}]
_VOLUME = {
    "name": STRING,
    "emptyDir": {"medium": STRING, "sizeLimit": ANYTHING},
    "hostPath": {"path": STRING, "type": STRING},
    "configMap": {"name": STRING, "items": _ITEMS, "defaultMode": INTEGER, "optional": BOOLEAN},
    "secret": {"secretName": STRING, "items": _ITEMS, "defaultMode": INTEGER, "optional": BOOLEAN},
    "downwardAPI": {"items": _FILES, "defaultMode": INTEGER},
    "projected": {
        "defaultMode": INTEGER,
        "sources": [
            {
                "configMap": {"name": STRING, "items": _ITEMS},
                "secret": {"name": STRING, "items": _ITEMS},
                "downwardAPI": {"items": _FILES},
                "serviceAccountToken": {"path": STRING, "expirationSeconds": INTEGER, "audience": STRING},
            }
        ],
    },
}
POD_SPEC = {
    "containers": [CONTAINER],
    "initContainers": [CONTAINER],
    "volumes": [_VOLUME],
    "restartPolicy": STRING,
    "terminationGracePeriodSeconds": INTEGER,
    "activeDeadlineSeconds": INTEGER,
    "dnsPolicy": STRING,
    "nodeName": STRING,
    "nodeSelector": TEXTS,
    "serviceAccountName": STRING,
    "serviceAccount": STRING,
    "hostname": STRING,
    "subdomain": STRING,
    "schedulerName": STRING,
    "securityContext": {},
    "imagePullSecrets": [{"name": STRING}],
    "tolerations": [{}],
    "hostAliases": [{"ip": STRING, "hostnames": [STRING]}],
    "readinessGates": [{"conditionType": STRING}],
}
POD = {"spec": POD_SPEC, "status": {}}
SELECTOR = {
    "matchLabels": TEXTS,
    "matchExpressions": [{"key": STRING, "operator": STRING, "values": [STRING]}],
}
TEMPLATE = {"metadata": {"labels": TEXTS, "annotations": TEXTS}, "spec": POD_SPEC}
WORKLOAD = {
    "spec": {
        "replicas": INTEGER,
        "selector": SELECTOR,
        "template": TEMPLATE,
        "minReadySeconds": INTEGER,
        "revisionHistoryLimit": INTEGER,
        "progressDeadlineSeconds": INTEGER,
        "paused": BOOLEAN,
        "strategy": {
            "type": STRING,
            "rollingUpdate": {"maxSurge": NUMBER_OR_TEXT, "maxUnavailable": NUMBER_OR_TEXT},
        },
    },
    "status": {},
}


def misfit(value: Any, type: Any, path: str = "") -> str:
    """Why a value cannot be decoded as that type, or ""; null fits everything, as an absent field."""
    if value is None or type == ANYTHING:
        return ""
    if isinstance(type, list):
        if not isinstance(value, list):
            return _told(value, path, f"[]{_named(type[0])}")
        told = (
            misfit(item, type[0], f"{path}[{index}]")
            if item is not None
            else _told(item, f"{path}[{index}]", _named(type[0]))
            for index, item in enumerate(value)
        )
        return next(filter(None, told), "")
    if isinstance(type, dict):
        if not isinstance(value, dict):
            return _told(value, path, "object")
        return next(
            filter(None, (misfit(value.get(name), field, f"{path}.{name}") for name, field in type.items())),
            "",
        )
    return "" if _fits(value, type) else _told(value, path, type)


def _fits(value: Any, type: str) -> bool:
    if type == STRING:
        return isinstance(value, str)
    if type == BOOLEAN:
        return isinstance(value, bool)
    if type == TEXTS:
        return isinstance(value, dict) and all(isinstance(item, str) for item in value.values())
    whole = isinstance(value, int) and not isinstance(value, bool)
    return whole or (type == NUMBER_OR_TEXT and isinstance(value, str))


def _named(type: Any) -> str:
    return type if isinstance(type, str) else "object"


JSON_NAMES = {dict: "object", list: "array", str: "string", bool: "bool", int: "number", float: "number"}


def _told(value: Any, path: str, wanted: str) -> str:
    found = "null" if value is None else JSON_NAMES.get(type(value), "value")
    return f"json: cannot unmarshal {found} into field {path.lstrip('.')} of type {wanted}"
