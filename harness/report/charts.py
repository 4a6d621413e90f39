"""The time line as a figure of Plotly, in plain data: panels over one time axis. Knows nothing of HTML.

    answers/s     by version, stacked, so that a flip is a change of colour; requests sent as a line
    failures      a bar per bin, by intended send time
    latency       p50 and p99 from the intended send time
    pods          a row per pod, its phases as bands

Text and grid have no colours here: the page sets them, as it knows whether it is light or dark.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from harness.record.ledger import SLOT_S
from harness.record.report import Point, Scenario
from harness.record.upgrade import Phase, PhaseName, PodUpgrade
from harness.report import words

MAX_BINS = 1500  # about as many as there are pixels across; a report of any length stays small
VERSION_COLOURS = ("#3987e5", "#9085e9", "#2a9d9d", "#b5793a", "#7d9b3c", "#c06c9a")
SENT_COLOUR = "#8a8984"
FAILED_COLOUR = "#e34948"
P50_COLOUR, P99_COLOUR = "#3987e5", "#d9730d"
PHASE_COLOURS: dict[PhaseName, str] = {
    "upgrade": "#eda100",
    "back-off": "#8a8a8a",
    "migration": "#d55181",
    "reset": "#1baf7a",
}
LATENCY_TICKS_MS = [digit * 10.0**power for power in range(-2, 6) for digit in (1, 3)]
SHADE = "rgba(138,137,132,0.16)"
PANEL_PX, BAND_PX, GAP_PX, MARGIN_PX, LEGEND_PX = 130, 28, 34, 76, 36


@dataclass(frozen=True)
class Bin:
    """Neighbouring points in one: counts are summed, percentiles are the worst of theirs."""

    at: float
    sent: int
    failed: int
    versions: dict[str, int]
    p50: float | None
    p99: float | None


def bin_seconds(points: Sequence[Point]) -> float:
    """How much time a bin of these points covers."""
    return round(SLOT_S * _per_bin(points), 3)


def bins(points: Sequence[Point]) -> Iterator[Bin]:
    """At most MAX_BINS bins."""
    size = _per_bin(points)
    for start in range(0, len(points), size):
        part = points[start : start + size]
        versions = {version for point in part for version in point.versions}
        yield Bin(
            at=part[0].at,
            sent=sum(point.sent for point in part),
            failed=sum(point.failed for point in part),
            versions={version: sum(point.versions.get(version, 0) for point in part) for version in versions},
            p50=max((point.p50 for point in part if point.p50 is not None), default=None),
            p99=max((point.p99 for point in part if point.p99 is not None), default=None),
        )


def short(names: Sequence[str]) -> list[str]:
    """Names without the words that they all begin with: a pod's name may be as wide as a telephone's screen."""
    words_of = [name.split("-") for name in names]
    shared = min((len(of_name) - 1 for of_name in words_of), default=0)
    while len({tuple(of_name[:shared]) for of_name in words_of}) > 1:
        shared -= 1
    return ["-".join(of_name[shared:]) for of_name in words_of]


def timeline(scenario: Scenario) -> dict[str, Any] | None:
    """The figure of a scenario; None if there is nothing to draw."""
    pods = sorted({pod.name for upgrade in scenario.upgrades for pod in upgrade.pods})
    if not scenario.timeline and not pods:
        return None
    traces = (
        [*_traffic(scenario.timeline), *_bands(scenario)] if scenario.timeline else list(_bands(scenario))
    )
    return {"data": traces, "layout": _layout(scenario, pods)}


def _per_bin(points: Sequence[Point]) -> int:
    return max(1, -(-len(points) // MAX_BINS))


def _ms(at: float) -> float:
    return round(at * 1000, 1)


def _traffic(points: Sequence[Point]) -> Iterator[dict[str, Any]]:
    binned, width_s = list(bins(points)), bin_seconds(points)
    x = [_ms(one.at) for one in binned]
    step = {"type": "scatter", "mode": "lines", "x": x}
    versions = sorted({version for one in binned for version in one.versions})
    for index, version in enumerate(versions):
        colour = VERSION_COLOURS[index % len(VERSION_COLOURS)]
        yield {
            **step,
            "name": f"answered by {version}",
            "y": [round(one.versions.get(version, 0) / width_s, 1) for one in binned],
            "yaxis": "y",
            "stackgroup": "versions",
            "line": {"width": 0, "shape": "hv", "color": colour},
            "fillcolor": colour,
            "hovertemplate": "%{y:,.0f}/s",
        }
    yield {
        **step,
        "name": "sent",
        "y": [round(one.sent / width_s, 1) for one in binned],
        "yaxis": "y",
        "line": {"width": 1, "shape": "hv", "color": SENT_COLOUR},
        "hovertemplate": "%{y:,.0f}/s",
    }
    yield {
        "type": "bar",
        "name": "failed",
        "x": x,
        "y": [one.failed or None for one in binned],
        "yaxis": "y2",
        "width": width_s * 1000,
        "offset": 0,
        "marker": {"color": FAILED_COLOUR, "line": {"width": 1, "color": FAILED_COLOUR}},
        "hovertemplate": "%{y:,}",
    }
    for name, colour, values in (
        ("p50", P50_COLOUR, [one.p50 for one in binned]),
        ("p99", P99_COLOUR, [one.p99 for one in binned]),
    ):
        yield {
            **step,
            "name": name,
            "y": values,
            "yaxis": "y3",
            "line": {"width": 1.5, "color": colour},
            "hovertemplate": "%{y:,.2f} ms",
        }


def _bands(scenario: Scenario) -> Iterator[dict[str, Any]]:
    """One trace per phase; a phase that was not seen to end is drawn up to the end of what was seen."""
    seen = [
        (upgrade.index, pod, phase)
        for upgrade in scenario.upgrades
        for pod in upgrade.pods
        for phase in pod.phases
    ]
    last = max((phase.end or phase.start for _, _, phase in seen), default=0.0)
    for name, colour in PHASE_COLOURS.items():
        phases = [(index, pod, phase) for index, pod, phase in seen if phase.name == name]
        if phases:
            yield {
                "type": "bar",
                "orientation": "h",
                "name": name,
                "y": [pod.name for _, pod, _ in phases],
                "base": [_ms(phase.start) for _, _, phase in phases],
                "x": [_ms((phase.end or last) - phase.start) for _, _, phase in phases],
                "yaxis": "y4",
                "width": 0.6,
                "marker": {"color": colour, "line": {"width": 1, "color": colour}},
                "customdata": [_band_text(index, pod, phase) for index, pod, phase in phases],
                "hovertemplate": "%{customdata}<extra></extra>",
            }


def _band_text(index: int, pod: PodUpgrade, phase: Phase) -> str:
    return (
        f"{pod.name}, upgrade {index}: {phase.name}, {words.duration(phase)} "
        f"(from {words.clock(phase.start)}, "
        f"seen by {phase.witness} to {phase.precision_ms:g} ms)"
    )


def _layout(scenario: Scenario, pods: Sequence[str]) -> dict[str, Any]:
    """Panels from top to bottom: y, y2, y3 for the traffic, y4 for the pods; without traffic only y4."""
    per_bin = f"failed requests per {bin_seconds(scenario.timeline):g} s"
    failures = max((one.failed for one in bins(scenario.timeline)), default=0)
    step = max(1, failures // 2)
    panels: list[tuple[str, str, int, dict[str, Any]]] = []
    if scenario.timeline:
        panels = [
            ("yaxis", "requests per second", PANEL_PX, {"rangemode": "tozero"}),
            ("yaxis2", per_bin, PANEL_PX // 2, {"range": [0, max(1, failures) * 1.1], "dtick": step}),
            (
                "yaxis3",
                "latency without streams, ms",
                PANEL_PX,
                {"type": "log", "tickvals": LATENCY_TICKS_MS},
            ),
        ]
    rows = {
        "type": "category",
        "categoryarray": list(pods)[::-1],
        "tickvals": list(pods),
        "ticktext": short(pods),
        "showgrid": False,
        "automargin": True,
    }
    panels.append(("yaxis4", "phases of each pod", BAND_PX * max(1, len(pods)), rows))
    height = sum(GAP_PX + size for _, _, size, _ in panels)
    axes: dict[str, Any] = {}
    captions = []
    top = height
    for name, caption, size, axis in panels:
        top -= GAP_PX + size
        domain = [top / height, (top + size) / height]
        axes[name] = {"domain": domain, "fixedrange": True, "nticks": 4, **axis}
        captions.append(_caption(caption, domain[1]))
    return {
        **axes,
        "xaxis": {
            "type": "date",
            "anchor": "y4",
            "tickformat": "%H:%M:%S",
            "hoverformat": "%H:%M:%S.%L UTC",
        },
        "annotations": captions,
        "shapes": [
            _shade(upgrade.patched, upgrade.settled) for upgrade in scenario.upgrades if upgrade.settled
        ],
        "barmode": "overlay",
        "hovermode": "x unified",
        "hoversubplots": "axis",
        "dragmode": "zoom",
        "height": height + MARGIN_PX,
        "margin": {"l": 48, "r": 12, "t": 8, "b": MARGIN_PX},
        "legend": {
            "orientation": "h",
            "x": 0,
            "y": -LEGEND_PX / height,
            "yanchor": "top",
            "traceorder": "normal",
        },
    }


def _caption(text: str, y: float) -> dict[str, Any]:
    """The name of a panel, above its left edge."""
    place = {"xref": "paper", "yref": "paper", "x": 0, "y": y, "xanchor": "left", "yanchor": "bottom"}
    return {"text": text, **place, "showarrow": False}


def _shade(start: float, end: float) -> dict[str, Any]:
    """An upgrade, from its patch until it was settled, behind all panels."""
    return {
        "type": "rect",
        "xref": "x",
        "yref": "paper",
        "x0": _ms(start),
        "x1": _ms(end),
        "y0": 0,
        "y1": 1,
        "layer": "below",
        "line": {"width": 0},
        "fillcolor": SHADE,
    }
