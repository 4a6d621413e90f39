"""Progress that Locust's own pages show as well. Knows nothing of how either shows it."""

from __future__ import annotations

from collections.abc import Sequence

from harness.progress import Progress
from harness.record.upgrade import PhaseName
from harness.traffic.ui import Ui


class Shown:
    """A `Progress`: all of it goes to another one, and phases to the pages too."""

    def __init__(self, progress: Progress, ui: Ui) -> None:
        self._progress, self._ui = progress, ui

    def note(self, text: str) -> None:
        """Passed on."""
        self._progress.note(text)

    def pods(self, names: Sequence[str]) -> None:
        """Passed on."""
        self._progress.pods(names)

    def phase(self, upgrade: int, pod: str, phase: PhaseName, at: float) -> None:
        """Passed on, and shown."""
        self._progress.phase(upgrade, pod, phase, at)
        self._ui.phase(upgrade, pod, phase, at)

    def traffic(self, sent: int, failed: int) -> None:
        """Passed on."""
        self._progress.traffic(sent, failed)
