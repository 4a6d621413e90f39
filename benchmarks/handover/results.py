"""What was seen and what had to hold, as rows; a table of them for the terminal and for a file.

Knows nothing of how anything was measured.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from rich.table import Table


class Row(NamedTuple):
    """One figure. Without a bound it is there for information."""

    part: str
    what: str
    seen: str
    bound: str = ""
    held: bool = True

    @property
    def mark(self) -> str:
        """The last column."""
        if not self.bound:
            return ""
        return "held" if self.held else "NOT HELD"


def all_held(rows: Iterable[Row]) -> bool:
    """Whether every bound was kept, and there was one at all."""
    bounded = [row for row in rows if row.bound]
    return bool(bounded) and all(row.held for row in bounded)


def counted(part: str, what: str, counts: dict[str, int], bound: int = 0) -> Row:
    """A row of something that may happen at most `bound` times, with its kinds; one without a name is just a number."""
    total = sum(counts.values())
    kinds = ", ".join(f"{kind} {number:,}" for kind, number in sorted(counts.items()) if kind and number)
    return Row(
        part,
        what,
        f"{total:,} ({kinds})" if kinds else f"{total:,}",
        f"<= {bound:,}" if bound else "0",
        total <= bound,
    )


def table(rows: Sequence[Row]) -> Table:
    """For the terminal."""
    found = Table(show_edge=False)
    for heading in ("", "measured", "seen", "bound", ""):
        found.add_column(heading, overflow="fold")
    part = ""
    for row in rows:
        style = "" if row.held else "red"
        found.add_row(
            row.part if row.part != part else "", row.what, row.seen, row.bound, row.mark, style=style
        )
        part = row.part
    return found


def markdown(rows: Sequence[Row], conditions: Sequence[str]) -> str:
    """The file: conditions, then a table for each part."""
    lines = ["# Hand-overs, counted", "", "Written by `make bench-handover`.", ""]
    lines += [f"- {condition}" for condition in conditions]
    part = None
    for row in rows:
        if row.part != part:
            part = row.part
            lines += ["", f"## {part}", "", "| measured | seen | bound | |", "|---|---|---|---|"]
        lines.append(
            "| " + " | ".join(_cell(text) for text in (row.what, row.seen, row.bound, row.mark)) + " |"
        )
    return "\n".join(lines) + "\n"


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")
