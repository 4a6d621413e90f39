"""All of a catalogue's images on an engine: built in order, listed, saved as a bundle."""

from __future__ import annotations

import subprocess
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.embedded.machine.images import Definition
from harness.errors import ClusterError, InputError
from harness.images.context import pack, wheels
from harness.images.engine import Built, Engine
from harness.images.order import name_of

BASE_IMAGE = "BASE_IMAGE"  # the bases' build argument
REVISION = "org.opencontainers.image.revision"


@dataclass(frozen=True)
class Options:
    """How to build. `base_image` None leaves it to the Dockerfiles; `wheelhouse` is used instead of any index.

    `network` is the engine's network mode for RUN, such as host. InputError for a folder without wheels.
    """

    base_image: str | None = None
    wheelhouse: Path | None = None
    network: str | None = None

    def __post_init__(self) -> None:
        if self.wheelhouse is None:
            return
        if not self.wheelhouse.is_dir():
            raise InputError(f"{self.wheelhouse}: no such folder; fill it with make wheelhouse")
        if not wheels(self.wheelhouse):
            raise InputError(
                f"{self.wheelhouse}: holds no wheels; fill it with make wheelhouse WHEELHOUSE={self.wheelhouse}"
            )


def build(engine: Engine, definitions: Iterable[Definition], options: Options) -> Iterator[Built]:
    """Builds images one by one, in an order that `order.ordered` gave; ClusterError."""
    for definition in definitions:
        arguments = (
            {BASE_IMAGE: options.base_image} if options.base_image and _asks_for_base(definition) else {}
        )
        yield engine.build(
            pack(definition.folder, options.wheelhouse),
            name_of(definition),
            arguments=arguments,
            labels=labels(definition.folder),
            network=options.network,
        )


def save(engine: Engine, refs: Sequence[str], to: Path) -> None:
    """One archive of all; ClusterError names what was not built."""
    missing = [ref for ref in refs if engine.find(ref) is None]
    if missing:
        raise ClusterError(
            f"images {', '.join(missing)} are not there; build them with hotupgrade images build"
        )
    engine.save(refs, to)


def labels(folder: Path) -> dict[str, str]:
    """What the Dockerfile cannot know: the commit of a checkout without changes below the folder."""
    command = ["git", "-C", str(folder)]
    try:
        dirty = _output([*command, "status", "--porcelain", "--", "."])
        return {} if dirty else {REVISION: _output([*command, "rev-parse", "HEAD"])}
    except (OSError, subprocess.CalledProcessError):
        return {}  # no checkout, or no git


def _output(command: Sequence[str]) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def _asks_for_base(definition: Definition) -> bool:
    return any(
        instruction.name == "ARG" and instruction.value.partition("=")[0] == BASE_IMAGE
        for instruction in definition.recipe.instructions
    )
