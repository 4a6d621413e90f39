"""The application's pods and whether each has its sidecars. Knows nothing of how pods are made."""

from __future__ import annotations

import json
from collections.abc import Mapping

from kubernetes.client import ApiClient, CoreV1Api

from harness.calls import calling, raw
from harness.errors import ClusterError, Timeout
from harness.manifest import Subject
from harness.upgrade.evidence import Evidence, told
from harness.upgrade.view import PodView, view_of
from harness.upgrade.waits import CLOCK, POLL_S, TIMEOUTS, Clock, Timeouts


def lacks(view: PodView, subject: Subject) -> str | None:
    """What the pod lacks to be upgraded, in words; None if nothing. Which of its pair works does not matter."""
    absent = [name for name in subject.containers if name not in view.containers]
    if absent:
        return f"has no container {absent[0]}"
    first = view.containers[subject.containers[0]]
    images = [subject.image, *([subject.empty_image] if subject.empty_image is not None else [])]
    if subject.empty_image is not None and first.wants(subject.empty_image):
        images.reverse()
    for name, image in zip(subject.containers, images, strict=True):
        container = view.containers[name]
        if not (container.wants(image) and container.runs(image) and container.ready):
            return f"{name} does not run {image} and be ready yet ({container.words()})"
    return None if view.ready else f"is not Ready yet ({view.words()})"


def wait_for_pairs(
    api: ApiClient,
    namespace: str,
    subject: Subject,
    count: int,
    *,
    timeouts: Timeouts = TIMEOUTS,
    clock: Clock = CLOCK,
) -> list[str]:
    """Waits until `count` pods that match the SidecarSet are Ready with their sidecars; returns their names.

    A pod that came without is refused at once: containers are added to a pod only while it is created.
    """
    started = clock.now()
    while True:
        views = _list(api, namespace, subject)
        for view in views:
            absent = [name for name in subject.containers if name not in view.containers]
            if absent:
                raise ClusterError(
                    f"pod {view.name} came without {', '.join(absent)} and stays so (it has "
                    f"{', '.join(view.containers)}): it does not match SidecarSet {subject.name}, "
                    "or the webhook did not know that yet when the pod was made"
                )
        missing = {view.name: lacks(view, subject) for view in views}
        if len(views) == count and not any(missing.values()):
            return sorted(missing)
        if clock.now() - started >= timeouts.pods_s:
            lines = [_summary(count, missing, timeouts.pods_s)]
            evidence = Evidence(api, namespace)
            for name in (name for name, what in missing.items() if what):
                lines += told(evidence.all(name, subject.containers, clock.now()), name, subject.containers)
            raise Timeout("\n".join(lines))
        clock.sleep(POLL_S)


def _list(api: ApiClient, namespace: str, subject: Subject) -> list[PodView]:
    selector = ",".join(f"{key}={value}" for key, value in subject.labels.items())
    with calling(f"list the pods of namespace {namespace}"):
        body = json.loads(raw(CoreV1Api(api).list_namespaced_pod, namespace, label_selector=selector))
    return [view for view in map(view_of, body["items"]) if not view.leaving]


def _summary(count: int, missing: Mapping[str, str | None], waited_s: float) -> str:
    each = "; ".join(f"{name} {what}" for name, what in missing.items() if what) or "none lacks a sidecar"
    there = f"{len(missing)} of {count} pods are there"
    return f"not all pods are Ready with their sidecars after {waited_s:g} s: {there}; {each}"
