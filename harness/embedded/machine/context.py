"""The folder beside a Dockerfile: which of its files COPY may bring. Knows nothing of where they go."""

from __future__ import annotations

import glob
import os
from collections.abc import Callable
from pathlib import Path

from harness.embedded.machine.dockerfile import Instruction


class Context:
    """A build context with its .dockerignore."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._ignored = _ignored(folder / ".dockerignore")

    def find(self, instruction: Instruction, source: str) -> list[Path]:
        """The files or folders that a source names, wildcards included; InputError if there are none."""
        return find(instruction, self.folder, source, self.has)

    def has(self, path: Path) -> bool:
        """Whether a path below the folder is part of the context."""
        relative = os.path.relpath(path, self.folder)
        return relative == "." or not self._ignored(relative)


def find(
    instruction: Instruction, root: Path, source: str, has: Callable[[Path], bool] = lambda _: True
) -> list[Path]:
    """What a source names below a root; InputError if that is nothing, or lies outside."""
    pattern = os.path.normpath("/" + source).lstrip("/") if not source.startswith("..") else source
    if ".." in Path(source).parts and os.path.normpath(source.lstrip("/")).startswith(".."):
        raise instruction.wrong(f"{source}: lies outside of the folder of the Dockerfile; move it there")
    if glob.has_magic(pattern):
        found = [root / name for name in sorted(glob.glob(pattern, root_dir=root, include_hidden=True))]
    else:
        found = [root / pattern] if os.path.lexists(root / pattern) else []
    found = [path for path in found if has(path)]
    if not found:
        raise instruction.wrong(f"no {source!r} in {root}")
    for path in found:
        if not path.resolve().is_relative_to(root.resolve()):
            raise instruction.wrong(f"{source}: links to {path.resolve()}, outside of {root}; copy it there")
    return found


def _ignored(file: Path) -> Callable[[str], bool]:
    if not file.is_file():
        return lambda _: False
    from docker.utils.build import PatternMatcher  # slow to import, and rarely needed

    lines = (line.strip() for line in file.read_text().splitlines())
    matcher = PatternMatcher([line for line in lines if line and not line.startswith("#")])
    return lambda path: bool(matcher.matches(path))  # type: ignore[arg-type] # its stub is wrong: text it must be
