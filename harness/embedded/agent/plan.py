"""Decides what a pass over a pod does: which containers are ended and which are started, in which order.

Pure. Knows nothing of how that is done, of back-off, or of deletion.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from harness.embedded.agent.instances import Instance
from harness.embedded.agent.probes import ProbeKind
from harness.embedded.agent.status import is_sidecar
from harness.embedded.seams import Object


@dataclass(frozen=True)
class Kill:
    """An instance to end, and why. `failed` is the probe that wants it."""

    container: Object
    instance: Instance
    message: str
    replaced: bool = False
    failed: ProbeKind | None = None


@dataclass
class Plan:
    """Ends come first, then starts, each in order. `finished`: nothing will ever be started again."""

    kill: list[Kill] = field(default_factory=list)
    start: list[Object] = field(default_factory=list)
    finished: bool = False


@dataclass(frozen=True)
class Outlook:
    """What a plan is made from: the instances that count, and what probes say of them."""

    instances: Mapping[str, Instance]
    started: Callable[[str], bool]
    failed: Callable[[str], ProbeKind | None]


def make_plan(pod: Object, outlook: Outlook) -> Plan:
    """What to do now."""
    plan, policy = Plan(), pod["spec"].get("restartPolicy", "Always")
    begun = any(container["name"] in outlook.instances for container in pod["spec"]["containers"])
    for container in pod["spec"].get("initContainers") or []:
        if is_sidecar(container):
            _keep(plan, container, outlook, "Always")
            instance = outlook.instances.get(container["name"])
            if not begun and not (instance and instance.running and outlook.started(instance.id)):
                return plan
        elif not begun and not _prepared(plan, container, outlook, policy):
            return plan
    kept = [_keep(plan, container, outlook, policy) for container in pod["spec"]["containers"]]
    plan.finished = not any(kept)
    if plan.finished:
        plan.start.clear()
    return plan


def _prepared(plan: Plan, container: Object, outlook: Outlook, policy: str) -> bool:
    """Whether an init container is done; else plans its start, or nothing if it runs or the pod has failed
    by it."""
    instance = outlook.instances.get(container["name"])
    if instance is not None and instance.exit is not None:
        if instance.exit.code == 0:
            return True
        if policy == "Never":
            plan.finished = True
            return False
    if instance is None or not instance.running:
        plan.start.append(container)
    return False


def _keep(plan: Plan, container: Object, outlook: Outlook, policy: str) -> bool:
    """Plans what one container needs; whether it runs or will."""
    instance = outlook.instances.get(container["name"])
    if instance is None:
        plan.start.append(container)
        return True
    if instance.exit is not None:
        again = policy == "Always" or (policy == "OnFailure" and instance.exit.code != 0)
        if again:
            plan.start.append(container)
        return again
    name, failed = container["name"], outlook.failed(instance.id)
    if instance.ref != container["image"]:
        plan.kill.append(
            Kill(
                container, instance, f"Container {name} definition changed, will be restarted", replaced=True
            )
        )
        plan.start.append(container)
    elif failed is not None:
        again = policy != "Never"
        plan.kill.append(
            Kill(
                container,
                instance,
                f"Container {name} failed {failed} probe{', will be restarted' * again}",
                failed=failed,
            )
        )
        plan.start += [container] * again
    return True
