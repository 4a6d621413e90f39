"""The images in folders: DIR/<name>/<tag>/Dockerfile is `name:tag`, DIR/<name>/Dockerfile is `name:latest`.

A folder in them that holds a file `.catalogue` is a folder of images of its own, to be named by itself.
`runtime` and `runtime-sidecar` are bases: on the embedded cluster each is the machine's own root file system,
whatever FROM, RUN and COPY would bring elsewhere.
Checks all that can be known without building. Knows nothing of containers.
"""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.embedded.machine import dockerfile, layout
from harness.embedded.machine.context import Context
from harness.embedded.machine.dockerfile import Instruction
from harness.embedded.machine.recipe import Config, Copy, Recipe, evaluate
from harness.errors import InputError

BASES = frozenset({"docker.io/library/runtime:latest", "docker.io/library/runtime-sidecar:latest"})
OF_ITS_OWN = ".catalogue"  # in folders of images that lie in another one
_PART = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_NAME = re.compile(
    rf"(?:(?P<host>localhost|[\w.-]+\.[\w.-]+(?::\d+)?|[\w.-]+:\d+)/)?(?P<path>{_PART}(?:/{_PART})*)(?::(?P<tag>\w[\w.-]{{0,127}}))?"
)


def normalise(ref: str) -> str | None:
    """The full name of an image, as Docker completes it; None if it is no name. Digests name no folder."""
    match = _NAME.fullmatch(ref)
    if match is None:
        return None
    host, path, tag = match["host"] or "docker.io", match["path"], match["tag"] or "latest"
    if host in ("docker.io", "index.docker.io"):
        host, path = "docker.io", path if "/" in path else f"library/{path}"
    return f"{host}/{path}:{tag}"


def familiar(ref: str) -> str:
    """The short form of a full name: `sidecar:v1`."""
    return ref.removeprefix("docker.io/library/").removeprefix("docker.io/")


@dataclass(frozen=True)
class Definition:
    """An image as it is defined; `ref` is its full name."""

    ref: str
    folder: Path
    recipe: Recipe

    @property
    def config(self) -> Config:
        """How it runs."""
        return self.recipe.config


class Catalogue:
    """The images of some folders, by full name."""

    def __init__(self, folders: dict[str, Path]) -> None:
        self._folders = folders
        self._known: dict[str, Definition] = {}
        self._under_way: list[str] = []
        for ref in folders:
            self._define(ref)

    def refs(self) -> list[str]:
        """All names, in their short form."""
        return sorted(familiar(ref) for ref in self._folders)

    def find(self, ref: str) -> Definition | None:
        """The image of that name in any form, or None."""
        full = normalise(ref)
        return None if full is None else self._known.get(full)

    def near(self, ref: str) -> list[str]:
        """Names that may have been meant."""
        full = normalise(ref)
        name = familiar(full or ref)
        same = [known for known in self.refs() if known.rpartition(":")[0] == name.rpartition(":")[0]]
        return same or difflib.get_close_matches(name, self.refs(), n=3, cutoff=0.6)

    def missing(self, ref: str) -> str:
        """One line that says why there is no such image, and what there is."""
        if "@" in ref:
            return f"image {ref!r}: a digest names no image here; use a tag"
        if normalise(ref) is None:
            return f"image {ref!r} is no image name; write name:tag, in lower case"
        known = ", ".join(self.near(ref) or self.refs())
        return f"no image {ref!r}; {'did you mean' if self.near(ref) else 'there are'} {known or 'none'}" + (
            "?" if self.near(ref) else ""
        )

    def _define(self, ref: str) -> Definition:
        if ref not in self._known:
            folder = self._folders[ref]
            file = folder / "Dockerfile"
            self._under_way.append(ref)
            machine = Config(scratch=False, env={"PATH": layout.search_path()}) if ref in BASES else None
            recipe = evaluate(dockerfile.read(file), str(file), self._base_of, machine)
            self._under_way.pop()
            _check_sources(folder, recipe)
            self._known[ref] = Definition(ref, folder, recipe)
        return self._known[ref]

    def _base_of(self, instruction: Instruction, name: str) -> Config:
        ref = normalise(name)
        if ref is None or ref not in self._folders:
            raise instruction.wrong(self.missing(name))
        if ref in self._under_way:
            raise instruction.wrong(f"{name} is made from this image itself")
        return self._define(ref).config


def _check_sources(folder: Path, recipe: Recipe) -> None:
    context = Context(folder)
    for stage in recipe.stages:
        for step in stage.steps:
            if isinstance(step, Copy) and step.origin is None:
                for source in step.sources:
                    context.find(step.instruction, source)


def catalogue(dirs: Sequence[Path]) -> Catalogue:
    """The images of these folders.

    InputError for a folder, a name or a Dockerfile that is wrong, and for duplicates.
    """
    folders: dict[str, Path] = {}
    for top in dirs:
        if not top.is_dir():
            raise InputError(f"{top}: no such folder of images")
        found = False
        for folder in _image_folders(top):
            found = True
            ref = _ref(top, folder)
            if ref in folders and folders[ref].resolve() != folder.resolve():
                raise InputError(
                    f"{folder}: image {familiar(ref)} is defined in {folders[ref]} already; rename one"
                )
            folders[ref] = folder
        if not found:
            raise InputError(f"{top}: holds no images; expected {top}/NAME/TAG/Dockerfile")
    return Catalogue(folders)


def _image_folders(top: Path) -> Iterable[Path]:
    for folder, below, files in os.walk(top):
        below[:] = sorted(name for name in below if not name.startswith("."))
        if "Dockerfile" in files:
            below.clear()  # what lies below is that image's own
            yield Path(folder)
        elif OF_ITS_OWN in files and Path(folder) != top:
            below.clear()


def _ref(top: Path, folder: Path) -> str:
    parts = folder.relative_to(top).parts
    if not parts:
        raise InputError(f"{folder}/Dockerfile: has no name; move it to {folder}/NAME/TAG/Dockerfile")
    name = parts[0] if len(parts) == 1 else f"{'/'.join(parts[:-1])}:{parts[-1]}"
    ref = normalise(name)
    if ref is None:
        raise InputError(
            f"{folder}: {name!r} is no image name; use lower case letters, digits, '.', '_' and '-'"
        )
    return ref
