"""badge.svg: the verdict in one line, for a README. Knows nothing of pages."""

from __future__ import annotations

from xml.sax.saxutils import escape

from harness.record.report import Report
from harness.report import words

LABEL = "hot upgrade"
GREY = "#555"
COLOURS = {"passed": "#2c7a4b", "failed": "#c0362c", "skipped": "#6e6e6e"}
UNDECIDED = "#a5690a"
WIDTHS = {
    **dict.fromkeys("il", 3.0),
    **dict.fromkeys("f ", 3.9),
    **dict.fromkeys("tr", 4.5),
    **dict.fromkeys("csz", 5.7),
    **dict.fromkeys("+", 9.0),
    **dict.fromkeys("mw", 10.2),
}
"""Pixels of a character in Verdana of 11 pixels, where they differ from OTHER; `textLength` takes up the rest."""
OTHER = 6.8
PAD = 6.0


def svg(report: Report) -> str:
    """The badge of a report."""
    said = words.conformance(report)
    outcome = "inconclusive" if said == "inconclusive" else report.outcome
    return draw(LABEL, said, COLOURS.get(outcome, UNDECIDED), words.claim(report))


def draw(label: str, message: str, colour: str, title: str) -> str:
    """A flat badge: the label on grey, the message on its colour."""
    left, right = _width(label) + 2 * PAD, _width(message) + 2 * PAD
    whole = left + right
    said = escape(f"{label}: {message}", {'"': "&quot;"})
    return f"""\
<svg xmlns="http://www.w3.org/2000/svg" width="{whole:.0f}" height="20" viewBox="0 0 {whole:.1f} 20" \
role="img" aria-label="{said}">
<title>{said}. {escape(title)}</title>
<rect width="{whole:.1f}" height="20" rx="3" fill="{colour}"/>
<path d="M3 0H{left:.1f}V20H3a3 3 0 0 1-3-3V3a3 3 0 0 1 3-3z" fill="{GREY}"/>
<g fill="#fff" font-family="Verdana,Geneva,DejaVu Sans,sans-serif" font-size="11">
{_text(label, PAD)}
{_text(message, left + PAD)}
</g>
</svg>
"""


def _text(text: str, x: float) -> str:
    return f'<text x="{x:.1f}" y="14" textLength="{_width(text):.1f}">{escape(text)}</text>'


def _width(text: str) -> float:
    return sum(WIDTHS.get(character, OTHER) for character in text)
