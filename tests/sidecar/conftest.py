"""Fixtures of the sidecar's tests: an application, and a pod that is clean afterwards."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.sidecar.rig import App, Pod, clean


@pytest.fixture
async def app() -> AsyncIterator[App]:
    app = App()
    await app.start()
    yield app
    await app.stop()


@pytest.fixture
async def pod(app: App) -> AsyncIterator[Pod]:
    async with clean(lambda directory: Pod(app, directory)) as pod:
        yield pod
