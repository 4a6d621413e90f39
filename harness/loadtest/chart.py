"""The ramp as a drawing: asked and reached, and latencies, step by step. SVG whose colours are the style sheet's.

Knows nothing of pages.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from math import log10

from markupsafe import Markup

from harness.record.loadtest import Knee, Limits, RampStep

WIDTH, LEFT, RIGHT, TITLE = 960, 52, 12, 22
RATE, LATENCY, GAP, FOOT = 170, 120, 14, 34
RATE_TOP = TITLE
LATENCY_TOP = RATE_TOP + RATE + GAP + TITLE
HEIGHT = LATENCY_TOP + LATENCY + FOOT
NICE = (1.0, 1.5, 2.0, 3.0, 4.0, 5.0, 6.0, 8.0, 10.0)
BAR = 0.62  # of a step's width
LABELLED = 16  # steps whose rates fit under the axis

Scale = Callable[[float], float]


def chart(ramp: Sequence[RampStep], knee: Knee | None, limits: Limits) -> Markup:
    """Nothing of no step."""
    if not ramp:
        return Markup()
    said = "Requests a second that were asked for and reached, and latencies, for each step; the table has the figures."
    parts = [*_knee(ramp, knee), *_rates(ramp), *_latencies(ramp, limits), *_axis(ramp)]
    body = "\n".join(parts)
    return Markup(f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{said}">\n{body}\n</svg>')


def _step_width(ramp: Sequence[RampStep]) -> float:
    return (WIDTH - LEFT - RIGHT) / len(ramp)


def _x(ramp: Sequence[RampStep], place: float) -> float:
    return LEFT + place * _step_width(ramp)


def _knee(ramp: Sequence[RampStep], knee: Knee | None) -> Iterator[str]:
    """A band behind its step, over both panels."""
    if knee is None:
        return
    place = next(number for number, step in enumerate(ramp) if step.factor == knee.factor)
    left, wide = _x(ramp, place), _step_width(ramp)
    yield _rect("knee", left, RATE_TOP, wide, HEIGHT - FOOT - RATE_TOP)
    text = f"knee, at least {knee.rate:,.0f}/s" if knee.at_least else f"knee, {knee.rate:,.0f}/s"
    yield _text(text, WIDTH - RIGHT, TITLE - 8, "end", "knee-name")


def _rates(ramp: Sequence[RampStep]) -> Iterator[str]:
    top = _nice(max(max(step.asked, step.reached) for step in ramp))

    def y(value: float) -> float:
        return RATE_TOP + RATE * (1 - value / top)

    yield _text("requests a second: asked for (line), reached (bars)", LEFT, TITLE - 8)
    for value in (0.0, top / 2, top):
        yield from _rule(y(value), f"{value:,.0f}")
    for place, step in enumerate(ramp):
        left, wide = _x(ramp, place + (1 - BAR) / 2), BAR * _step_width(ramp)
        name = "lost" if step.lacks else "kept"
        yield _rect(name, left, y(step.reached), wide, RATE_TOP + RATE - y(step.reached))
    stairs = " ".join(
        f"{_x(ramp, place + side):.1f},{y(step.asked):.1f}"
        for place, step in enumerate(ramp)
        for side in (0, 1)
    )
    yield f'<polyline class="asked" points="{stairs}"/>'


def _latencies(ramp: Sequence[RampStep], limits: Limits) -> Iterator[str]:
    """On a logarithmic scale, with the limit that the p99 has to keep to."""
    known = [step.latency for step in ramp if step.latency]
    low = min([limits.p99_ms, *(latency.p50 for latency in known)]) / 1.4
    high = max([limits.p99_ms, *(latency.p99 for latency in known)]) * 1.4
    low = max(low, 1e-3)

    def y(value: float) -> float:
        return LATENCY_TOP + LATENCY * (1 - log10(max(value, low) / low) / log10(high / low))

    yield _text("latency in ms: p50, p99, and the limit of the p99", LEFT, LATENCY_TOP - 8)
    for power in range(-3, 8):
        if low <= 10.0**power <= high:
            yield from _rule(y(10.0**power), f"{10.0**power:,.{max(-power, 0)}f}")
    yield _across("limit", y(limits.p99_ms))
    for name in ("p50", "p99"):
        yield from _line(ramp, name, y)


def _line(ramp: Sequence[RampStep], name: str, y: Scale) -> Iterator[str]:
    dots = [
        (_x(ramp, place + 0.5), y(getattr(step.latency, name)))
        for place, step in enumerate(ramp)
        if step.latency
    ]
    yield f'<polyline class="{name}" points="{" ".join(f"{x:.1f},{level:.1f}" for x, level in dots)}"/>'
    yield from (f'<circle class="{name}" cx="{x:.1f}" cy="{level:.1f}" r="2.6"/>' for x, level in dots)


def _axis(ramp: Sequence[RampStep]) -> Iterator[str]:
    """What was asked for, under each step, or under some of them."""
    every = -(-len(ramp) // LABELLED)
    for place in range(0, len(ramp), every):
        yield _text(f"{ramp[place].asked:,.0f}", _x(ramp, place + 0.5), HEIGHT - FOOT + 14, "middle")
    yield _text("requests a second that were asked for", WIDTH - RIGHT, HEIGHT - 4, "end")


def _rule(y: float, label: str) -> Iterator[str]:
    yield _across("rule", y)
    yield _text(label, LEFT - 6, y + 4, "end")


def _across(name: str, y: float) -> str:
    return f'<line class="{name}" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>'


def _rect(name: str, x: float, y: float, wide: float, high: float) -> str:
    return f'<rect class="{name}" x="{x:.1f}" y="{y:.1f}" width="{wide:.1f}" height="{high:.1f}"/>'


def _text(text: str, x: float, y: float, anchor: str = "start", name: str = "") -> str:
    of_class = f' class="{name}"' if name else ""
    return f'<text{of_class} x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{text}</text>'


def _nice(value: float) -> float:
    """The next round number."""
    power = 10.0 ** int(log10(max(value, 1.0)))
    return next(digit * power for digit in NICE if digit * power >= value)
