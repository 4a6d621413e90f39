"""Commands in a container of the embedded cluster: how they end, and what they wrote."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from kubernetes.client import ApiClient, CoreV1Api

from harness.embedded import cluster
from harness.errors import ClusterError
from harness.exec import Executed, execute
from tests import garbage

pytestmark = [
    pytest.mark.integration,
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),  # the official client's
]

IMAGES = Path(__file__).parents[1] / "images"
UP_S, WITHIN_S = 30.0, 10.0

Run = Callable[[str], Executed]


@pytest.fixture(scope="module")
def run() -> Iterator[Run]:
    machine = cluster.start(images=[IMAGES], api_port=0, kubelet_backoff=False)
    try:
        core: Any = CoreV1Api(machine.client())
        container = {"name": "sidecar", "image": "sidecar:empty"}
        body = {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": "pod"},
            "spec": {"containers": [container]},
        }
        core.create_namespaced_pod("default", body)
        deadline = time.monotonic() + UP_S
        while core.read_namespaced_pod("pod", "default").status.phase != "Running":
            assert time.monotonic() < deadline
            time.sleep(0.1)
        yield lambda script: _run(machine.client(), script)
    finally:
        machine.stop()
        garbage.collect()


def _run(api: ApiClient, script: str) -> Executed:
    return execute(api, "default", "pod", "sidecar", ("/bin/sh", "-c", script), WITHIN_S)


def test_a_command_tells_its_exit_code_and_what_it_wrote_to_both_streams(run: Run) -> None:
    done = run("echo one; echo two >&2; exit 3")
    assert done.code == 3
    assert sorted(done.output.split()) == ["one", "two"]
    assert run("true") == Executed(0, "")


def test_a_command_that_does_not_end_is_given_up(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.test_exec.WITHIN_S", 0.5)
    with pytest.raises(ClusterError, match=r"no end within 0\.5 s"):
        run("sleep 3")


def test_a_command_under_which_its_container_ends_has_no_exit_code(run: Run) -> None:
    assert run("kill -TERM 1; sleep 5").code != 0
