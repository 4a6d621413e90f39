"""What the webhook tells the API server about itself: the CRD and both webhook configurations.

Knows nothing of how requests are answered.
"""

from __future__ import annotations

import base64

from harness.sidecarset import crd, paths, webhook
from harness.sidecarset.client import ApiFailure, Client
from harness.sidecarset.names import GROUP, NAMESPACE_NAME_LABEL, PLURAL, SERVED_VERSIONS, Object

CONFIGURATION = {
    "mutating": "kruise-mutating-webhook-configuration",
    "validating": "kruise-validating-webhook-configuration",
}
OWN_LABEL = ("control-plane", "openkruise")
"""Label of namespaces whose pods are never injected: the controller's own pod has to start without its
webhook."""
TIMEOUT_S = 10
ATTEMPTS = 5
"""Somebody else may write between our reading and writing, but not again and again."""


def register(client: Client, url: str, authority_pem: bytes) -> None:
    """Creates or updates all three; `url` is `https://ADDRESS:PORT`. ApiFailure."""
    authority = base64.b64encode(authority_pem).decode()

    def at(path: str) -> Object:
        return {"url": url + path, "caBundle": authority}

    apply(client, paths.CRDS, crd.definition(at(webhook.CONVERT)))
    apply(client, paths.VALIDATING, validating(at(webhook.VALIDATE_SIDECARSET)))
    apply(client, paths.MUTATING, mutating(at(webhook.MUTATE_SIDECARSET), at(webhook.MUTATE_POD)))


def mutating(sidecarset: Object, pod: Object) -> Object:
    """The MutatingWebhookConfiguration, from the clientConfigs of its two webhooks."""
    elsewhere = {
        "matchExpressions": [
            {"key": OWN_LABEL[0], "operator": "NotIn", "values": [OWN_LABEL[1]]},
            {"key": NAMESPACE_NAME_LABEL, "operator": "NotIn", "values": ["kube-system"]},
        ]
    }
    webhooks = [
        _webhook("msidecarset.kb.io", sidecarset, _sidecarset_rule()),
        {
            **_webhook("mpod.kb.io", pod, _rule("", ["v1"], ["CREATE"], "pods", "Namespaced")),
            "namespaceSelector": elsewhere,
        },
    ]
    return _configuration("Mutating", CONFIGURATION["mutating"], webhooks)


def validating(sidecarset: Object) -> Object:
    """The ValidatingWebhookConfiguration."""
    webhooks = [_webhook("vsidecarset.kb.io", sidecarset, _sidecarset_rule())]
    return _configuration("Validating", CONFIGURATION["validating"], webhooks)


def _sidecarset_rule() -> Object:
    return _rule(GROUP, list(SERVED_VERSIONS), ["CREATE", "UPDATE"], PLURAL, "Cluster")


def _rule(group: str, versions: list[str], operations: list[str], resource: str, scope: str) -> Object:
    return {
        "apiGroups": [group],
        "apiVersions": versions,
        "operations": operations,
        "resources": [resource],
        "scope": scope,
    }


def _webhook(name: str, client_config: Object, rule: Object) -> Object:
    return {
        "name": name,
        "clientConfig": client_config,
        "rules": [rule],
        "failurePolicy": "Fail",
        "sideEffects": "None",
        "admissionReviewVersions": ["v1"],
        "timeoutSeconds": TIMEOUT_S,
    }


def _configuration(kind: str, name: str, webhooks: list[Object]) -> Object:
    return {
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": f"{kind}WebhookConfiguration",
        "metadata": {"name": name},
        "webhooks": webhooks,
    }


def apply(client: Client, path: str, body: Object) -> None:
    """Creates an object, or replaces the one of that name, keeping what others wrote into its metadata."""
    name = body["metadata"]["name"]
    for attempt in range(1, ATTEMPTS + 1):
        try:
            try:
                current = client.get(f"{path}/{name}")
            except ApiFailure as failure:
                if failure.code != 404:
                    raise
                client.create(path, body)
                return
            metadata = {**current["metadata"], **body["metadata"]}
            status = {"status": current["status"]} if "status" in current else {}
            client.replace(f"{path}/{name}", {**body, "metadata": metadata, **status})
        except ApiFailure as failure:
            if failure.code != 409 or attempt == ATTEMPTS:
                raise
        else:
            return
