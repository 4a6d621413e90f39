"""A kind cluster with Kruise: made for the run, kept, or taken over. Needs docker, kind, kubectl, and helm for a chart.

Uses pytest-kind's KindCluster with binaries that are there; what that downloads by itself is old and unchecked.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from subprocess import CalledProcessError
from typing import Any

import yaml
from kubernetes.client import ApiClient, CoreV1Api

from harness.alias import alias
from harness.calls import REQUEST_S, calling
from harness.cluster import kruise
from harness.cluster.orphans import claim, folder_of, inherit
from harness.cluster.protocol import Feature
from harness.cluster.remote import Remote, reach
from harness.cluster.restart import restart_controller
from harness.cluster.webhooks import await_webhooks
from harness.errors import ClusterError, InputError
from harness.images.archive import Archives
from harness.record.report import ClusterInfo
from harness.removal import marked, remove
from harness.scenarios.steps import Part
from harness.site import MANAGED_BY, MANAGER, Site
from harness.upgrade.waits import CLOCK

MADE_LABEL, MADE = "hotupgrade/cluster", "kind"  # on every node of a cluster that the kit made
UPGRADES_PER_POD = 3  # a kubelet delays the fourth quick image change of a container
WEBHOOKS_WITHIN_S = 20.0
PROGRAMS = {
    "docker": "docs.docker.com/engine/install, or your distribution's docker.io",
    "kind": "kind.sigs.k8s.io",
    "kubectl": "kubernetes.io/docs/tasks/tools",
    "helm": "helm.sh/docs/intro/install, or give --kruise-manifests",
}
NO_PYTEST_KIND = "pytest-kind is not installed; install the extra: pip install 'hotupgrade[kind]'"


@dataclass(frozen=True)
class KindOptions:
    """How to make it. `config` replaces the generated kind configuration; `archives` are images beside the run's."""

    name: str = "hotupgrade"
    nodes: int = 0
    keep: bool = False
    adopt: bool = False
    image: str | None = None
    config: Path | None = None
    archives: Sequence[Path] = ()
    kruise: kruise.Source = field(default_factory=kruise.Source)


def configuration(nodes: int, given: Path | None = None) -> dict[str, Any]:
    """kind's configuration: a control plane and `nodes` workers, or the user's own; all nodes marked. InputError."""
    if given is not None:
        try:
            document = yaml.safe_load(given.read_text(encoding="utf-8"))
        except OSError as error:
            raise InputError(f"--kind-config {given}: {error.strerror}; name a kind configuration") from error
        except yaml.YAMLError as error:
            raise InputError(
                f"--kind-config {given}: not YAML ({' '.join(str(error).split())[:120]})"
            ) from error
        if not isinstance(document, dict) or document.get("kind") != "Cluster":
            raise InputError(f"--kind-config {given}: no kind configuration; its kind is Cluster")
    else:
        workers = [{"role": "worker"} for _ in range(nodes)]
        document = {
            "kind": "Cluster",
            "apiVersion": "kind.x-k8s.io/v1alpha4",
            "nodes": [{"role": "control-plane"}, *workers],
        }
    marks = {MADE_LABEL: MADE}
    marked_nodes = [
        {**node, "labels": {**(node.get("labels") or {}), **marks}}
        for node in document.get("nodes") or [{"role": "control-plane"}]
    ]
    return {**document, "nodes": marked_nodes}


class KindCluster:
    """See `harness.cluster.protocol.Cluster`. `images` brings the run's images onto the nodes."""

    kind = "kind"
    images_loaded = True
    upgrades_per_pod: int | None = UPGRADES_PER_POD
    features: frozenset[Feature] = frozenset({"services", "restart-controller", "restart-agent"})

    def __init__(
        self, options: KindOptions, images: Archives, *, execute: kruise.Execute = kruise.execute
    ) -> None:
        self._options, self._images, self._execute = options, images, execute
        self._folder = folder_of(str(os.getpid()))
        self._made = False  # this run made the cluster, and ends it
        self._remote: Remote | None = None
        self._refs: Sequence[str] = ()
        self._kruise_of: str | None = None  # the run whose Kruise this is

    @property
    def outlives_run(self) -> bool:
        """It was there before, or is kept."""
        return not self._made or self._options.keep

    def preflight(self, images: Sequence[str]) -> None:
        """Programs, files, images, and whose cluster of that name it is; ClusterError, InputError."""
        options = self._options
        needed = ["docker", "kind", "kubectl", *(["helm"] if options.kruise.needs_helm() else [])]
        missing = [f"{name} ({PROGRAMS[name]})" for name in needed if shutil.which(name) is None]
        if missing:
            raise ClusterError(f"--cluster kind needs {', '.join(missing)}: install what is missing")
        try:
            import pytest_kind  # noqa: F401
        except ImportError as error:
            raise ClusterError(NO_PYTEST_KIND) from error
        for archive in options.archives:
            if not archive.is_file():
                raise InputError(
                    f"--image-archive {archive}: no such file; make one with hotupgrade images save"
                )
        configuration(options.nodes, options.config)
        options.kruise.check()
        self._refs = [*images, *([options.kruise.image] if options.kruise.image else [])]
        self._images.check(self._refs, options.archives)
        if options.name in self._clusters():
            self._take_over()

    def _clusters(self) -> list[str]:
        return self._execute(["kind", "get", "clusters"]).split()

    def _take_over(self) -> None:
        """A cluster of that name is there: the kit's own is used again, another's only if the user says so."""
        self._export()
        labels = [node.metadata.labels or {} for node in self._nodes()]
        if not all(one.get(MADE_LABEL) == MADE for one in labels) and not self._options.adopt:
            self._forget()
            raise InputError(
                f"kind cluster {self._options.name} was not made by hotupgrade; use it with --adopt, "
                "or give another --name"
            )
        if inherit(self._folder, self._options.name, keep=self._options.keep):
            self._made = True

    def up(self, site: Site) -> None:
        """Makes it if it is not there, loads images, installs Kruise unless it has one; ClusterError."""
        if self._remote is None:
            self._create()
        api = self.client()
        kruise.await_system(api, CLOCK)
        self._load()
        if self._reached().controller() is None:
            # Objects that stay, or go with their cluster, carry no marks of a run, by which they would be removed.
            stays = self._options.keep or self._made
            objects = kruise.rewritten(
                self._options.kruise.render(self._execute),
                labels={MANAGED_BY: MANAGER} if stays else site.labels,
                annotations={} if stays else site.annotations,
                image=self._options.kruise.image,
                images_loaded=bool(self._options.archives) or self._options.kruise.image is not None,
            )
            self._kruise_of = site.run
            kruise.install(api, objects)
        else:
            await_webhooks(api, WEBHOOKS_WITHIN_S)

    def _create(self) -> None:
        from pytest_kind import KindCluster as Kind

        claim(self._folder, None if self._options.keep else self._options.name)
        config = self._folder / "kind.yaml"
        config.write_text(yaml.safe_dump(configuration(self._options.nodes, self._options.config)))
        self._made = True
        try:
            self._kind(Kind).create(config)
        except CalledProcessError as error:
            raise ClusterError(
                f"kind could not create cluster {self._options.name} (exit {error.returncode})"
            ) from error
        self._export()

    def _kind(self, kind: Any) -> Any:
        """pytest-kind's object with our binaries; it makes a folder where it stands, which is removed again."""
        made = kind(
            self._options.name,
            kubeconfig=self._kubeconfig,
            image=self._options.image,
            kind_path=Path(str(shutil.which("kind"))),
            kubectl_path=Path(str(shutil.which("kubectl"))),
        )
        for folder in (made.path, made.path.parent):
            if folder.is_dir() and not any(folder.iterdir()):
                folder.rmdir()
        return made

    @property
    def _kubeconfig(self) -> Path:
        return self._folder / "kubeconfig"

    def _export(self) -> None:
        """pytest-kind does not export the kubeconfig of a cluster that was there."""
        claim(self._folder, None)
        text = self._execute(["kind", "get", "kubeconfig", "--name", self._options.name])
        self._kubeconfig.touch(mode=0o600)
        self._kubeconfig.write_text(text)
        self._remote = reach(self._kubeconfig, None)

    def _load(self) -> None:
        """Archives one by one: those of the user, then one with the run's images that are in none of them."""
        archives = [*self._options.archives]
        own = self._images.write(self._refs, self._options.archives, self._folder / "images.tar")
        for archive in [*archives, *([own] if own else [])]:
            self._execute(["kind", "load", "image-archive", "--name", self._options.name, str(archive)])
        if own is not None:
            own.unlink()

    def _nodes(self) -> list[Any]:
        core: Any = CoreV1Api(self.client())
        with calling("list the nodes"):
            return list(core.list_node(_request_timeout=REQUEST_S).items)

    def alias(self, ref: str, index: int) -> str:
        """The same image under a tag of its own on every node: its containers start without their kubelet's delay."""
        name = alias(ref, index)
        if name == ref:
            return ref
        for node in self._execute(["kind", "get", "nodes", "--name", self._options.name]).split():
            tagging = ["docker", "exec", node, "ctr", "--namespace", "k8s.io", "images", "tag", "--force"]
            self._execute([*tagging, _full(ref), _full(name)])
        return name

    def restart(self, part: Part, within_s: float) -> None:
        """The controller's pods are deleted; a node's kubelet is a service of its container."""
        if part == "controller":
            restart_controller(self.client(), within_s)
            return
        for node in self._execute(["kind", "get", "nodes", "--name", self._options.name]).split():
            self._execute(["docker", "exec", node, "systemctl", "restart", "kubelet"])

    def client(self) -> ApiClient:
        """A new client."""
        return self._reached().client()

    def _reached(self) -> Remote:
        if self._remote is None:
            raise ClusterError(f"kind cluster {self._options.name} is not up")
        return self._remote

    def info(self) -> ClusterInfo:
        """What it is."""
        return self._reached().info(self.kind, [f"kind cluster {self._options.name} on this machine"])

    def down(self) -> None:
        """Ends the cluster that the run made; of another it takes its Kruise away. Both stay with --keep."""
        try:
            if self._options.keep:
                return
            if self._made:
                self._execute(["kind", "delete", "cluster", "--name", self._options.name])
                self._made = False
            elif self._kruise_of is not None and self._remote is not None:
                remove(self.client(), marked(self.client(), self._kruise_of))
                self._kruise_of = None
        finally:
            self._forget()

    def _forget(self) -> None:
        shutil.rmtree(self._folder, ignore_errors=True)


def _full(ref: str) -> str:
    """As containerd names it."""
    first = ref.partition("/")[0]
    if "/" not in ref:
        return f"docker.io/library/{ref}"
    return ref if "." in first or ":" in first or first == "localhost" else f"docker.io/{ref}"
