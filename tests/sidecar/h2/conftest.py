"""Fixtures: a process that serves, and applications that speak HTTP/2 or chunks."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.sidecar.h2.application import ChunkedApp, Http2App
from tests.sidecar.rig import Pod, Sidecar

LIMITS = {
    "SIDECAR_HEADER_TIMEOUT_S": "2",
    "SIDECAR_BODY_TIMEOUT_S": "2",
    "SIDECAR_UPSTREAM_TIMEOUT_S": "2",
    "SIDECAR_HEADER_LIMIT": "8192",
    "SIDECAR_BODY_LIMIT": "20000000",
}


@pytest.fixture
async def sidecar(pod: Pod) -> Sidecar:
    sidecar = await pod.start(7, 0, (), **LIMITS)
    await sidecar.saw("accepting")
    return sidecar


@pytest.fixture
async def h2app() -> AsyncIterator[Http2App]:
    app = Http2App()
    await app.start()
    yield app
    await app.stop()


@pytest.fixture
async def chunked() -> AsyncIterator[ChunkedApp]:
    app = ChunkedApp()
    await app.start()
    yield app
    await app.stop()


@pytest.fixture
async def pods() -> AsyncIterator[list[Pod]]:
    """Pods of other applications; the test adds them with `pod_of`."""
    found: list[Pod] = []
    yield found
    for pod in found:
        for sidecar in pod.sidecars:
            await sidecar.end(9)
        shutil.rmtree(pod.directory.parent)


def pod_of(app: object, pods: list[Pod]) -> Pod:
    pod = Pod(app, Path(tempfile.mkdtemp(prefix="hu-")) / "dir")  # type: ignore[arg-type]
    pods.append(pod)
    return pod
