"""Fixtures: a server per module, a client per test, kubectl if there is one."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator

import pytest
from kubernetes import client

from harness.embedded.seams import NODES
from tests.embedded.api.local import Cluster


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    cluster = Cluster()
    cluster.run(
        cluster.server.api.create(
            NODES,
            {
                "metadata": {"name": "node"},
                "status": {"conditions": [{"type": "Ready", "status": "True"}], "nodeInfo": {}},
            },
        )
    )
    yield cluster
    cluster.close()


@pytest.fixture
def api(cluster: Cluster) -> Iterator[client.ApiClient]:
    with cluster.client() as connection:
        yield connection


@pytest.fixture(scope="session")
def kubectl() -> str:
    found = os.environ.get("KUBECTL") or shutil.which("kubectl")
    if not found:
        pytest.skip("no kubectl: put one (1.30 or newer) on PATH or name it in $KUBECTL")
    return found
