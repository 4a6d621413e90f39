"""kind clusters and folders that killed runs left on this machine.

A run keeps a folder of its own while it uses a kind cluster, with its owner in it, and the cluster's name if it made
the cluster for itself. Knows nothing of what is on a cluster.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.site import lives, own

PREFIX = "hotupgrade-kind-"
OWNER, MADE = "owner", "made"

Execute = Callable[[Sequence[str]], str]


def folder_of(run: str) -> Path:
    """A run's folder; not made yet."""
    return Path(tempfile.gettempdir()) / f"{PREFIX}{run}"


def claim(folder: Path, made: str | None) -> None:
    """Makes the folder, or adds to it the name of the cluster that is made for this run alone."""
    folder.mkdir(mode=0o700, exist_ok=True)
    (folder / OWNER).write_text(own())
    if made is not None:
        (folder / MADE).write_text(made)


def inherit(folder: Path, cluster: str, *, keep: bool) -> bool:
    """Whether a killed run had made the cluster for itself; it is this run's now, and no orphan any more."""
    mine = [one for one in orphans() if one.cluster == cluster]
    if mine:
        claim(folder, None if keep else cluster)  # first: one claim too many is better than none
    for one in mine:
        if one.folder != folder:
            shutil.rmtree(one.folder)
    return bool(mine)


@dataclass(frozen=True)
class Orphan:
    """A folder whose run is gone, and the cluster that was made for that run."""

    folder: Path
    cluster: str | None

    def remove(self, execute: Execute) -> str:
        """Deletes both, the cluster first; ClusterError. Says what."""
        if self.cluster is not None:
            execute(["kind", "delete", "cluster", "--name", self.cluster])
        shutil.rmtree(self.folder)
        return f"kind cluster {self.cluster}" if self.cluster else f"folder {self.folder}"


def orphans(alive: Callable[[str], bool | None] = lives) -> list[Orphan]:
    """Those of this user's runs whose process is gone; a folder without an owner is somebody's who has just begun.

    Anybody can make a folder of such a name where temporary files lie, and name a cluster in it.
    """
    found = []
    for folder in sorted(Path(tempfile.gettempdir()).glob(f"{PREFIX}*")):
        owner, made = folder / OWNER, folder / MADE
        if folder.is_symlink() or folder.stat().st_uid != os.getuid():
            continue
        if owner.is_file() and alive(owner.read_text()) is False:
            found.append(Orphan(folder, made.read_text() if made.is_file() else None))
    return found
