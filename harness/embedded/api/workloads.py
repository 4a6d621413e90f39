"""Defaults and rules of Deployment and ReplicaSet. Knows nothing of what controllers do with them."""

from __future__ import annotations

from harness.embedded.api import pod_defaults, pod_rules
from harness.embedded.api.meta import labels_causes, metadata_causes
from harness.embedded.api.refusals import FORBIDDEN, INVALID, NOT_SUPPORTED, REQUIRED, Cause
from harness.embedded.api.selectors import label_selector_matches
from harness.embedded.seams import Object

HISTORY_LIMIT = 10
PROGRESS_DEADLINE_S = 600
SURGE = UNAVAILABLE = "25%"


def default_replica_set(object: Object) -> None:
    """Fills a ReplicaSet in."""
    spec = object.setdefault("spec", {})
    spec.setdefault("replicas", 1)
    template = spec.get("template")
    if template is not None:
        template.setdefault("metadata", {})
        pod_defaults.template(template.setdefault("spec", {}))


def default_deployment(object: Object) -> None:
    """Fills a Deployment in."""
    default_replica_set(object)
    spec = object["spec"]
    spec.setdefault("revisionHistoryLimit", HISTORY_LIMIT)
    spec.setdefault("progressDeadlineSeconds", PROGRESS_DEADLINE_S)
    strategy = spec.setdefault("strategy", {})
    if strategy.setdefault("type", "RollingUpdate") == "RollingUpdate":
        rolling = strategy.setdefault("rollingUpdate", {})
        rolling.setdefault("maxUnavailable", UNAVAILABLE)
        rolling.setdefault("maxSurge", SURGE)


def creation_causes(object: Object) -> list[Cause]:
    """What is wrong with a new Deployment or ReplicaSet."""
    return metadata_causes(object["metadata"]) + _spec_causes(object["spec"])


def update_causes(object: Object, before: Object) -> list[Cause]:
    """What is wrong with a change of one."""
    causes = creation_causes(object)
    if object["spec"].get("selector") != before["spec"].get("selector"):
        causes.append(Cause("spec.selector", INVALID, "field is immutable", object["spec"].get("selector")))
    return causes


def _spec_causes(spec: Object) -> list[Cause]:
    causes = []
    for name in ("replicas", "minReadySeconds", "revisionHistoryLimit"):
        if (spec.get(name) or 0) < 0:
            causes.append(Cause(f"spec.{name}", INVALID, "must be greater than or equal to 0", spec[name]))
    selector = spec.get("selector")
    if selector is None:
        causes.append(Cause("spec.selector", REQUIRED))
    elif not selector.get("matchLabels") and not selector.get("matchExpressions"):
        causes.append(Cause("spec.selector", INVALID, "empty selector is invalid for deployment", selector))
    causes += _strategy_causes(spec.get("strategy"))
    template = spec.get("template")
    if template is None:
        return [*causes, Cause("spec.template", REQUIRED)]
    labels = (template.get("metadata") or {}).get("labels") or {}
    causes += labels_causes(labels, "spec.template.metadata.labels")
    if selector and not label_selector_matches(selector, labels):
        detail = "`selector` does not match template `labels`"
        causes.append(Cause("spec.template.metadata.labels", INVALID, detail, labels))
    return causes + pod_rules.spec_causes(template.get("spec") or {}, "spec.template.spec", ("Always",))


def _strategy_causes(strategy: Object | None) -> list[Cause]:
    if strategy is None:
        return []
    type = strategy.get("type")
    if type not in ("Recreate", "RollingUpdate"):
        return [
            Cause("spec.strategy.type", NOT_SUPPORTED, 'supported values: "Recreate", "RollingUpdate"', type)
        ]
    if type == "Recreate" and strategy.get("rollingUpdate") is not None:
        detail = "may not be specified when strategy `type` is 'Recreate'"
        return [Cause("spec.strategy.rollingUpdate", FORBIDDEN, detail)]
    return []


def scale_of(object: Object) -> Object:
    """Its Scale, as the subresource shows it."""
    metadata, spec = object["metadata"], object["spec"]
    labels = (spec.get("selector") or {}).get("matchLabels") or {}
    shown = ("name", "namespace", "uid", "resourceVersion", "creationTimestamp")
    return {
        "kind": "Scale",
        "apiVersion": "autoscaling/v1",
        "metadata": {name: metadata[name] for name in shown if name in metadata},
        "spec": {"replicas": spec.get("replicas", 0)},
        "status": {
            "replicas": (object.get("status") or {}).get("replicas", 0),
            "selector": ",".join(f"{key}={value}" for key, value in sorted(labels.items())),
        },
    }
