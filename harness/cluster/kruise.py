"""Kruise as it is installed on a cluster that the kit makes: rendered, rewritten, applied, waited for.

Rendering and applying are apart, since the chart fixes imagePullPolicy Always, which fails where images were loaded
onto the nodes. Knows nothing of what the cluster runs on.
"""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import requests
import yaml
from kubernetes.client import ApiClient, AppsV1Api

from harness.calls import REQUEST_S, calling
from harness.cluster.webhooks import CONTROLLER_NAMESPACE, await_webhooks
from harness.errors import ClusterError, InputError, Timeout
from harness.objects import create
from harness.upgrade.waits import POLL_S, Clock

VERSION = "1.9.0"
REPOSITORY = "https://openkruise.github.io/charts/"
CHART = "kruise"
INDEX_WITHIN_S = 20.0
COMMAND_WITHIN_S = 600.0  # the longest: an archive of all images, loaded onto several nodes
WEBHOOKS_WITHIN_S = (
    180.0  # the image is pulled, the manager elects itself, makes certificates, registers its webhooks
)
SYSTEM_WITHIN_S = 180.0
HOOK = "helm.sh/hook"  # helm itself runs these at an upgrade or a removal, which it does not do here
POD_TEMPLATES = frozenset({"Deployment", "DaemonSet", "StatefulSet", "Job"})

Execute = Callable[[Sequence[str]], str]
"""Runs a command and returns its output; ClusterError."""


@dataclass(frozen=True)
class Source:
    """Where Kruise comes from: plain manifests, a chart of the user's own, or the repository's at `version`."""

    version: str = VERSION
    chart: Path | None = None
    manifests: Path | None = None
    image: str | None = None

    def needs_helm(self) -> bool:
        """Whether it has to be rendered."""
        return self.manifests is None

    def check(self) -> None:
        """InputError for a file that is not there, or a version that the repository lacks; names those that it has."""
        for option, path in (("--kruise-chart", self.chart), ("--kruise-manifests", self.manifests)):
            if path is not None and not path.exists():
                raise InputError(f"{option} {path}: no such file; name a chart or manifests of Kruise")
        if self.chart is None and self.manifests is None:
            there = versions()
            if self.version not in there:
                raise InputError(
                    f"--kruise-version {self.version}: the repository {REPOSITORY} has {', '.join(there[:12])}; "
                    "name one of them, or give --kruise-chart or --kruise-manifests"
                )

    def render(self, execute: Execute) -> list[dict[str, Any]]:
        """The objects, as the source has them; InputError, ClusterError."""
        if self.manifests is not None:
            return _documents(self.manifests.read_text(encoding="utf-8"), str(self.manifests))
        chart = [str(self.chart)] if self.chart else [CHART, "--repo", REPOSITORY, "--version", self.version]
        command = [
            "helm",
            "template",
            "kruise",
            *chart,
            "--include-crds",
            "--namespace",
            CONTROLLER_NAMESPACE,
        ]
        return _documents(execute(command), "the rendered chart")


def versions() -> list[str]:
    """The versions that the repository has, newest first; ClusterError."""
    try:
        answer = requests.get(f"{REPOSITORY}index.yaml", timeout=INDEX_WITHIN_S)
        answer.raise_for_status()
        entries = yaml.safe_load(answer.text)["entries"][CHART]
    except (requests.RequestException, yaml.YAMLError, KeyError, TypeError) as error:
        raise ClusterError(
            f"the chart repository {REPOSITORY} cannot be read ({' '.join(str(error).split())[:160]}); "
            "give --kruise-chart or --kruise-manifests"
        ) from error
    return [str(entry["version"]) for entry in entries]


def rewritten(
    objects: Sequence[Mapping[str, Any]],
    *,
    labels: Mapping[str, str],
    annotations: Mapping[str, str],
    image: str | None,
    images_loaded: bool,
) -> list[dict[str, Any]]:
    """The same objects with the run's marks, the manager's image, and no pulling of what was loaded. Pure."""
    result = []
    for given in objects:
        metadata = {
            **given["metadata"],
            "labels": {**(given["metadata"].get("labels") or {}), **labels},
            "annotations": {**(given["metadata"].get("annotations") or {}), **annotations},
        }
        body = {**given, "metadata": metadata}
        if given["kind"] in POD_TEMPLATES:
            template = given["spec"]["template"]
            containers = [_container(one, image, images_loaded) for one in template["spec"]["containers"]]
            pod = {**template["spec"], "containers": containers}
            body["spec"] = {**given["spec"], "template": {**template, "spec": pod}}
        result.append(body)
    return result


def _container(given: Mapping[str, Any], image: str | None, images_loaded: bool) -> dict[str, Any]:
    container = dict(given)
    if image is not None:
        container["image"] = image
    if images_loaded:
        container["imagePullPolicy"] = "IfNotPresent"
    return container


def await_system(api: ApiClient, clock: Clock) -> None:
    """Waits for kube-proxy and CoreDNS; Timeout.

    Kruise's pod webhook fails closed: pods that come after it and before its server are refused, kube-proxy's
    among them, and without kube-proxy nobody reaches the server.
    """
    apps: Any = AppsV1Api(api)
    end = clock.now() + SYSTEM_WITHIN_S
    while True:
        with calling("look for kube-proxy and CoreDNS"):
            daemons = apps.list_namespaced_daemon_set("kube-system", _request_timeout=REQUEST_S).items
            deployments = apps.list_namespaced_deployment("kube-system", _request_timeout=REQUEST_S).items
        proxy = [one.status for one in daemons if one.metadata.name == "kube-proxy"]
        dns = [one.status for one in deployments if one.metadata.name == "coredns"]
        rolled = all(
            s.desired_number_scheduled and s.number_ready == s.desired_number_scheduled for s in proxy
        )
        if proxy and dns and rolled and all(s.available_replicas for s in dns):
            return
        if clock.now() >= end:
            raise Timeout(f"kube-proxy and CoreDNS did not come up within {SYSTEM_WITHIN_S:.0f} s")
        clock.sleep(POLL_S)


def install(api: ApiClient, objects: Sequence[dict[str, Any]]) -> None:
    """Creates them in their order and waits until the webhooks answer; ClusterError."""
    for body in objects:
        create(api, body)
    await_webhooks(api, WEBHOOKS_WITHIN_S)


def _documents(text: str, where: str) -> list[dict[str, Any]]:
    try:
        documents = [one for one in yaml.safe_load_all(text) if one]
    except yaml.YAMLError as error:
        raise InputError(f"{where}: not YAML ({' '.join(str(error).split())[:160]})") from error
    objects = [one for one in documents if isinstance(one, dict) and "kind" in one and "metadata" in one]
    objects = [one for one in objects if HOOK not in (one["metadata"].get("annotations") or {})]
    if not any(one["kind"] == "CustomResourceDefinition" for one in objects):
        raise InputError(f"{where}: holds no CustomResourceDefinition; give Kruise's manifests")
    # Namespaces and CRDs first: whatever is made of them, or in them, comes after.
    first = {"Namespace": 0, "CustomResourceDefinition": 1}
    last = {"MutatingWebhookConfiguration": 4, "ValidatingWebhookConfiguration": 4, "Deployment": 3}
    return sorted(objects, key=lambda one: first.get(one["kind"], last.get(one["kind"], 2)))


def execute(command: Sequence[str]) -> str:
    """Runs a command and returns its output; ClusterError with its last line."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=COMMAND_WITHIN_S)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ClusterError(f"{command[0]}: {error}") from error
    if done.returncode:
        said = (done.stderr.strip().splitlines() or ["no message"])[-1]
        raise ClusterError(f"{' '.join(command[:2])} failed: {said}")
    return done.stdout
