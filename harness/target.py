"""A workload of the user's own as the subject: which pods it has, and the SidecarSet that is theirs already.

Nothing of it is made or deleted. Its SidecarSet's image is changed, which is what the user asks for, and set back at
the end. Knows nothing of traffic.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

from kubernetes.client import ApiClient, AppsV1Api, CoreV1Api
from kubernetes.client.exceptions import ApiException

from harness.calls import calling, raw
from harness.errors import ClusterError, InputError
from harness.manifest import NAME, Subject
from harness.upgrade import sidecarset

Kind = Literal["deployment", "statefulset", "pod"]
KINDS: tuple[Kind, ...] = ("deployment", "statefulset", "pod")
NOT_FOUND = 404


@dataclass(frozen=True)
class UserWorkload:
    """The user's workload, by name; see `harness.workload.Workload`."""

    kind: Kind
    name: str
    namespace: str
    keeps_ledger: bool = False

    def labels(self, matching: Mapping[str, str], lap: int) -> dict[str, str]:
        """Those that were found: `find` put them into the subject."""
        return dict(matching)

    def start(self, api: ApiClient, labels: Mapping[str, str], lap: int, pods: int) -> None:
        """It is there."""

    def scale(self, api: ApiClient, lap: int, pods: int) -> None:
        """Never asked for: scenarios that need it make pods of their own."""
        raise ClusterError(f"{self} is not the run's to scale")

    def stop(self, api: ApiClient, lap: int) -> None:
        """It stays."""

    def __str__(self) -> str:
        return f"{self.kind}/{self.name} in namespace {self.namespace}"


@dataclass(frozen=True)
class Found:
    """What is there: the subject as it is on the cluster, with labels that select the pods, and how many they are."""

    subject: Subject
    pods: int


def parse(text: str, namespace: str) -> UserWorkload:
    """`deployment/NAME`, `statefulset/NAME` or `pod/NAME`; InputError."""
    word, _, name = text.partition("/")
    kind = next((kind for kind in KINDS if kind == word), None)
    if kind is None or not NAME.fullmatch(name):
        given = " or ".join(f"{known}/NAME" for known in KINDS)
        raise InputError(f"--target {text}: not a workload; use {given}")
    if not NAME.fullmatch(namespace):
        raise InputError(f"--target-namespace {namespace}: not a namespace; use its name")
    return UserWorkload(kind, name, namespace)


def find(api: ApiClient, target: UserWorkload, subject: Subject) -> Found:
    """The target and its SidecarSet as they are; InputError for what keeps an upgrade from being just the target's.

    A SidecarSet that also matches other pods would upgrade those too, without anybody watching.
    """
    there = sidecarset.read(api, subject)
    if there is None:
        raise InputError(
            f"--target {target}: the cluster has no SidecarSet {subject.name}; create it and its pods first"
        )
    image = sidecarset.image_of(there, subject)
    labels = _labels(api, target)
    pods = _count(api, target, labels)
    if not pods:
        raise InputError(f"--target {target}: it has no pods; scale it up")
    matched = (there.get("status") or {}).get("matchedPods", 0)
    if matched > pods:
        raise InputError(
            f"--target {target}: SidecarSet {subject.name} matches {matched} pods, the target has {pods}: the others "
            "would be upgraded too; give the target a SidecarSet of its own"
        )
    return Found(replace(subject, image=image, labels=labels), pods)


def _labels(api: ApiClient, target: UserWorkload) -> dict[str, str]:
    """Labels that select the target's pods: its selector's, or all of a bare pod's."""
    read: dict[Kind, Any] = {
        "deployment": AppsV1Api(api).read_namespaced_deployment,
        "statefulset": AppsV1Api(api).read_namespaced_stateful_set,
        "pod": CoreV1Api(api).read_namespaced_pod,
    }
    with calling(f"read {target}"):
        try:
            body = json.loads(raw(read[target.kind], target.name, target.namespace))
        except ApiException as error:
            if error.status != NOT_FOUND:
                raise
            raise InputError(f"--target {target}: not there; see kubectl get {target.kind}s -A") from error
    if target.kind == "pod":
        labels: Mapping[str, str] = body["metadata"].get("labels") or {}
    else:
        selector = body["spec"]["selector"]
        if selector.get("matchExpressions"):
            raise InputError(
                f"--target {target}: its selector has matchExpressions; a target is found by matchLabels only"
            )
        labels = selector.get("matchLabels") or {}
    if not labels:
        raise InputError(
            f"--target {target}: it has no labels; label it as the SidecarSet's selector wants it"
        )
    return dict(labels)


def _count(api: ApiClient, target: UserWorkload, labels: Mapping[str, str]) -> int:
    selector = ",".join(f"{key}={value}" for key, value in labels.items())
    with calling(f"list the pods of {target}"):
        body = json.loads(raw(CoreV1Api(api).list_namespaced_pod, target.namespace, label_selector=selector))
    names = [pod["metadata"]["name"] for pod in body["items"]]
    if target.kind == "pod" and names != [target.name]:
        others = ", ".join(name for name in names if name != target.name)
        raise InputError(
            f"--target {target}: pods {others} have the same labels; give it one that is its own"
        )
    return len(names)
