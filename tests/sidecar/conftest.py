"""Fixtures of the sidecar's tests: an application, and a pod that is clean afterwards."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.sidecar.rig import App, Pod


@pytest.fixture
async def app() -> AsyncIterator[App]:
    app = App()
    await app.start()
    yield app
    await app.stop()


@pytest.fixture
async def pod(app: App) -> AsyncIterator[Pod]:
    root = Path(tempfile.mkdtemp(prefix="hu-"))  # a unix path has to be short, tmp_path is not
    pod = Pod(app, root / "dir")
    yield pod
    for client in pod.clients:
        client.close()
    for sidecar in pod.sidecars:
        await sidecar.end(9)
    shutil.rmtree(root)
