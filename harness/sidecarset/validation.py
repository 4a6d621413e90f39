"""What the validating webhook refuses in a SidecarSet. Works on v1beta1 with defaults applied.

Knows nothing of how what it is held against (other sets, revisions, the whitelist) is read.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from harness.sidecarset import podchecks, revisions, selectors
from harness.sidecarset.api import Sidecar, SidecarSet
from harness.sidecarset.conflicts import conflicts
from harness.sidecarset.expressions import BadExpression, evaluate
from harness.sidecarset.fielderrors import duplicate, forbidden, invalid, required
from harness.sidecarset.names import (
    AFTER_APP,
    BEFORE_APP,
    MERGE_PATCH_JSON,
    OVERWRITE,
    RETAIN,
    ROLLING_UPDATE,
    Object,
)

NAME = re.compile(r"[a-zA-Z0-9\-]+")
NAME_MAX = 63
PERCENT = re.compile(r"[0-9]+%")
MAX_WEIGHT = 100
SUBSCRIPTED = re.compile(r"metadata\.(labels|annotations)\['[^']+'\]")
POLICIES = (RETAIN, OVERWRITE, MERGE_PATCH_JSON)


@dataclass(frozen=True)
class Surroundings:
    """What a set is held against. `predecessor` is the set before an update, None on creation; `whitelist`
    the rules of the ConfigMap, None when there is none."""

    others: Sequence[SidecarSet] = ()
    predecessor: SidecarSet | None = None
    revisions: Sequence[Object] = ()
    whitelist: Sequence[Object] | None = None


def problems(sidecarset: SidecarSet, around: Surroundings) -> list[str]:
    """All that is wrong with it, one message each: the set by itself first, its relation to others only when
    it is right."""
    checks: tuple[Callable[[SidecarSet, Surroundings], Iterator[str]], ...] = (
        _name,
        _canary,
        _spec,
        _changes,
    )
    found = [message for check in checks for message in check(sidecarset, around)]
    return found or list(conflicts(sidecarset, around.others))


def _name(sidecarset: SidecarSet, _: Surroundings) -> Iterator[str]:
    if not NAME.fullmatch(sidecarset.name) or len(sidecarset.name) > NAME_MAX:
        reason = "sidecarset name must consist of alphanumeric characters or '-'"
        yield invalid("metadata.name", sidecarset.name, f"{reason}, and be no longer than {NAME_MAX}")


def _canary(sidecarset: SidecarSet, around: Surroundings) -> Iterator[str]:
    base, before = sidecarset.base, around.predecessor
    if before is not None and before.base and before.base != base:
        yield invalid("metadata", base or "", "annotations of a canary are immutable")
    if base is None:
        return
    named = {each.name: each for each in around.others}
    if base == sidecarset.name:
        yield invalid("metadata", base, "base sidecarSet cannot be itself")
    elif base not in named:
        yield invalid("metadata", base, f"fetch base sidecarSet[{base}] failed: not found")
    elif named[base].base:
        yield invalid("metadata", base, "base sidecarSet cannot be canary")
    if sidecarset.strategy.get("type") == ROLLING_UPDATE:
        yield invalid("metadata", base, "RollingUpdate is not supported for canary sidecarSet")


# -- the spec ------------------------------------------------------------------------------------------------


def _spec(sidecarset: SidecarSet, around: Surroundings) -> Iterator[str]:
    spec = sidecarset.spec
    if sidecarset.selector is None:
        yield required("spec.selector", "no selector defined for SidecarSet")
    else:
        yield from _selector(sidecarset.selector, "spec.selector")
    if sidecarset.namespace_selector is not None:
        yield from _selector(sidecarset.namespace_selector, "spec.namespaceSelector")
    yield from _revision(sidecarset, around)
    if sidecarset.strategy.get("type") == ROLLING_UPDATE:
        yield from _rolling_update(sidecarset)
    if not sidecarset.containers and not sidecarset.init_containers:
        yield required("spec", "no initContainer or container defined for SidecarSet")
        return
    for field, sidecars in (
        ("containers", sidecarset.containers),
        ("initContainers", sidecarset.init_containers),
    ):
        for index, sidecar in enumerate(sidecars):
            yield from _sidecar(sidecar, index, is_container=field == "containers")
    yield from podchecks.problems(spec)
    yield from _colliding_halves(sidecarset)
    yield from _pod_metadata(sidecarset, around)


def _selector(selector: Object, path: str) -> Iterator[str]:
    yield from selectors.problems(selector, path)
    if selectors.is_empty(selector):
        yield invalid(path, {}, "empty selector is not valid for sidecarset.")


def _revision(sidecarset: SidecarSet, around: Surroundings) -> Iterator[str]:
    wanted = sidecarset.injection.get("revision")
    if wanted is None:
        return
    if not revisions.requested(sidecarset):
        yield invalid("revision", wanted, "revisionName and customVersion cannot be empty simultaneously")
    else:
        try:
            revisions.find(wanted, around.revisions)
        except revisions.NoSuchRevision as error:
            yield invalid("revision", wanted, str(error))
    if wanted.get("policy", "Always") not in ("Always", "Partial"):
        yield invalid("revision.policy", wanted["policy"], "Invalid policy, must be Always or Partial")


def _rolling_update(sidecarset: SidecarSet) -> Iterator[str]:
    strategy, path = sidecarset.strategy, "spec.updateStrategy"
    if any(each.native for each in sidecarset.init_containers):
        yield required(path, "The initContainer in-place upgrade is not currently supported.")
    if strategy.get("selector") is not None:
        if strategy.get("partition"):
            yield invalid(
                "updateStrategy", strategy["partition"], "Partition and Selector cannot be used together"
            )
        yield from _selector(strategy["selector"], f"{path}.selector")
    for field in ("partition", "maxUnavailable"):
        yield from _count(strategy.get(field), f"{path}.{field}")
    yield from _priority(strategy.get("priorityStrategy"), f"{path}.priorityStrategy")
    yield from _scatter(strategy.get("scatterStrategy") or [], f"{path}.scatterStrategy")


def _count(value: Any, path: str) -> Iterator[str]:
    if isinstance(value, str) and not PERCENT.fullmatch(value):
        yield invalid(path, value, "must be an integer or a percentage (e.g. '5%')")
    elif isinstance(value, int) and value < 0:
        yield invalid(path, value, "must be greater than or equal to 0")


def _priority(priority: Object | None, path: str) -> Iterator[str]:
    weights, orders = (
        (priority or {}).get("weightPriority") or [],
        (priority or {}).get("orderPriority") or [],
    )
    if weights and orders:
        yield invalid(path, priority, "only one of weightPriority and orderPriority can be used")
    for each in weights:
        if not 0 <= (each.get("weight") or 0) <= MAX_WEIGHT:
            yield invalid(path, each.get("weight"), "weight must be valid number in the range 1-100")
        if selectors.is_empty(each.get("matchSelector") or {}):
            yield invalid(path, {}, "selector can not be empty")
        yield from selectors.problems(each.get("matchSelector") or {}, f"{path}.matchSelector")
    if any(not each.get("orderedKey") for each in orders):
        yield invalid(path, "", "order key can not be empty")


def _scatter(terms: Sequence[Object], path: str) -> Iterator[str]:
    seen: set[tuple[str, str]] = set()
    for each in terms:
        pair = (each.get("key") or "", each.get("value") or "")
        if not pair[0]:
            yield required(path, "key should not be empty")
        if pair in seen:
            yield invalid(path, each, f"duplicated key={pair[0]} value={pair[1]}")
        seen.add(pair)


# -- containers ----------------------------------------------------------------------------------------------


def _sidecar(sidecar: Sidecar, index: int, *, is_container: bool) -> Iterator[str]:
    policy = sidecar.raw.get("podInjectPolicy")
    if policy not in (None, BEFORE_APP, AFTER_APP):
        yield invalid("spec.container.podInjectPolicy", policy, "unsupported pod inject policy")
    share = (sidecar.raw.get("shareVolumePolicy") or {}).get("type")
    if is_container and share not in (None, "enabled", "disabled"):
        yield invalid("spec.container.shareVolumePolicy", share, "unsupported share volume policy")
    if is_container:
        for each in sidecar.raw.get("transferEnv") or []:
            yield from _transfer(each, f"spec[{index}].transferEnv")
    if sidecar.raw.get("resourcesPolicy"):
        yield from _resources_policy(sidecar, f"spec[{index}].resourcesPolicy", is_container)
    if sidecar.hot and sidecar.image and sidecar.image == sidecar.empty_image:
        path = f"spec.containers[{index}].upgradeStrategy.hotUpgradeEmptyImage"
        yield invalid(path, sidecar.empty_image, "must differ from image, or no half of the pair would work")


def _transfer(transfer: Object, path: str) -> Iterator[str]:
    source = transfer.get("sourceContainerNameFrom")
    if source is None:
        return
    reference = source.get("fieldRef")
    if not reference:
        yield required(f"{path}.fieldRef", "sourceContainerNameFrom names no field")
        return
    if reference.get("apiVersion") != "v1":
        yield invalid(f"{path}.fieldRef.apiVersion", reference.get("apiVersion"), "must be v1")
    if not SUBSCRIPTED.fullmatch(reference.get("fieldPath") or ""):
        reason = "must be metadata.labels['key'] or metadata.annotations['key']"
        yield invalid(f"{path}.fieldRef.fieldPath", reference.get("fieldPath"), reason)


def _resources_policy(sidecar: Sidecar, path: str, is_container: bool) -> Iterator[str]:
    policy = sidecar.raw["resourcesPolicy"]
    if not is_container and not sidecar.native:
        yield forbidden(path, "resourcesPolicy is only supported for containers with RestartPolicy Always")
    if sidecar.raw.get("resources"):
        yield forbidden(path, "resourcesPolicy and resources cannot be configured together")
    if policy.get("targetContainersMode") not in ("sum", "max"):
        mode = policy.get("targetContainersMode")
        yield invalid(f"{path}.targetContainersMode", mode, "must be sum or max")
    pattern = policy.get("targetContainersNameRegex")
    if not pattern:
        yield invalid(f"{path}.targetContainersNameRegex", "", "invalid empty regex")
    else:
        try:
            re.compile(pattern)
        except re.error as error:
            yield invalid(f"{path}.targetContainersNameRegex", pattern, f"invalid regex pattern: {error}")
    expressions = policy.get("resourcesExpr") or {}
    if not expressions.get("limits") and not expressions.get("requests"):
        yield required(f"{path}.resourcesExpr", "at least one of limits or requests must be configured")
    for kind in ("limits", "requests"):
        for name, text in (expressions.get(kind) or {}).items():
            try:
                evaluate(str(text), name, Fraction(1))
            except BadExpression as error:
                yield invalid(f"{path}.resourcesExpr.{kind}.{name}", text, f"invalid expression: {error}")


def _colliding_halves(sidecarset: SidecarSet) -> Iterator[str]:
    """A hot `mesh` beside a container `mesh-1`: both would be `mesh-1` in the pod."""
    names = {each.name for each in (*sidecarset.containers, *sidecarset.init_containers)}
    for index, sidecar in enumerate(sidecarset.containers):
        for half in sidecar.names_in_pod if sidecar.hot else ():
            if half in names:
                yield duplicate(f"spec.containers[{index}].name", half, "half of the pair has that name")


# -- pod metadata, changes -----------------------------------------------------------------------------------


def _pod_metadata(sidecarset: SidecarSet, around: Surroundings) -> Iterator[str]:
    path, seen = "spec.patchPodMetadata", set[str]()
    entries = sidecarset.spec.get("patchPodMetadata") or []
    for entry in entries:
        keys = entry.get("annotations") or {}
        if not keys:
            yield required(path, "no annotations defined for SidecarSet")
        if entry.get("patchPolicy") not in POLICIES:
            yield required(path, "no patchPolicy defined for patchPodMetadata")
        yield from (
            invalid(path, key, f"patch annotation[{key}] already exist") for key in keys if key in seen
        )
        seen.update(keys)
    if not entries:
        return
    if around.whitelist is None:
        yield invalid(path, sorted(seen), "SidecarSet patch metadata whitelist not found")
        return
    rules = [
        each
        for each in around.whitelist
        if each.get("selector") is None or selectors.matches(each["selector"], sidecarset.labels)
    ]
    if not rules:
        yield invalid(path, sorted(seen), "sidecarSet patch metadata annotation is not allowed")
        return
    allowed = [expression for rule in rules for expression in rule.get("allowedAnnotationKeyExprs") or []]
    for key in sorted(seen):
        if not any(re.search(expression, key) for expression in allowed):
            yield invalid(path, key, f"sidecarSet patch metadata annotation({key}) is not allowed")


def _changes(sidecarset: SidecarSet, around: Surroundings) -> Iterator[str]:
    if around.predecessor is None:
        return
    before = {each.name: each for each in around.predecessor.containers}
    for sidecar in sidecarset.containers:
        if sidecar.name not in before:
            yield invalid("spec.containers.name", sidecar.name, f"container {sidecar.name} is not found")
        elif sidecar.upgrade.get("upgradeType") != before[sidecar.name].upgrade.get("upgradeType"):
            path, kind = "spec.containers.upgradeStrategy.upgradeType", sidecar.upgrade.get("upgradeType")
            yield invalid(path, kind, f"container {sidecar.name} upgradeType is immutable")
