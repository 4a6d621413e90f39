"""What is played after a ramp, and what is made of runs that ended where they liked."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from harness.act import Act
from harness.errors import ClusterError
from harness.loadtest import trial
from harness.loadtest.plan import Plan
from harness.progress import Silent
from harness.record.loadtest import Knee
from harness.record.report import Report
from harness.run import Result
from harness.scenarios.catalogue import Turn
from harness.verdict.requirements import Requirements
from tests.loadtest.made import Went, load
from tests.report import example

PLAN = Plan(pods=1, workers=1, minutes=1.0, ramp_to=1.0)
FINE, SLOW = Went(asked=1000), Went(asked=1000, ms=900.0)
KNEE = Knee(factor=PLAN.factors[1], rate=1000.0, p99_ms=4.0, limit="sidecar", at_least=False, why="p99")


def ramp_act(*went: Went, **fields: Any) -> Act:
    requirements = Requirements(0, 0, 1, ("keep-alive",), None)
    return Act(Turn(PLAN.ramp), requirements, "sidecar:v1", loads=[load(went)] if went else [], **fields)


def result(*acts: Act) -> Result:
    scenarios = [example.scenario(act.turn.scenario.name, 0) for act in acts]
    report: Report = example.report(scenarios)
    return Result(report, Path("nowhere"), None, acts)


def after(act: Act) -> Turn | None:
    return trial.soak_after(PLAN, Silent(), act)


def test_a_soak_at_seventy_per_cent_of_the_knee_follows_a_ramp_that_has_one() -> None:
    act = ramp_act(FINE, FINE, SLOW)
    turn = after(act)
    assert turn is not None
    assert turn.scenario.shape == f"constant:{PLAN.soak_factor(KNEE):g}"
    assert [(check.name, check.outcome) for check in act.checks] == [("knee", "passed")]


def test_without_a_knee_nothing_follows_and_the_run_is_inconclusive() -> None:
    act = ramp_act(SLOW, SLOW)
    assert after(act) is None
    assert [(check.name, check.outcome) for check in act.checks] == [("knee", "inconclusive")]
    assert act.verdict().outcome == "inconclusive"


@pytest.mark.parametrize("trouble", [{"error": ClusterError("gone")}, {"problems": ["a worker was lost"]}])
def test_a_ramp_that_went_wrong_is_followed_by_nothing(trouble: dict[str, Any]) -> None:
    act = ramp_act(FINE, FINE, **trouble)
    assert after(act) is None
    assert act.checks == []


def test_the_record_has_what_was_seen_wherever_the_run_ended() -> None:
    ramp = ramp_act(FINE, FINE, SLOW)
    turn = after(ramp)
    assert turn is not None
    soak = Act(turn, Requirements(0, 10, 1, ("keep-alive",), None), "sidecar:v1")
    nothing, first, both = (trial.record(PLAN, result(*acts)) for acts in ((), (ramp,), (ramp, soak)))
    assert (nothing.ramp, nothing.knee, nothing.soak) == ([], None, None)
    assert [len(test.ramp) for test in (first, both)] == [3, 3]
    assert first.knee == both.knee
    assert first.soak is None
    assert both.soak is not None
    assert both.soak.factor == PLAN.soak_factor(KNEE)
