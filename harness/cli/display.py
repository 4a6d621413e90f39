"""What a run looks like while it runs: a live table on a terminal, plain lines elsewhere. Knows nothing of the run.

Both are `harness.progress.Progress`: called from any thread, never raising. What they write ends with their `with`:
Python aborts when it exits while some thread is inside a write to standard output.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from typing import IO

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from harness.record.upgrade import PhaseName

PLAIN_TRAFFIC_S = 2.0  # a log that nobody watches needs no line a tenth of a second
PHASE_STYLE: dict[PhaseName, str] = {
    "steady": "dim",
    "upgrade": "yellow",
    "migration": "bold magenta",
    "back-off": "dim yellow",
    "reset": "cyan",
    "settled": "green",
}


class Plain:
    """One line for each thing that happens."""

    def __init__(self, stream: IO[str]) -> None:
        self._stream, self._lock, self._zero = stream, threading.Lock(), time.monotonic()
        self._told, self._failed, self._over = 0.0, 0, False

    def __enter__(self) -> Plain:
        return self

    def __exit__(self, *_: object) -> None:
        with self._lock:  # a line that is being written becomes whole; the next one is not begun
            self._over = True

    def _line(self, text: str) -> None:
        with self._lock, suppress(OSError, ValueError):  # nobody reads any more; the run goes on
            if not self._over:
                print(f"{time.monotonic() - self._zero:6.1f}s  {text}", file=self._stream, flush=True)

    def note(self, text: str) -> None:
        """A line."""
        self._line(text)

    def pods(self, names: Sequence[str]) -> None:
        """The pods, in a line."""
        self._line(f"pods with their sidecars: {', '.join(names)}")

    def phase(self, upgrade: int, pod: str, phase: PhaseName, at: float) -> None:
        """A line for each phase that a pod enters."""
        self._line(f"upgrade {upgrade}  {pod}  {phase}")

    def traffic(self, sent: int, failed: int) -> None:
        """Totals, every few seconds and whenever another request failed."""
        now = time.monotonic()
        if now - self._told >= PLAIN_TRAFFIC_S or failed > self._failed:
            self._told, self._failed = now, failed
            self._line(f"requests  {sent:,} sent, {failed:,} failed")


class Animated:
    """A table of pods and their last upgrades that redraws itself, and the last notes under it."""

    NOTES = 4
    UPGRADES = 5  # columns that every terminal has room for

    def __init__(self, console: Console) -> None:
        self._lock, self._zero = threading.Lock(), time.monotonic()
        self._notes: deque[str] = deque(maxlen=self.NOTES)
        self._names: list[str] = []
        self._phases: dict[tuple[str, int], PhaseName] = {}
        self._sent = self._failed = 0
        self._live = Live(console=console, get_renderable=self._draw, refresh_per_second=8, transient=True)

    def __enter__(self) -> Animated:
        try:
            self._live.__enter__()
        except BaseException:  # a signal, say: its thread would draw until the process ends
            self._live.stop()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._live.__exit__(None, None, None)

    def _draw(self) -> RenderableType:
        with self._lock:
            parts: list[RenderableType] = []
            indices = sorted({index for _, index in self._phases})
            if self._names:
                table = Table(box=None, pad_edge=False, header_style="bold")
                table.add_column("pod")
                for index in indices:
                    table.add_column(f"upgrade {index}")
                for name in self._names:
                    cells = [self._phases.get((name, index)) for index in indices]
                    table.add_row(name, *(Text(c or "", style=PHASE_STYLE[c] if c else "") for c in cells))
                parts.append(table)
            if self._sent:
                style = "bold red" if self._failed else "green"
                parts.append(
                    Text.assemble(f"requests  {self._sent:,} sent, ", (f"{self._failed:,} failed", style))
                )
            parts.extend(Text(note, style="dim") for note in self._notes)
            parts.append(Text(f"{time.monotonic() - self._zero:.0f} s", style="dim"))
            return Group(*parts)

    def note(self, text: str) -> None:
        """Kept under the table."""
        with self._lock:
            self._notes.append(text)

    def pods(self, names: Sequence[str]) -> None:
        """The table's rows."""
        with self._lock:
            self._names = list(names)
            self._phases = {key: phase for key, phase in self._phases.items() if key[0] in names}

    def phase(self, upgrade: int, pod: str, phase: PhaseName, at: float) -> None:
        """A cell of the table."""
        with self._lock:
            self._phases[pod, upgrade] = phase
            for key in [key for key in self._phases if key[1] <= upgrade - self.UPGRADES]:
                del self._phases[key]

    def traffic(self, sent: int, failed: int) -> None:
        """The line of totals."""
        with self._lock:
            self._sent, self._failed = sent, failed


def display(console: Console) -> Plain | Animated:
    """The one that fits the console."""
    return Animated(console) if console.is_terminal else Plain(console.file)
