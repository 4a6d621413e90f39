"""The documentation tells every deliberate difference, in the words of the data."""

from __future__ import annotations

from pathlib import Path

from harness.sidecarset.deviations import DEVIATIONS

PAGE = Path(__file__).parents[2] / "docs" / "kruise.md"


def test_every_deviation_stands_in_the_documentation() -> None:
    page = PAGE.read_text(encoding="utf-8")
    rows = [f"| {d.topic} | {d.kruise} | {d.here} | {d.reason} |" for d in DEVIATIONS]
    assert [row for row in rows if row not in page] == []
