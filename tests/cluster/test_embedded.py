"""The embedded cluster, live: its node's agent is restarted in the middle of an upgrade of a pair."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from kubernetes.client import CoreV1Api, CustomObjectsApi

from harness.cluster.embedded import EmbeddedCluster
from harness.errors import ClusterError
from harness.exec import execute
from harness.objects import create
from tests import garbage

pytestmark = [
    pytest.mark.integration,
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),  # the official client's
]

PATIENCE_S = 60.0  # for containers, on a busy machine
RESTART_S = 30.0
NAMESPACE, POD, SET = "shop", "web", "pair"
EMPTY = "sidecar:empty"
HOLD, HOOKS = "/dev/shm/hold", "/dev/shm/hooks"  # all containers of a pod see them
HOOK = f"echo begun >> {HOOKS}; while [ -e {HOLD} ]; do sleep 0.1; done; /bin/sh /migrate.sh && echo over >> {HOOKS}"
SIDECARSET = {
    "apiVersion": "apps.kruise.io/v1alpha1",
    "kind": "SidecarSet",
    "metadata": {"name": SET},
    "spec": {
        "selector": {"matchLabels": {"app": POD}},
        "containers": [
            {
                "name": "sidecar",
                "image": "sidecar:v1",
                "lifecycle": {"postStart": {"exec": {"command": ["/bin/sh", "-c", HOOK]}}},
                "upgradeStrategy": {"upgradeType": "HotUpgrade", "hotUpgradeEmptyImage": EMPTY},
            }
        ],
    },
}
APPLICATION = {
    "apiVersion": "v1",
    "kind": "Pod",
    "metadata": {"name": POD, "namespace": NAMESPACE, "labels": {"app": POD}},
    "spec": {"terminationGracePeriodSeconds": 1, "containers": [{"name": "application", "image": "app:v1"}]},
}


@pytest.fixture
def cluster() -> Iterator[EmbeddedCluster]:
    made = EmbeddedCluster()
    made.preflight([])
    try:
        made.up()
        yield made
    finally:
        made.down()
        garbage.collect()


def eventually(check: Callable[[], Any], what: str) -> Any:
    deadline = time.monotonic() + PATIENCE_S
    while not (found := check()):
        assert time.monotonic() < deadline, f"{what}: it did not come"
        time.sleep(0.05)
    return found


class Pair:
    """A pod with its two sidecars."""

    def __init__(self, cluster: EmbeddedCluster) -> None:
        self._cluster = cluster
        self._core: Any = CoreV1Api(cluster.client())

    def containers(self) -> dict[str, Any]:
        """Their statuses, once the pod is ready; else none."""
        status = self._core.read_namespaced_pod(POD, NAMESPACE).status
        statuses = {one.name: one for one in status.container_statuses or []}
        return statuses if statuses and all(one.ready for one in statuses.values()) else {}

    def images(self) -> dict[str, str]:
        """What the spec asks for."""
        pod = self._core.read_namespaced_pod(POD, NAMESPACE)
        return {one.name: one.image for one in pod.spec.containers}

    def run(self, container: str, script: str) -> str:
        """The output of a command in a container."""
        command = ("/bin/sh", "-c", script)
        return execute(self._cluster.client(), NAMESPACE, POD, container, command, PATIENCE_S).output

    def hooks(self) -> list[str]:
        """What the hooks of all containers did so far."""
        return self.run("application", f"cat {HOOKS}").split()


@pytest.fixture
def pair(cluster: EmbeddedCluster) -> Pair:
    api = cluster.client()
    create(api, {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}})
    create(api, SIDECARSET)
    create(api, APPLICATION)
    made = Pair(cluster)
    eventually(lambda: len(made.containers()) == 3, "the pod with its pair")
    return made


def test_an_agent_restarted_during_a_hook_goes_on_with_the_upgrade(
    cluster: EmbeddedCluster, pair: Pair
) -> None:
    before = pair.containers()
    (fresh,) = [name for name, image in pair.images().items() if image == EMPTY]
    (former,) = set(before) - {fresh, "application"}
    assert pair.hooks() == ["begun", "over"] * 2
    pair.run("application", f"touch {HOLD}")
    change = {"spec": {"containers": [{**SIDECARSET["spec"]["containers"][0], "image": "sidecar:v2"}]}}  # type: ignore[index]
    sets: Any = CustomObjectsApi(cluster.client())
    sets.patch_cluster_custom_object("apps.kruise.io", "v1alpha1", "sidecarsets", SET, change)
    eventually(lambda: len(pair.hooks()) == 5, "the hook under way")
    assert (
        pair.containers()[fresh].restart_count == 0
    )  # nothing is seen of a container before its hook returns

    cluster.restart("agent", RESTART_S)

    eventually(lambda: "sidecar:v2" in pair.containers().get(fresh, before[fresh]).image, "v2 seen")
    eventually(lambda: pair.images()[former] == EMPTY, "the predecessor is emptied")
    pair.run("application", f"rm {HOLD}")
    after = eventually(lambda: (now := pair.containers()) and EMPTY in now[former].image and now, "settled")
    assert after["application"].to_dict() == before["application"].to_dict()
    assert (after[fresh].restart_count, after[former].restart_count) == (1, 1)
    eventually(lambda: pair.hooks()[4:] == ["begun", "begun", "over"], "only the predecessor's hook ended")


def test_a_restart_that_takes_too_long_is_told(cluster: EmbeddedCluster) -> None:
    with pytest.raises(ClusterError, match="cannot restart the node's agent"):
        cluster.restart("agent", 0.1)
    cluster.restart("agent", RESTART_S)
