"""Admission webhooks: which of them a request concerns, and what they say to it.

Mutating webhooks are asked one after the other, by the name of their configuration; validating ones
together. `matchPolicy` and `reinvocationPolicy` are accepted and not looked at. Knows nothing of storage
or of HTTP.
"""

from __future__ import annotations

import asyncio
import base64
import json
import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from harness.embedded.api import patch
from harness.embedded.api.refusals import internal
from harness.embedded.api.resources import NAMESPACES_KEY, Kind
from harness.embedded.api.selectors import label_selector_matches
from harness.embedded.api.webhook import Caller, CallFailed
from harness.embedded.seams import ApiError, Object

Operation = Literal["CREATE", "UPDATE", "DELETE"]
DEFAULT_TIMEOUT_S = 10.0  # as Kubernetes has it
EXEMPT = (
    "mutatingwebhookconfigurations",
    "validatingwebhookconfigurations",
)  # or a broken one could not be removed
USER = {"username": "kubernetes-admin", "groups": ["system:masters", "system:authenticated"]}


@dataclass(frozen=True)
class Attributes:
    """A request as admission sees it; `object` is None for a deletion, `before` for a creation."""

    kind: Kind
    operation: Operation
    namespace: str
    name: str
    object: Object | None
    before: Object | None
    subresource: str = ""
    dry_run: bool = False
    options: Mapping[str, Any] | None = None


def rule_matches(rule: Object, attributes: Attributes) -> bool:
    """Whether one rule of a webhook covers the request."""
    kind = attributes.kind
    scope = rule.get("scope") or "*"
    return (
        _among(rule.get("operations"), attributes.operation)
        and _among(rule.get("apiGroups"), kind.group)
        and _among(rule.get("apiVersions"), kind.version)
        and any(
            _resource_matches(wanted, kind.plural, attributes.subresource)
            for wanted in rule.get("resources") or ()
        )
        and (scope == "*" or (scope == "Namespaced") is (kind.namespaced and bool(attributes.namespace)))
    )


def _among(wanted: Sequence[str] | None, value: str) -> bool:
    return "*" in (wanted or ()) or value in (wanted or ())


def _resource_matches(wanted: str, plural: str, subresource: str) -> bool:
    resource, _, part = wanted.partition("/")
    return resource in ("*", plural) and (
        part in ("*", subresource) if part else wanted == "*/*" or not subresource
    )


def concerns(hook: Object, attributes: Attributes, namespace_labels: Mapping[str, str]) -> bool:
    """Whether a webhook wants to see the request."""
    if attributes.kind.plural in EXEMPT:
        return False
    if not any(rule_matches(rule, attributes) for rule in hook.get("rules") or ()):
        return False
    if attributes.kind.resource == NAMESPACES_KEY:
        namespace_labels = _labels(attributes.object or attributes.before)
    in_namespace = attributes.kind.namespaced or attributes.kind.resource == NAMESPACES_KEY
    if in_namespace and not label_selector_matches(hook.get("namespaceSelector"), namespace_labels):
        return False
    selector = hook.get("objectSelector")
    return any(
        label_selector_matches(selector, _labels(object))
        for object in (attributes.object, attributes.before)
        if object is not None
    )


def _labels(object: Object | None) -> Mapping[str, str]:
    return (object or {}).get("metadata", {}).get("labels") or {}


class Admission:
    """Asks the webhooks of the configurations that it is given."""

    def __init__(self, caller: Caller, configurations: Callable[[str], Iterable[Object]]) -> None:
        """`configurations` returns what is stored of `Mutating…` or `Validating…`, by name."""
        self._caller, self._configurations = caller, configurations

    async def mutate(self, attributes: Attributes, namespace_labels: Mapping[str, str]) -> Object | None:
        """The object as the mutating webhooks leave it; ApiError when one denies it or fails."""
        for hook in self._concerned("Mutating", attributes, namespace_labels):
            response = await self._ask(hook, attributes)
            if response is not None and response.get("patch"):
                attributes = replace(attributes, object=_patched(hook, attributes.object, response))
        return attributes.object

    async def validate(self, attributes: Attributes, namespace_labels: Mapping[str, str]) -> None:
        """ApiError when a validating webhook denies the request or fails."""
        hooks = self._concerned("Validating", attributes, namespace_labels)
        if len(hooks) == 1:
            await self._ask(hooks[0], attributes)
            return
        answers = await asyncio.gather(
            *(self._ask(hook, attributes) for hook in hooks), return_exceptions=True
        )
        for answer in answers:
            if isinstance(answer, BaseException):
                raise answer

    def _concerned(self, type: str, attributes: Attributes, labels: Mapping[str, str]) -> list[Object]:
        return [
            hook
            for configuration in self._configurations(type)
            for hook in configuration.get("webhooks") or ()
            if concerns(hook, attributes, labels)
        ]

    async def _ask(self, hook: Object, attributes: Attributes) -> Object | None:
        """Its response; None when it failed and may be ignored."""
        review = review_of(attributes)
        try:
            answer = await self._caller.call(
                hook["clientConfig"], review, float(hook.get("timeoutSeconds") or DEFAULT_TIMEOUT_S)
            )
            response: Object = answer["response"]
            if response.get("uid") != review["request"]["uid"]:
                raise CallFailed(
                    f"expected response.uid={review['request']['uid']!r}, got {response.get('uid')!r}"
                )
        except CallFailed as error:
            if hook.get("failurePolicy") == "Ignore":
                return None
            raise internal(
                f'failed calling webhook "{hook["name"]}": failed to call webhook: {error}'
            ) from error
        if not response.get("allowed"):
            raise denial(hook["name"], response.get("status") or {})
        return response


def review_of(attributes: Attributes) -> Object:
    """The AdmissionReview that a webhook is sent."""
    kind = attributes.kind
    request: Object = {
        "uid": str(uuid.uuid4()),
        "kind": kind.identity,
        "resource": kind.location,
        "requestKind": kind.identity,
        "requestResource": kind.location,
        "name": attributes.name,
        "operation": attributes.operation,
        "userInfo": USER,
        "object": attributes.object,
        "oldObject": attributes.before,
        "dryRun": attributes.dry_run,
        "options": dict(attributes.options or {}) or None,
    }
    if attributes.namespace:
        request["namespace"] = attributes.namespace
    if attributes.subresource:
        request |= {"subResource": attributes.subresource, "requestSubResource": attributes.subresource}
    return {"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": request}


def denial(webhook: str, status: Mapping[str, Any]) -> ApiError:
    """What the client gets when a webhook says no: its own code and reason, and its message behind its
    name.
    """
    told = status.get("message") or status.get("reason")
    message = f'admission webhook "{webhook}" denied the request' + (
        f": {told}" if told else " without explanation"
    )
    code = int(status.get("code") or 0)
    return ApiError(max(code, 400), status.get("reason") or "", message, dict(status.get("details") or {}))


def _patched(hook: Object, object: Object | None, response: Object) -> Object:
    if response.get("patchType") != "JSONPatch" or object is None:
        raise internal(f'webhook "{hook["name"]}" returned a patch that is not a JSONPatch of an object')
    try:
        return patch.json_patch(object, json.loads(base64.b64decode(response["patch"])))
    except (ValueError, ApiError) as error:
        raise internal(
            f'webhook "{hook["name"]}" returned a patch that cannot be applied: {error}'
        ) from error
