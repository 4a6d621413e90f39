"""A build context as a tar archive that depends on nothing but the files' names, contents and executable bits."""

from __future__ import annotations

import io
import os
import tarfile
from collections.abc import Iterator
from pathlib import Path

from harness.embedded.machine.context import Context

WHEELS = "wheels"  # where a base's Dockerfile looks for wheels


def pack(folder: Path, wheelhouse: Path | None = None) -> bytes:
    """The folder without what its .dockerignore names; with the wheels of a wheelhouse if it installs any.

    Owners, times and permissions of the checkout stay out, so that two checkouts make the same layers.
    """
    beside = Context(folder)
    entries = [(path.relative_to(folder).as_posix(), path) for path in _walk(folder) if beside.has(path)]
    if wheelhouse is not None and (folder / "requirements.txt").is_file():
        entries += [(f"{WHEELS}/{wheel.name}", wheel) for wheel in wheels(wheelhouse)]
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for name, path in entries:
            _add(archive, name, path)
    return buffer.getvalue()


def wheels(wheelhouse: Path) -> list[Path]:
    """The wheels in a folder."""
    return sorted(wheelhouse.glob("*.whl"))


def _walk(folder: Path) -> Iterator[Path]:
    for entry in sorted(folder.iterdir()):
        if entry.name == "__pycache__":
            continue  # made by running the sources
        yield entry
        if entry.is_dir() and not entry.is_symlink():
            yield from _walk(entry)


def _add(archive: tarfile.TarFile, name: str, path: Path) -> None:
    info = tarfile.TarInfo(name)
    if path.is_symlink():
        info.type, info.linkname = tarfile.SYMTYPE, os.readlink(path)
    elif path.is_dir():
        info.type, info.mode = tarfile.DIRTYPE, 0o755
    else:
        info.size = path.stat().st_size
        info.mode = 0o755 if os.access(path, os.X_OK) else 0o644
        with path.open("rb") as stream:
            archive.addfile(info, stream)
            return
    archive.addfile(info)
