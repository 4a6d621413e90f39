"""A row of sidecars, each taking over from the one before, as SidecarSet's two containers do by turns.

Knows nothing of clients or figures: a hand-over is what the two processes' logs say of it.
"""

from __future__ import annotations

import os
import signal
import socket
import sys
from collections.abc import Mapping
from pathlib import Path
from time import monotonic
from typing import Any, NamedTuple

from benchmarks.handover.children import ROOT, SIDECAR, Child, Children

RELEASES = ("v1", "v2")
DRAINED_S = 40.0  # longer than the drain's deadline


class Handover(NamedTuple):
    """One hand-over, over; times are monotonic seconds."""

    predecessor: Child
    successor: Child
    spawned: float  # the successor's process
    requested: float
    accepting: float  # the successor does, from here on
    committed: float  # the predecessor does not any more
    drained: float
    counts: dict[str, int]  # how the predecessor's connections went

    @property
    def pause(self) -> float:
        """How long nobody accepted; 0 when both did for a while."""
        return max(0.0, self.accepting - self.committed)

    @property
    def overlap(self) -> float:
        """How long both accepted."""
        return max(0.0, self.committed - self.accepting)

    @property
    def closed(self) -> int:
        """Connections that the predecessor ended, by its own count."""
        return self.counts.get("told", 0) + self.counts.get("forced", 0)

    @property
    def took(self) -> float:
        """From the request until nothing was left at the predecessor."""
        return self.drained - self.requested


class Relay:
    """The sidecars of one pod: an address, a directory, the one that works."""

    working: Child
    """The one that serves, as far as hand-overs went well."""

    def __init__(self, children: Children, directory: Path, upstream: int, more: Mapping[str, str]) -> None:
        self._children, self._directory, self._more = children, directory, more
        self.upstream = upstream
        self.port = free_port()
        self._version = 0  # of the process started last
        self._versions: dict[Child, int] = {}
        for release in RELEASES:
            (directory / f"release-{release}").write_text(f"{release}\n")

    async def begin(self) -> None:
        """The first process, which binds."""
        self.working = await self.start()
        await self.working.saw("accepting")

    async def start(self, module: str = "sidecar", **more: str) -> Child:
        """The next version's process, whose predecessor is the working one; does not wait for it."""
        alt = self._versions[self.working] if self._versions else 0
        self._version += 1
        release = RELEASES[(self._version - 1) % len(RELEASES)]
        environment = {
            "PATH": os.environ["PATH"],
            "PYTHONPATH": f"{SIDECAR}{os.pathsep}{ROOT}",
            "SIDECAR_LISTEN": f"127.0.0.1:{self.port}",
            "SIDECAR_UPSTREAM": f"127.0.0.1:{self.upstream}",
            "SIDECAR_HANDOVER_DIR": str(self._directory / "shm"),
            "SIDECAR_RELEASE_FILE": str(self._directory / f"release-{release}"),
            "SIDECARSET_VERSION": str(self._version),
            "SIDECARSET_VERSION_ALT": str(alt),
            **self._more,
            **more,
        }
        command = [sys.executable, "-m", module]
        child = await self._children.start(f"sidecar {self._version}", command, environment)
        self._versions[child] = self._version
        return child

    def release_of(self, child: Child) -> str:
        """What its answers say."""
        return RELEASES[(self._versions[child] - 1) % len(RELEASES)]

    async def hand_over(self) -> Handover:
        """Starts a successor and waits until the predecessor is drained; the predecessor lives on."""
        predecessor = self.working
        requests, drains = (len(predecessor.events(event)) for event in ("handover_requested", "drained"))
        spawned = monotonic()
        successor = await self.start()
        accepting = await successor.saw("accepting")
        await successor.saw("commit")
        drained = await predecessor.saw("drained", drains + 1, within_s=DRAINED_S)
        await successor.saw("predecessor_drained")
        requested = await predecessor.saw("handover_requested", requests + 1)
        committed = after(predecessor, "commit", requested["monotonic"])[0]  # its first was as a successor
        self.working = successor
        names = ("finished", "told", "moved", "forced", "forced_silent")
        return Handover(
            predecessor,
            successor,
            spawned,
            requested["monotonic"],
            accepting["monotonic"],
            committed["monotonic"],
            drained["monotonic"],
            {name: drained[name] for name in names if name in drained},
        )

    async def retire(self, predecessor: Child) -> int:
        """What the reset does to a drained predecessor; its exit code."""
        return await predecessor.end(signal.SIGTERM)


def free_port() -> int:
    """A port of loopback that nobody uses now."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
        return port


def after(child: Child, event: str, since: float) -> list[dict[str, Any]]:
    """The lines of a kind that were written after a moment (monotonic)."""
    return [line for line in child.events(event) if line["monotonic"] >= since]
