"""Every mutant is somebody's to catch, and what has to catch it exists."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.scenarios.catalogue import SCENARIOS
from harness.scenarios.controls import CONTROLS, Control
from harness.verdict.gates import GATES
from loadtests.classes import CLASSES

MUTANTS = Path(__file__).parents[2] / "images" / "mutants" / "mutant"
CHECKS = {"descriptors"}  # of steps


def test_every_mutant_is_a_control_or_a_release_of_a_scenario() -> None:
    played = {image for scenario in SCENARIOS.values() for image in scenario.images}
    known = {control.image for control in CONTROLS} | played
    there = {f"mutant:{folder.name}" for folder in MUTANTS.iterdir() if folder.name != "base"}
    assert there == known


@pytest.mark.parametrize("control", CONTROLS, ids=lambda control: control.mutant)
def test_what_catches_it_is_a_class_that_it_plays_or_a_gate(control: Control) -> None:
    gates = {name for name, _ in GATES} | CHECKS
    for name in control.caught_by:
        assert name in control.classes or name in gates
    assert set(control.classes) <= set(CLASSES)


def test_the_short_form_has_some_of_each_kind() -> None:
    short = [control for control in CONTROLS if control.short]
    assert 3 <= len(short) < len(CONTROLS)
