"""The same builds for `docker buildx bake`: several architectures at once, pushed to a registry. Pure.

An image that is made from another names it as a context of the target of that other, so nothing needs to be in
the registry before. See the bake file reference of docker buildx.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from harness.embedded.machine.images import Catalogue
from harness.images.order import name_of, needs, ordered


def bake(
    catalogue: Catalogue,
    refs: Sequence[str],
    *,
    registry: str,
    platforms: Sequence[str],
    arguments: Mapping[str, str],
    labels: Mapping[str, str],
) -> dict[str, Any]:
    """The bake file: a target for each image, named REGISTRY/name:tag, without provenance."""
    definitions = ordered(catalogue, refs)
    names = {name_of(definition) for definition in definitions}
    targets = {}
    for definition in definitions:
        below = [name_of(one) for one in needs(catalogue, definition)]
        targets[_target(name_of(definition))] = {
            "context": str(definition.folder),
            "contexts": {_context(name): f"target:{_target(name)}" for name in below},
            "platforms": list(platforms),
            "tags": [f"{registry}/{name_of(definition)}"],
            "args": dict(arguments),
            "labels": dict(labels),
            "attest": ["type=provenance,disabled=true"],
        }
    return {"group": {"default": {"targets": sorted(map(_target, names))}}, "target": targets}


def _context(name: str) -> str:
    """BuildKit looks for the name in a FROM without `:latest`, also where the Dockerfile has it."""
    return name.removesuffix(":latest")


def _target(name: str) -> str:
    return name.replace(":", "-").replace("/", "-").replace(".", "-")
