"""The catalogue holds together: names, images, classes, and what is allowed to be lost."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from harness.errors import InputError
from harness.scenarios.catalogue import SCENARIOS, named, of_profile, programme
from harness.scenarios.scenario import Scenario
from harness.scenarios.words import lines
from loadtests.classes import CLASSES

IMAGES = Path(__file__).parents[2] / "images" / "mutants"
EACH = pytest.mark.parametrize("scenario", SCENARIOS.values(), ids=lambda scenario: scenario.name)


@EACH
def test_its_name_is_short_and_its_description_a_sentence(scenario: Scenario) -> None:
    assert re.fullmatch(r"[a-z][a-z-]{2,24}", scenario.name)
    assert scenario.description[0].isupper()
    assert scenario.description.endswith(".")


@EACH
def test_its_traffic_classes_exist(scenario: Scenario) -> None:
    assert set(scenario.classes) <= set(CLASSES)
    assert set(scenario.clients) <= set(scenario.classes)


@EACH
def test_the_images_that_it_names_exist_and_need_the_reference(scenario: Scenario) -> None:
    for image in scenario.images:
        repository, _, tag = image.partition(":")
        assert (IMAGES / repository / tag / "Dockerfile").is_file(), image
        assert "reference" in scenario.needs


@EACH
def test_only_faults_may_lose_something(scenario: Scenario) -> None:
    assert scenario.allowed is None or scenario.profile == "resilience"


@EACH
def test_it_can_be_shown(scenario: Scenario) -> None:
    said = list(lines(scenario))
    assert scenario.name in said[0]
    assert any(line.startswith("  1. ") for line in said)


def test_a_misspelt_name_is_answered_with_near_ones() -> None:
    with pytest.raises(
        InputError, match="--scenario rollback: there is none of that name; do you mean roll-back"
    ):
        named("rollback")


def test_a_name_like_no_other_is_answered_with_where_they_are_listed() -> None:
    with pytest.raises(InputError, match="hotupgrade scenarios list shows them all"):
        named("qqqqqq")


def test_all_is_every_profile() -> None:
    parts = [of_profile("core"), of_profile("extended"), of_profile("resilience")]
    assert of_profile("all") == [scenario for part in parts for scenario in part]
    assert all(parts)


def test_repetitions_come_one_after_the_other_and_are_counted() -> None:
    one, other = of_profile("core")[:2]
    turns = programme([one, other], 2, None)
    assert [(turn.scenario.name, turn.repetition) for turn in turns] == [
        (one.name, 1),
        (other.name, 1),
        (one.name, 2),
        (other.name, 2),
    ]


def test_the_same_seed_gives_the_same_order() -> None:
    core = of_profile("core")
    assert programme(core, 2, 7) == programme(core, 2, 7)
    assert programme(core, 2, 7) != programme(core, 2, 8)
    assert sorted(turn.scenario.name for turn in programme(core, 1, 7)) == sorted(one.name for one in core)
