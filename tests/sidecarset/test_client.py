"""The client and the whole process against a real API server on loopback."""

from __future__ import annotations

import json
import os
import queue
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest
from kubernetes import client as official

from harness.sidecarset import manifests, paths
from harness.sidecarset.client import ApiFailure, KubernetesClient
from harness.sidecarset.names import Object
from tests.embedded.api.local import Cluster, eventually
from tests.sidecarset.world import sidecar

pytestmark = pytest.mark.integration

WITHIN_S = 10.0
PODS = "/api/v1/namespaces/default/pods"
POD: Object = {
    "apiVersion": "v1",
    "kind": "Pod",
    "metadata": {"name": "p", "labels": {"app": "trace"}},
    "spec": {"containers": [{"name": "app", "image": "i:1"}]},
}


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    cluster = Cluster()
    yield cluster
    cluster.close()


@pytest.fixture
def api(cluster: Cluster) -> Iterator[KubernetesClient]:
    with cluster.client() as connection:
        yield KubernetesClient(connection)


def test_objects_are_created_listed_replaced_patched_watched_and_deleted(api: KubernetesClient) -> None:
    created = api.create(PODS, POD)
    listed, version = api.listing(PODS, "app=trace")
    assert [(each["kind"], each["apiVersion"]) for each in listed] == [("Pod", "v1")]
    assert api.listing(PODS, "app=other")[0] == []
    created["spec"]["containers"][0]["image"] = "i:2"
    replaced = api.replace(f"{PODS}/p", created)
    assert replaced["spec"]["containers"][0]["image"] == "i:2"
    with pytest.raises(ApiFailure, match="409 Conflict"):
        api.replace(f"{PODS}/p", {**created, "metadata": {**created["metadata"], "labels": {}}})
    for kind in ("A", "B"):
        condition = {"type": kind, "status": "True"}
        patched = api.patch(f"{PODS}/p/status", {"status": {"conditions": [condition]}})
    assert {"A", "B"} <= {each["type"] for each in patched["status"]["conditions"]}
    changes = api.watch(PODS, version)
    kind, item = next(changes)
    assert (kind, item["spec"]["containers"][0]["image"]) == ("MODIFIED", "i:2")
    changes.close()  # type: ignore[attr-defined]
    api.delete(f"{PODS}/p")


def test_refusals_carry_code_reason_and_message(api: KubernetesClient) -> None:
    with pytest.raises(ApiFailure) as caught:
        api.get(f"{PODS}/nobody")
    assert (caught.value.code, caught.value.reason) == (404, "NotFound")
    assert "nobody" in caught.value.message


def test_a_server_that_is_not_there_is_a_failure_without_a_code() -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    configuration = official.Configuration(host=f"http://127.0.0.1:{port}", retries=False)
    with official.ApiClient(configuration) as connection, pytest.raises(ApiFailure) as caught:
        KubernetesClient(connection).get(PODS)
    assert caught.value.code == 0


def put_all(source: Iterable[str] | None, lines: queue.Queue[Object]) -> None:
    for line in source or ():
        lines.put(json.loads(line))


def test_the_process_registers_itself_injects_reports_and_ends_when_told(
    cluster: Cluster, api: KubernetesClient, tmp_path: Path
) -> None:
    kubeconfig = tmp_path / "kubeconfig"
    kubeconfig.write_text(cluster.kubeconfig_text())
    api.create(paths.NAMESPACES, manifests.install_objects("i")[0])
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = [
        sys.executable,
        "-m",
        "harness.sidecarset",
        "--kubeconfig",
        str(kubeconfig),
        "--port",
        str(port),
    ]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env={**os.environ, "POD_IP": ""})
    lines: queue.Queue[Object] = queue.Queue()
    assert process.stdout is not None
    reader = threading.Thread(target=lambda: put_all(process.stdout, lines))
    reader.start()
    try:
        assert [lines.get(timeout=WITHIN_S)["event"] for _ in range(2)] == ["serving", "registered"]
        spec = {
            "selector": {"matchLabels": {"app": "trace"}},
            "namespace": "default",
            "containers": [sidecar()],
        }
        body = {
            "apiVersion": "apps.kruise.io/v1alpha1",
            "kind": "SidecarSet",
            "metadata": {"name": "s"},
            "spec": spec,
        }
        alpha = "/apis/apps.kruise.io/v1alpha1/sidecarsets"
        api.create(alpha, body)
        pod = api.create(PODS, {**POD, "metadata": {"name": "q", "labels": {"app": "trace"}}})
        assert [each["name"] for each in pod["spec"]["containers"]] == ["mesh-1", "mesh-2", "app"]
        assert lines.get(timeout=WITHIN_S)["event"] == "injected"
        counted = eventually(lambda: api.get(paths.sidecarset("s")).get("status"), "a status of the set")
        assert counted is not None
        assert counted["observedGeneration"] == 1
        wrong = {**body, "metadata": {"name": "w"}, "spec": {**spec, "containers": [sidecar(image="empty")]}}
        with pytest.raises(ApiFailure, match=r"500 .*must differ from image"):
            api.create(alpha, wrong)
    finally:
        process.send_signal(signal.SIGTERM)
        code = process.wait(WITHIN_S)
        reader.join(WITHIN_S)
        process.stdout.close()
    assert code == 0
