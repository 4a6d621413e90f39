"""The time line as a figure of Plotly, in plain data: four panels over one time axis. Knows nothing of HTML.

    answers/s by version      stacked, so that a flip is a change of colour; requests sent as a line
    failures                  a bar per bin, by intended send time
    latency                   p50 and p99 from the intended send time
    a row per pod             its phases as bands

Text and grid have no colours here: the page sets them, as it knows whether it is light or dark.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from harness.record.base import to_rfc3339
from harness.record.ledger import SLOT_S
from harness.record.report import Point, Scenario
from harness.record.upgrade import PhaseName
from harness.report import words

MAX_BINS = 1500  # more than the pixels across; a report of any length stays small
VERSION_COLOURS = ("#3987e5", "#c98500", "#199e70", "#9085e9", "#d55181", "#008300")
SENT_COLOUR = "#8a8984"
FAILED_COLOUR = "#e34948"
P50_COLOUR, P99_COLOUR = "#6da7ec", "#9085e9"
PHASE_COLOURS: dict[PhaseName, str] = {
    "steady": "rgba(138,137,132,0.28)",
    "upgrade": "#eda100",
    "migration": "#e87ba4",
    "reset": "#1baf7a",
    "settled": "rgba(138,137,132,0.28)",
}
UPGRADE_SHADE = "rgba(138,137,132,0.14)"
PANEL_PX, BAND_PX, MARGIN_PX = 150, 30, 110


@dataclass(frozen=True)
class Bin:
    """Neighbouring points in one. Its p99 is the worst of theirs, which no single request's is above... """

    at: float
    sent: int
    failed: int
    versions: dict[str, int]
    p50: float | None
    p99: float | None
