"""Fixtures: the mutants' images as the embedded cluster builds them, and a pod that can run them."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from harness.embedded.machine.build import Builder
from harness.embedded.machine.images import catalogue
from harness.embedded.seams import Image
from tests.sidecar.rig import App, Pod, Sidecar, clean

OWN = Path(__file__).parents[2] / "images"
MUTANTS = OWN / "mutants"


class MutantPod(Pod):
    """A pod whose processes may be mutants'."""

    def __init__(self, app: App, directory: Path, images: Builder) -> None:
        super().__init__(app, directory)
        self._images = images

    def image(self, name: str) -> Image:
        return self._images.image(f"mutant:{name}")

    async def mutant(self, name: str, version: int = 1, alt: int = 0, **more: str) -> Sidecar:
        """Starts the entry point of an image, whose files lie in another place than in a container."""
        image = self.image(name)
        environment = {
            **self.environment(version, alt, **more),
            **image.env,
            "PYTHONPATH": f"{image.root}{image.env['PYTHONPATH']}",
        }
        (entrypoint,) = image.entrypoint
        process = await asyncio.create_subprocess_exec(
            f"{image.root}{entrypoint}", env=environment, stdout=asyncio.subprocess.PIPE
        )
        sidecar = Sidecar(process, environment)
        self.sidecars.append(sidecar)
        return sidecar

    async def hook(self, sidecar: Sidecar) -> asyncio.subprocess.Process:
        """Starts the hook of a mutant's image; its one word on standard error can be read."""
        return await asyncio.create_subprocess_exec(
            f"{self.image(sidecar.environment['MUTANT']).root}/migrate.sh",
            env=sidecar.environment,
            stderr=asyncio.subprocess.PIPE,
        )


@pytest.fixture(scope="session")
def images(tmp_path_factory: pytest.TempPathFactory) -> Builder:
    return Builder(catalogue([OWN, MUTANTS]), tmp_path_factory.mktemp("images"))


@pytest.fixture
async def app() -> AsyncIterator[App]:
    app = App()
    await app.start()
    yield app
    await app.stop()


@pytest.fixture
async def pod(app: App, images: Builder) -> AsyncIterator[MutantPod]:
    async with clean(lambda directory: MutantPod(app, directory, images)) as pod:
        yield pod


def names() -> list[str]:
    """All mutants; `base`, which has no fault, is none."""
    return sorted(set(os.listdir(MUTANTS / "mutant")) - {"base"})
