"""What Markdown pages are made of: tables, lines and fences that no text from outside can leave. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

SHOWN_CELL = 300  # characters; a failure's detail or an image's name may be as long as anybody likes


def table(headings: Sequence[str], align: str, rows: Sequence[Sequence[str]]) -> list[str]:
    """Its lines; `align` has an `l` or an `r` for each column. Nothing of no row."""
    if not rows:
        return []
    rule = ["---:" if side == "r" else "---" for side in align]
    return [_row(headings), _row(rule), *(_row(map(line, row)) for row in rows), ""]


def line(text: str) -> str:
    """Text that cannot leave its line or its cell, nor be taken for markup."""
    flat = " ".join(text.split())
    cut = flat if len(flat) <= SHOWN_CELL else flat[: SHOWN_CELL - 1] + "…"
    for character in "\\`*_|<[$":
        cut = cut.replace(character, f"\\{character}")
    return cut


def fenced(command: str) -> list[str]:
    """A command of the shell, in a fence longer than any in it."""
    fence = "`" * max(3, 1 + max(map(len, re.findall("`+", command)), default=0))
    return [f"{fence}sh", command, fence]


def _row(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"
