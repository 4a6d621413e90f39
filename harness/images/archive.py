"""The images that a run needs as one archive for a cluster's nodes, less those that the user's archives hold."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from harness.embedded.machine.images import normalise
from harness.errors import InputError
from harness.images.engine import Engine, connect, names_in


class Archives:
    """Images of a Docker engine, which is asked only if one is needed of it."""

    def __init__(self, engine: Callable[[], Engine] = connect) -> None:
        self._engine = engine

    def check(self, refs: Sequence[str], archives: Sequence[Path]) -> None:
        """Pulls what is missing; InputError names what can be had nowhere; ClusterError without an engine."""
        wanted = self._others(refs, archives)
        if not wanted:
            return
        engine = self._engine()
        missing = [ref for ref in wanted if engine.find(ref) is None and not engine.pull(ref)]
        if missing:
            raise InputError(
                f"images {', '.join(missing)} are neither in an --image-archive nor in the Docker engine, and cannot "
                "be pulled; build them (the kit's own: make images), or mend their names"
            )

    def write(self, refs: Sequence[str], archives: Sequence[Path], to: Path) -> Path | None:
        """Writes the archive and returns it; None if the user's archives hold all."""
        wanted = self._others(refs, archives)
        if not wanted:
            return None
        self._engine().save(wanted, to)
        return to

    def _others(self, refs: Sequence[str], archives: Sequence[Path]) -> list[str]:
        there = {normalise(name) for archive in archives for name in names_in(archive)}
        return [ref for ref in refs if normalise(ref) not in there]
