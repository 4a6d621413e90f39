"""Who watches a run. Knows nothing of terminals; `harness.cli.display` draws."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from harness.record.upgrade import PhaseName


class Progress(Protocol):
    """Told what happens while it happens; never slows the run down and never raises. Called from any thread."""

    def note(self, text: str) -> None:
        """Something worth a line."""

    def pods(self, names: Sequence[str]) -> None:
        """All pods are there with their sidecars."""

    def phase(self, upgrade: int, pod: str, phase: PhaseName, at: float) -> None:
        """A pod entered a phase of an upgrade, as far as can be told live; the report's boundaries may be finer."""

    def traffic(self, sent: int, failed: int) -> None:
        """Totals so far."""


class Silent:
    """Nobody watches."""

    def note(self, text: str) -> None:
        """Ignored."""

    def pods(self, names: Sequence[str]) -> None:
        """Ignored."""

    def phase(self, upgrade: int, pod: str, phase: PhaseName, at: float) -> None:
        """Ignored."""

    def traffic(self, sent: int, failed: int) -> None:
        """Ignored."""
