"""A scenario that goes to the limit: that the load generator fell behind is what it was to find out."""

from dataclasses import replace

import pytest

from harness.record.report import Outcome
from harness.verdict.judge import judge
from tests.verdict import synthetic

GATE = "load generator kept up"


@pytest.mark.parametrize(("to_the_limit", "gate"), [(False, "inconclusive"), (True, "skipped")])
def test_a_saturated_generator_makes_a_run_inconclusive_but_not_one_to_the_limit(
    to_the_limit: bool, gate: Outcome
) -> None:
    run = synthetic.run()
    run.load.saturation.late_fraction = 0.5
    requirements = replace(run.requirements, min_requests=1000, to_the_limit=to_the_limit)
    scenario = judge("ramp", run.upgrades, [run.load], run.apps, requirements)
    assert {one.name: one.outcome for one in scenario.gates}[GATE] == gate
    assert scenario.outcome == ("passed" if to_the_limit else "inconclusive")
