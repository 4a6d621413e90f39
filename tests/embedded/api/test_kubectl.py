"""The kubectl commands that people use, against a real server on loopback."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from harness.embedded.seams import DEPLOYMENTS, EVENTS, PODS
from tests.embedded.api.local import Cluster, eventually

pytestmark = pytest.mark.integration
KUBECTL_WITHIN_S = 30.0
Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="module")
def home(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("home")
    (folder / "config").write_text(cluster.kubeconfig_text())
    return folder


@pytest.fixture
def run(kubectl: str, home: Path) -> Run:
    """Runs kubectl; fails with what it said unless `fails` is given."""
    environment = {**os.environ, "HOME": str(home), "KUBECONFIG": str(home / "config")}

    def run(
        *arguments: str, input: str | None = None, fails: bool = False
    ) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            [kubectl, *arguments],
            input=input,
            env=environment,
            capture_output=True,
            text=True,
            timeout=KUBECTL_WITHIN_S,
        )
        assert (done.returncode != 0) is fails, done.stderr + done.stdout
        return done

    return run


@pytest.fixture
def web(cluster: Cluster) -> Iterator[str]:
    cluster.running_pod("web")
    yield "web"
    cluster.run(cluster.server.api.delete(PODS, "web", "default", grace_s=0))


DEPLOYMENT = """
apiVersion: apps/v1
kind: Deployment
metadata: {name: shop}
spec:
  replicas: 2
  selector: {matchLabels: {app: shop}}
  template:
    metadata: {labels: {app: shop}}
    spec:
      containers:
      - {name: app, image: "app:v1", env: [{name: A, value: "1"}]}
      - {name: side, image: "side:v1"}
"""


def test_get_shows_tables(run: Run, web: str) -> None:
    head, row = run("get", "pods").stdout.splitlines()
    assert head.split() == ["NAME", "READY", "STATUS", "RESTARTS", "AGE"]
    assert row.split()[:4] == ["web", "1/1", "Running", "0"]
    wide = run("get", "pods", "-o", "wide").stdout.splitlines()[1]
    assert wide.split()[5:7] == ["127.0.0.1", "node"]
    assert "default" in run("get", "pods", "-A").stdout
    assert "Active" in run("get", "ns").stdout
    assert "Ready" in run("get", "nodes", "-o", "wide").stdout
    assert json.loads(run("get", "pod", "web", "-o", "json").stdout)["status"]["podIP"] == "127.0.0.1"


def test_get_follows_changes(run: Run, cluster: Cluster, kubectl: str, home: Path, web: str) -> None:
    environment = {**os.environ, "HOME": str(home), "KUBECONFIG": str(home / "config")}
    before = cluster.server.watchers
    command = [kubectl, "get", "pods", "-w", "--request-timeout=20s"]
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as follower:
        assert follower.stdout is not None
        eventually(lambda: cluster.server.watchers > before, "kubectl watches")
        cluster.run(
            cluster.server.api.patch(PODS, "web", {"status": {"phase": "Failed"}}, "default", "status")
        )
        shown = [follower.stdout.readline().split()[:3] for _ in range(3)]
        follower.terminate()
    assert shown == [["NAME", "READY", "STATUS"], ["web", "1/1", "Running"], ["web", "1/1", "Failed"]]


def test_describe_tells_a_pods_events(run: Run, cluster: Cluster, web: str) -> None:
    pod = cluster.run(cluster.server.api.get(PODS, "web", "default"))
    involved = {"kind": "Pod", "namespace": "default", "name": "web", "uid": pod["metadata"]["uid"]}
    moment = "2026-01-01T00:00:00Z"
    event = {
        "metadata": {"name": "web.1"},
        "involvedObject": involved,
        "reason": "Started",
        "message": "Started container app",
        "type": "Normal",
        "count": 1,
        "firstTimestamp": moment,
        "lastTimestamp": moment,
        "source": {"component": "kubelet"},
    }
    cluster.run(cluster.server.api.create(EVENTS, event, "default"))
    described = run("describe", "pod", "web").stdout
    assert "Started container app" in described
    assert "Image:          app:v1" in described
    row = run("get", "events").stdout.splitlines()[1]
    assert row.split()[1:4] == ["Normal", "Started", "pod/web"]
    assert "Ready" in run("describe", "node", "node").stdout


def test_logs_and_exec_reach_the_node(run: Run, web: str) -> None:
    assert run("logs", "web").stdout == "one\ntwo\n"
    assert run("logs", "web", "--tail", "1").stdout == "two\n"
    with_input = ("exec", "-i", "web", "--")
    assert run(*with_input, "cat", input="some\nend\n").stdout == "some\nend\n"
    assert run(*with_input, "echo", "hi", input="end\n").stdout == "hi\n"
    failed = run(*with_input, "exit", "7", input="end\n", fails=True)
    assert failed.returncode == 7
    assert "bye" in failed.stderr.splitlines()  # beside what kubectl itself may have to say


def test_apply_creates_changes_and_leaves_alone(run: Run, cluster: Cluster) -> None:
    assert "created" in run("apply", "-f", "-", input=DEPLOYMENT).stdout
    assert "unchanged" in run("apply", "-f", "-", input=DEPLOYMENT).stdout
    changed = DEPLOYMENT.replace("app:v1", "app:v2").replace("replicas: 2", "replicas: 3")
    assert "configured" in run("apply", "-f", "-", input=changed).stdout
    run("scale", "deployment", "shop", "--replicas", "4")
    run("set", "image", "deployment/shop", "side=side:v2")
    deployment = cluster.run(cluster.server.api.get(DEPLOYMENTS, "shop", "default"))
    containers = deployment["spec"]["template"]["spec"]["containers"]
    assert deployment["spec"]["replicas"] == 4
    assert [container["image"] for container in containers] == ["app:v2", "side:v2"]
    assert "RollingUpdate" in run("describe", "deployment", "shop").stdout
    assert run("get", "deploy", "-o", "wide").stdout.splitlines()[1].split()[:2] == ["shop", "0/4"]
    assert "deleted" in run("delete", "deployment", "shop").stdout


def test_wait_and_delete_come_to_an_end(run: Run, cluster: Cluster) -> None:
    cluster.running_pod("brief")
    assert "condition met" in run("wait", "--for=condition=Ready", "pod/brief", "--timeout=10s").stdout
    assert "deleted" in run("delete", "pod", "brief", "--grace-period=0", "--force").stdout
    assert "not found" in run("get", "pod", "brief", fails=True).stderr


def test_api_resources_tell_custom_ones_and_get_shows_their_columns(run: Run, cluster: Cluster) -> None:
    names = run("api-resources", "-o", "name").stdout.split()
    assert {"pods", "deployments.apps", "customresourcedefinitions.apiextensions.k8s.io"} <= set(names)
    version: dict[str, Any] = {
        "name": "v1",
        "served": True,
        "storage": True,
        "schema": {"openAPIV3Schema": {"type": "object"}},
        "additionalPrinterColumns": [{"name": "SIZE", "type": "integer", "jsonPath": ".spec.size"}],
    }
    body = {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": "gauges.example.com"},
        "spec": {
            "group": "example.com",
            "scope": "Cluster",
            "names": {"plural": "gauges", "kind": "Gauge", "shortNames": ["ga"]},
            "versions": [version],
        },
    }
    run("apply", "-f", "-", input=json.dumps(body))
    run("wait", "--for=condition=Established", "crd/gauges.example.com", "--timeout=10s")
    gauge = {"apiVersion": "example.com/v1", "kind": "Gauge", "metadata": {"name": "g"}, "spec": {"size": 3}}
    assert "created" in run("apply", "-f", "-", input=json.dumps(gauge)).stdout
    gauge["spec"] = {"size": 4}
    assert "configured" in run("apply", "-f", "-", input=json.dumps(gauge)).stdout
    assert [line.split() for line in run("get", "ga").stdout.splitlines()] == [["NAME", "SIZE"], ["g", "4"]]
    run("delete", "-f", "-", input=json.dumps(gauge))
    run("delete", "crd", "gauges.example.com")


def test_what_does_not_work_says_what_does(run: Run, web: str) -> None:
    assert "kubectl apply -f" in run("create", "namespace", "x", fails=True).stderr
    assert "pod proxy" in run("port-forward", "pod/web", "8080", fails=True).stderr
    assert (
        "client-side apply" in run("apply", "--server-side", "-f", "-", input=DEPLOYMENT, fails=True).stderr
    )
