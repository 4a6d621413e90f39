"""What is particular to each built-in kind: types, defaults, first status, validation. A table; the verbs
are elsewhere.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from harness.embedded.api import crd, pod_defaults, pod_rules, pod_types, workloads
from harness.embedded.api.meta import label_causes, metadata_causes, unreadable
from harness.embedded.api.pod_types import ANYTHING, INTEGER, NUMBER_OR_TEXT, STRING, TEXTS
from harness.embedded.api.refusals import INVALID, REQUIRED, Cause, bad_request, invalid
from harness.embedded.api.resources import CRDS, MUTATING, VALIDATING, Kind
from harness.embedded.seams import Object

NAMESPACE_LABEL = "kubernetes.io/metadata.name"
HTTPS_PORT = 443


def _no_status(object: Object) -> None:
    object.pop("status", None)


def _nothing(object: Object) -> None:
    """No defaults."""


def _metadata(object: Object) -> list[Cause]:
    return metadata_causes(object["metadata"])


def _metadata_again(object: Object, before: Object) -> list[Cause]:
    return metadata_causes(object["metadata"])


@dataclass(frozen=True)
class Rules:
    """One kind's particulars. `begin` sets the status of a new, valid object, whatever the client sent."""

    types: Mapping[str, Any] = field(default_factory=dict)
    default: Callable[[Object], None] = _nothing
    begin: Callable[[Object], None] = _no_status
    creation: Callable[[Object], list[Cause]] = _metadata
    update: Callable[[Object, Object], list[Cause]] = _metadata_again


# -- particulars ---------------------------------------------------------------------------------------------


def _begin_pod(pod: Object) -> None:
    pod["status"] = pod_defaults.initial_status(pod)


def _default_namespace(namespace: Object) -> None:
    labels = namespace["metadata"].setdefault("labels", {})
    if name := namespace["metadata"].get("name"):
        labels[NAMESPACE_LABEL] = name


def _begin_namespace(namespace: Object) -> None:
    namespace.setdefault("spec", {})["finalizers"] = ["kubernetes"]
    namespace["status"] = {"phase": "Active"}


def _namespace_causes(namespace: Object) -> list[Cause]:
    return metadata_causes(namespace["metadata"], label_causes)


def _default_secret(secret: Object) -> None:
    secret.setdefault("type", "Opaque")
    texts = secret.pop("stringData", None)
    if texts:
        encoded = {key: base64.b64encode(text.encode()).decode() for key, text in texts.items()}
        secret["data"] = {**(secret.get("data") or {}), **encoded}


def _default_service(service: Object) -> None:
    spec = service.setdefault("spec", {})
    for name, value in {"type": "ClusterIP", "sessionAffinity": "None", "clusterIP": "None"}.items():
        spec.setdefault(name, value)
    for port in spec.get("ports") or ():
        port.setdefault("protocol", "TCP")
        port.setdefault("targetPort", port.get("port"))


def _default_webhooks(configuration: Object) -> None:
    for hook in configuration.get("webhooks") or ():
        defaults: Object = {
            "failurePolicy": "Fail",
            "matchPolicy": "Equivalent",
            "timeoutSeconds": 10,
            "namespaceSelector": {},
            "objectSelector": {},
        }
        if configuration.get("kind") == "MutatingWebhookConfiguration":
            defaults["reinvocationPolicy"] = "Never"
        for name, value in defaults.items():
            hook.setdefault(name, value)
        if service := hook.get("clientConfig", {}).get("service"):
            service.setdefault("port", HTTPS_PORT)
        for rule in hook.get("rules") or ():
            rule.setdefault("scope", "*")


def _webhooks_causes(configuration: Object) -> list[Cause]:
    causes, seen = _metadata(configuration), set()
    for index, hook in enumerate(configuration.get("webhooks") or ()):
        where = f"webhooks[{index}]"
        name = hook.get("name") or ""
        if name.count(".") < 2:
            causes.append(
                Cause(
                    f"{where}.name",
                    INVALID,
                    "should be a domain with at least three segments separated by dots",
                    name,
                )
            )
        if name in seen:
            causes.append(Cause(f"{where}.name", INVALID, "must be unique", name))
        seen.add(name)
        config = hook.get("clientConfig") or {}
        if bool(config.get("url")) is bool(config.get("service")):
            causes.append(
                Cause(f"{where}.clientConfig", REQUIRED, "exactly one of url or service is required")
            )
        if not hook.get("sideEffects"):
            causes.append(
                Cause(f"{where}.sideEffects", REQUIRED, 'must specify one of "None", "NoneOnDryRun"')
            )
        if "v1" not in (hook.get("admissionReviewVersions") or ()):
            causes.append(
                Cause(
                    f"{where}.admissionReviewVersions",
                    INVALID,
                    "must include v1",
                    hook.get("admissionReviewVersions"),
                )
            )
    return causes


def _immutable_data(object: Object, before: Object) -> list[Cause]:
    causes = _metadata(object)
    changed = any(object.get(name) != before.get(name) for name in ("data", "binaryData"))
    if before.get("immutable") and changed:
        causes.append(Cause("data", INVALID, "field is immutable when `immutable` is set", None))
    return causes


_WEBHOOK_TYPES = {
    "webhooks": [
        {
            "name": STRING,
            "clientConfig": {
                "url": STRING,
                "caBundle": STRING,
                "service": {"name": STRING, "namespace": STRING},
            },
            "rules": [
                {name: [STRING] for name in ("operations", "apiGroups", "apiVersions", "resources")}
                | {"scope": STRING}
            ],
            "namespaceSelector": pod_types.SELECTOR,
            "objectSelector": pod_types.SELECTOR,
            "failurePolicy": STRING,
            "timeoutSeconds": INTEGER,
            "admissionReviewVersions": [STRING],
        }
    ]
}
_CRD_TYPES = {
    "spec": {
        "group": STRING,
        "scope": STRING,
        "names": {
            "plural": STRING,
            "singular": STRING,
            "kind": STRING,
            "listKind": STRING,
            "shortNames": [STRING],
        },
        "versions": [
            {
                "name": STRING,
                "additionalPrinterColumns": [
                    {"name": STRING, "type": STRING, "jsonPath": STRING, "priority": INTEGER}
                ],
                "subresources": {"status": {}},
            }
        ],
        "conversion": {"strategy": STRING, "webhook": {"clientConfig": {"url": STRING, "caBundle": STRING}}},
    }
}
_SERVICE_TYPES = {
    "spec": {"ports": [{"name": STRING, "port": INTEGER, "targetPort": NUMBER_OR_TEXT}], "selector": TEXTS}
}
_PLAIN_DATA = {"data": TEXTS, "binaryData": TEXTS}

RULES: Mapping[str, Rules] = {
    "pods": Rules(
        pod_types.POD, pod_defaults.pod, _begin_pod, pod_rules.creation_causes, pod_rules.update_causes
    ),
    "namespaces": Rules(
        {"spec": {"finalizers": [STRING]}, "status": {}},
        _default_namespace,
        _begin_namespace,
        _namespace_causes,
    ),
    "nodes": Rules(
        {"spec": {}, "status": {}}, begin=_nothing
    ),  # whoever registers a node tells its status at once
    "events": Rules({"involvedObject": {}, "source": {}, "count": INTEGER, "series": ANYTHING}),
    "configmaps": Rules(_PLAIN_DATA, update=_immutable_data),
    "secrets": Rules(
        {**_PLAIN_DATA, "stringData": TEXTS, "type": STRING}, _default_secret, update=_immutable_data
    ),
    "services": Rules(_SERVICE_TYPES, _default_service),
    "deployments.apps": Rules(
        pod_types.WORKLOAD,
        workloads.default_deployment,
        _no_status,
        workloads.creation_causes,
        workloads.update_causes,
    ),
    "replicasets.apps": Rules(
        pod_types.WORKLOAD,
        workloads.default_replica_set,
        _no_status,
        workloads.creation_causes,
        workloads.update_causes,
    ),
    MUTATING: Rules(
        _WEBHOOK_TYPES, _default_webhooks, _no_status, _webhooks_causes, lambda new, _: _webhooks_causes(new)
    ),
    VALIDATING: Rules(
        _WEBHOOK_TYPES, _default_webhooks, _no_status, _webhooks_causes, lambda new, _: _webhooks_causes(new)
    ),
    CRDS: Rules(_CRD_TYPES, crd.default, crd.establish, crd.validate, lambda new, _: crd.validate(new)),
}
PLAIN = Rules(begin=_nothing)


def rules_of(kind: Kind) -> Rules:
    """The kind's particulars; custom resources have none but the status that a client may not set."""
    if kind.custom:
        return Rules() if kind.has_status else PLAIN
    return RULES.get(kind.resource, PLAIN)


def decode(kind: Kind, body: Any) -> Object:
    """The object in a request's body, after a look at what everything else relies on; ApiError 400."""
    if not isinstance(body, dict):
        raise bad_request(f"the body of the request has to be a JSON object of kind {kind.kind}")
    object: Object = (
        {**body, "metadata": _without_nulls(body.get("metadata"))} if kind.custom else _without_nulls(body)
    )
    for name, wanted in (("apiVersion", kind.api_version), ("kind", kind.kind)):
        if not object.get(name):
            object[name] = wanted
        elif object[name] != wanted:
            raise bad_request(
                f"the {name} in the data ({object[name]}) does not match the expected {name} ({wanted})"
            )
    if object.get("metadata") is None:
        object["metadata"] = {}
    why = unreadable(object["metadata"]) or pod_types.misfit(object, rules_of(kind).types)
    if why:
        raise bad_request(
            f'{kind.kind} in version "{kind.version}" cannot be handled as a {kind.kind}: {why}'
        )
    return object


def _without_nulls(value: Any) -> Any:
    """A null in a built-in object means that the field is absent."""
    if isinstance(value, dict):
        return {key: _without_nulls(item) for key, item in value.items() if item is not None}
    if isinstance(value, list):
        return [_without_nulls(item) for item in value]
    return value


def check(kind: Kind, object: Object, causes: list[Cause]) -> None:
    """Refuses an object that anything is wrong with; ApiError 422."""
    if causes:
        raise invalid(
            kind.group,
            kind.kind,
            object["metadata"].get("name") or object["metadata"].get("generateName", ""),
            causes,
        )
