"""Which upgrades a run makes, and on which pods."""

from __future__ import annotations

from harness.manifest import Subject
from harness.upgrade.plan import Step, laps, plan


def test_upgrades_alternate_from_the_manifests_image(hot: Subject) -> None:
    v1, v2 = hot.images
    assert plan(hot, 3) == [Step(1, v1, v2), Step(2, v2, v1), Step(3, v1, v2)]


def test_each_upgrade_may_have_a_name_of_its_own_for_its_image(hot: Subject) -> None:
    v1, v2 = hot.images
    steps = plan(hot, 2, alias=lambda ref, index: f"{ref}+{index}")
    assert steps == [Step(1, v1, f"{v2}+1"), Step(2, f"{v2}+1", f"{v1}+2")]


def test_a_lap_has_at_most_as_many_upgrades_as_a_pod_bears(hot: Subject) -> None:
    steps = plan(hot, 5)
    assert laps(steps, 2) == [steps[:2], steps[2:4], steps[4:]]
    assert laps(steps, None) == [steps]
