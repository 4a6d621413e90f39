"""A scenario in words, for people. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields

from harness.scenarios.scenario import Scenario
from harness.scenarios.steps import Step


def lines(scenario: Scenario) -> Iterator[str]:
    """All that there is to know of it, a line each."""
    yield f"{scenario.name} ({scenario.profile})"
    yield scenario.description
    yield ""
    yield f"pods     {scenario.pods}"
    yield f"traffic  {', '.join(scenario.classes)}"
    for name, (count, seconds) in scenario.clients.items():
        yield f"         {name}: {count:,} clients, each every {seconds:g} s"
    if scenario.shape != "constant":
        yield f"shape    {scenario.shape}"
    if scenario.needs:
        yield f"needs    {', '.join(scenario.needs)}"
    yield "steps"
    for number, step in enumerate(scenario.steps, 1):
        yield f"  {number}. {_step(step)}"
    allowed = scenario.allowed
    if allowed is None:
        yield "may be lost: nothing"
    else:
        kinds = ", ".join(sorted(allowed.kinds))
        yield f"may be lost: {allowed.why} ({kinds}; within {allowed.within_s:g} s)"
    yield "time-outs"
    for wait in fields(scenario.waits):
        yield f"  {wait.name.removesuffix('_s'):<8} {getattr(scenario.waits, wait.name):g} s"


def _step(step: Step) -> str:
    """`Begin: to next, expect halted`: the kind, and every field that says something."""
    said = [f"{field.name} {_value(getattr(step, field.name))}" for field in fields(step)]
    told = [text for text in said if not text.endswith((" ", " None"))]
    return f"{type(step).__name__}{': ' if told else ''}{', '.join(told)}"


def _value(value: object) -> str:
    text = " ".join(value) if isinstance(value, tuple) else str(value)
    flat = " ".join(text.split())
    return flat if len(flat) < 60 else f"{flat[:59]}…"
