"""A kind cluster: whose it is, what is asked of kind, docker and helm, and that nothing of it stays."""

from __future__ import annotations

import shutil
import socket
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml

from harness.cluster import kruise, orphans
from harness.cluster.kind import MADE, MADE_LABEL, KindCluster, KindOptions, configuration
from harness.cluster.remote import Remote
from harness.errors import ClusterError, InputError
from tests.site import SITE
from tests.upgrade.fakes import Answer, FakeApi, refusal

KUBECONFIG = yaml.safe_dump(
    {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "kind-lab",
        "contexts": [{"name": "kind-lab", "context": {"cluster": "c", "user": "u"}}],
        "clusters": [{"name": "c", "cluster": {"server": "http://fake"}}],
        "users": [{"name": "u", "user": {"token": "t"}}],
    }
)
CRD = "{apiVersion: apiextensions.k8s.io/v1, kind: CustomResourceDefinition, metadata: {name: s}}"
MANIFESTS = f"""
{CRD}
---
apiVersion: apps/v1
kind: Deployment
metadata: {{name: manager, namespace: kruise-system}}
spec:
  template:
    spec:
      containers: [{{name: manager, image: openkruise/kruise-manager:v1.9.0, imagePullPolicy: Always}}]
"""


class Machine:
    """The programs of a machine, recorded; the cluster's API behind them."""

    def __init__(
        self, folder: Path, *, clusters: Sequence[str] = (), ours: bool = True, kruise_there: bool = True
    ):
        self.clusters, self.ours, self.kruise_there = list(clusters), ours, kruise_there
        self.commands: list[list[str]] = []
        self.created: list[str] = []
        self.deleted: list[str] = []
        self.configuration: dict[str, Any] = {}
        self.manifests = folder / "kruise.yaml"
        self.manifests.write_text(MANIFESTS)

    def execute(self, command: Sequence[str]) -> str:
        self.commands.append(list(command))
        match command[:3]:
            case ["kind", "get", "clusters"]:
                return "\n".join(self.clusters)
            case ["kind", "get", "kubeconfig"]:
                return KUBECONFIG
            case ["kind", "get", "nodes"]:
                return "lab-control-plane\nlab-worker\n"
            case ["helm", "template", _]:
                return MANIFESTS
        return ""

    def answer(self, method: str, path: str, query: dict[str, str], body: Any) -> Answer:
        container = {"name": "manager", "image": "openkruise/kruise-manager:v1.9.0"}
        manager = {
            "metadata": {"name": "m"},
            "spec": {"selector": {}, "template": {"spec": {"containers": [container]}}},
        }
        ready = {
            "metadata": {"name": "kube-proxy"},
            "status": {"desiredNumberScheduled": 1, "numberReady": 1},
        }
        dns = {"metadata": {"name": "coredns"}, "status": {"availableReplicas": 1}}
        labels = {MADE_LABEL: MADE} if self.ours else {}
        answers: dict[str, Answer] = {
            "/api/v1/nodes": (200, {"items": [{"metadata": {"name": "lab", "labels": labels}}]}),
            "/apis/apps/v1/namespaces/kruise-system/deployments": (
                200,
                {"items": [manager] * self.kruise_there},
            ),
            "/apis/apps/v1/namespaces/kube-system/daemonsets": (200, {"items": [_daemons(ready)]}),
            "/apis/apps/v1/namespaces/kube-system/deployments": (200, {"items": [_deployment(dns)]}),
            "/apis/apiextensions.k8s.io/v1": (
                200,
                _resources("CustomResourceDefinition", "customresourcedefinitions"),
            ),
            "/apis/apps/v1": (200, _resources("Deployment", "deployments", namespaced=True)),
        }
        if method == "POST" and path.endswith("sidecarsets"):
            return 201, {**body, "metadata": {"name": "p", "annotations": {"kruise.io/sidecarset-hash": "h"}}}
        if method == "POST":
            self.created.append(f"{body['kind']} {body['metadata']['labels'].get('hotupgrade/run', 'stays')}")
            return 201, body
        if "labelSelector" in query:
            name = path.rpartition("/")[2]
            return 200, {"items": [_webhook()] if name.startswith("mutating") and not self.deleted else []}
        if method == "DELETE":
            self.deleted.append(path.rpartition("/")[2])
            return (200, {}) if len(self.deleted) == 1 else refusal(404, "gone", "NotFound")
        return answers.get(path, refusal(404, path, "NotFound"))


def _daemons(body: dict[str, Any]) -> dict[str, Any]:
    status = {"currentNumberScheduled": 1, "numberMisscheduled": 0, **body["status"]}
    return {"metadata": body["metadata"], "spec": {"selector": {}, "template": {}}, "status": status}


def _deployment(body: dict[str, Any]) -> dict[str, Any]:
    return {**body, "spec": {"selector": {}, "template": {}}}


def _webhook() -> dict[str, Any]:
    return {"metadata": {"name": "w", "labels": {"hotupgrade/run": SITE.run}}, "webhooks": []}


def _resources(kind: str, name: str, *, namespaced: bool = False) -> dict[str, Any]:
    return {"resources": [{"name": name, "kind": kind, "namespaced": namespaced}]}


class Images:
    """The run's images: all are there."""

    def check(self, refs: Sequence[str], archives: Sequence[Path]) -> None:
        self.refs = refs

    def write(self, refs: Sequence[str], archives: Sequence[Path], to: Path) -> Path | None:
        to.write_bytes(b"images")
        return to


@pytest.fixture(autouse=True)
def programs(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Every program is there, pytest-kind too, and temporary files are the test's own."""
    monkeypatch.setattr(shutil, "which", lambda name: f"/usr/bin/{name}")
    monkeypatch.setitem(sys.modules, "pytest_kind", SimpleNamespace(KindCluster=None))
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Machine:
    made = Machine(tmp_path)
    _use(monkeypatch, made)
    return made


def _use(monkeypatch: pytest.MonkeyPatch, machine: Machine) -> None:
    class Kind:
        def __init__(self, name: str, **given: Any) -> None:
            self.name, self.given, self.path = name, given, Path("/nowhere/kind")

        def create(self, config: Path) -> None:
            asked = [str(self.given[key]) for key in ("image", "kind_path")]
            machine.commands.append(["kind", "create", self.name, *asked])
            machine.configuration = yaml.safe_load(config.read_text())
            machine.clusters.append(self.name)

    monkeypatch.setitem(sys.modules, "pytest_kind", SimpleNamespace(KindCluster=Kind))
    monkeypatch.setattr(Remote, "client", lambda _: FakeApi(machine.answer))


def cluster(machine: Machine, **options: Any) -> KindCluster:
    source = kruise.Source(manifests=machine.manifests)
    wanted = KindOptions(**{"name": "lab", "kruise": source, **options})
    return KindCluster(wanted, Images(), execute=machine.execute)  # type: ignore[arg-type]


def ran(machine: Machine, *words: str) -> list[list[str]]:
    return [command for command in machine.commands if command[: len(words)] == list(words)]


def test_a_cluster_of_its_own_is_made_loaded_given_kruise_and_ended(machine: Machine, tmp_path: Path) -> None:
    machine.kruise_there = False
    one = cluster(machine, image="node:v1", nodes=1)
    one.preflight(["sidecar:v1"])
    one.up(SITE)
    assert ran(machine, "kind", "create") == [["kind", "create", "lab", "node:v1", "/usr/bin/kind"]]
    assert len(ran(machine, "kind", "load", "image-archive", "--name", "lab")) == 1
    assert machine.created == ["CustomResourceDefinition stays", "Deployment stays"]  # with its cluster
    assert not one.outlives_run
    one.down()
    one.down()
    assert ran(machine, "kind", "delete") == [["kind", "delete", "cluster", "--name", "lab"]]
    assert [path.name for path in tmp_path.iterdir()] == ["kruise.yaml"]


def test_nodes_carry_the_mark_of_the_kit(machine: Machine) -> None:
    cluster(machine, nodes=2).up(SITE)
    assert [node["role"] for node in machine.configuration["nodes"]] == ["control-plane", "worker", "worker"]
    assert all(node["labels"] == {MADE_LABEL: MADE} for node in machine.configuration["nodes"])


def test_a_configuration_of_the_users_own_keeps_what_it_says(tmp_path: Path) -> None:
    own = tmp_path / "kind.yaml"
    nodes = "nodes: [{role: control-plane, labels: {a: b}}]"
    own.write_text(f"kind: Cluster\nnetworking: {{disableDefaultCNI: true}}\n{nodes}\n")
    made = configuration(3, own)
    assert made["networking"] == {"disableDefaultCNI": True}
    assert made["nodes"] == [{"role": "control-plane", "labels": {"a": "b", MADE_LABEL: MADE}}]
    own.write_text("kind: Pod\n")
    with pytest.raises(InputError, match="no kind configuration; its kind is Cluster"):
        configuration(0, own)
    with pytest.raises(InputError, match="No such file or directory; name a kind configuration"):
        configuration(0, tmp_path / "none.yaml")


def test_the_kits_own_cluster_of_that_name_is_used_again_and_stays(machine: Machine) -> None:
    machine.clusters = ["lab"]
    one = cluster(machine)
    one.preflight(["sidecar:v1"])
    one.up(SITE)
    one.down()
    assert one.outlives_run
    assert ran(machine, "kind", "create") == ran(machine, "kind", "delete") == []
    assert machine.created == []  # it has Kruise


def test_a_cluster_of_somebody_else_is_refused_unless_the_user_says_so(
    machine: Machine, tmp_path: Path
) -> None:
    machine.clusters, machine.ours = ["lab"], False
    with pytest.raises(InputError, match="kind cluster lab was not made by hotupgrade; use it with --adopt"):
        cluster(machine).preflight([])
    assert [path.name for path in tmp_path.iterdir()] == ["kruise.yaml"]
    cluster(machine, adopt=True).preflight([])


def test_kruise_that_a_run_brought_to_a_cluster_that_stays_is_taken_away_again(machine: Machine) -> None:
    machine.clusters, machine.kruise_there = ["lab"], False
    one = cluster(machine)
    one.preflight([])
    one.up(SITE)
    one.down()
    assert machine.created == ["CustomResourceDefinition 1", "Deployment 1"]
    assert machine.deleted[0] == "w"


def test_kruise_that_is_to_stay_carries_no_marks_by_which_a_runs_own_is_removed(machine: Machine) -> None:
    machine.clusters, machine.kruise_there = ["lab"], False
    one = cluster(machine, keep=True)
    one.preflight([])
    one.up(SITE)
    assert machine.created == ["CustomResourceDefinition stays", "Deployment stays"]


def test_a_cluster_that_a_killed_run_had_made_for_itself_is_this_runs_to_end(
    machine: Machine,
) -> None:
    machine.clusters = ["lab"]
    left = orphans.folder_of("left")
    orphans.claim(left, "lab")
    (left / orphans.OWNER).write_text(f"{socket.gethostname()}/1/0")
    one = cluster(machine)
    one.preflight([])
    assert not left.exists()
    assert not one.outlives_run
    one.down()
    assert ran(machine, "kind", "delete") == [["kind", "delete", "cluster", "--name", "lab"]]


def test_an_image_given_for_kruise_is_loaded_too(machine: Machine) -> None:
    one = cluster(machine, kruise=kruise.Source(manifests=machine.manifests, image="mirror/k:v1"))
    one.preflight(["sidecar:v1"])
    assert one._images.refs == ["sidecar:v1", "mirror/k:v1"]  # type: ignore[attr-defined]


def test_a_kept_cluster_stays_with_all_that_is_on_it(machine: Machine) -> None:
    machine.kruise_there = False
    one = cluster(machine, keep=True)
    one.preflight([])
    one.up(SITE)
    assert one.outlives_run
    one.down()
    assert ran(machine, "kind", "delete") == []
    assert machine.deleted == []


def test_an_upgrades_image_gets_a_name_of_its_own_on_every_node(machine: Machine) -> None:
    assert cluster(machine).alias("team/proxy:v2", 7) == "team/proxy:v2-hotupgrade.7"
    tagged = ran(machine, "docker", "exec")
    assert [command[2] for command in tagged] == ["lab-control-plane", "lab-worker"]
    assert tagged[0][-2:] == ["docker.io/team/proxy:v2", "docker.io/team/proxy:v2-hotupgrade.7"]


@pytest.mark.parametrize(
    ("ref", "full"),
    [
        ("sidecar:v1", "docker.io/library/sidecar:v1"),
        ("team/proxy:v1", "docker.io/team/proxy:v1"),
        ("localhost/proxy:v1", "localhost/proxy:v1"),
        ("r.example:5000/team/proxy:v1", "r.example:5000/team/proxy:v1"),
    ],
)
def test_a_reference_is_spelled_as_the_nodes_runtime_spells_it(machine: Machine, ref: str, full: str) -> None:
    cluster(machine).alias(ref, 1)
    assert ran(machine, "docker", "exec")[0][-2] == full


def test_programs_that_are_missing_are_named_with_where_they_come_from(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: None)
    with pytest.raises(
        ClusterError, match=r"needs docker \(.*\), kind \(kind.sigs.k8s.io\), kubectl \(.*\): install"
    ):
        cluster(machine).preflight([])
    with pytest.raises(ClusterError, match="helm"):
        cluster(machine, kruise=kruise.Source(chart=machine.manifests)).preflight([])
    assert machine.commands == []


def test_without_pytest_kind_the_extra_is_named(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pytest_kind", None)
    with pytest.raises(ClusterError, match=r"pip install 'hotupgrade\[kind\]'"):
        cluster(machine).preflight([])


def test_an_archive_that_is_not_there_is_refused(machine: Machine) -> None:
    with pytest.raises(InputError, match=r"--image-archive /nowhere\.tar: no such file"):
        cluster(machine, archives=[Path("/nowhere.tar")]).preflight([])
