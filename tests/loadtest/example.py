"""A load test that never took place, and the report of its run."""

from __future__ import annotations

from harness.loadtest import ramp
from harness.loadtest.soak import soak
from harness.record.loadtest import Limits, LoadTest
from harness.record.report import Report
from tests.loadtest.made import Went, load
from tests.loadtest.test_soak import ledger, upgrades
from tests.report import example

LIMITS = Limits()
WENT = (
    Went(asked=600),
    Went(asked=720, ms=5.0),
    Went(asked=860, ms=9.0),
    Went(asked=1030, reached=900, ms=400.0, busy=0.7),
    Went(asked=1240, reached=900, ended=400, busy=0.8),
)


def report() -> Report:
    """Of a ramp and a soak."""
    made = [example.scenario("ramp", 0), example.scenario("soak", 3, pods=["application-2-a"])]
    return example.report(made)


def test() -> LoadTest:
    """With a knee that is the sidecar's."""
    of_run, made = report(), upgrades()
    steps = ramp.steps([load(WENT)], [0.5, 0.6, 0.72, 0.86, 1.03], LIMITS)
    played = soak(of_run.scenarios[1], made, [ledger(made)], [], 0.504, 1)
    return LoadTest(
        outcome=of_run.outcome,
        started=of_run.started,
        finished=of_run.finished,
        command=["hotupgrade", "load-test", "-f", "side car.yaml"],
        version=of_run.version,
        cluster=of_run.cluster,
        implementation=of_run.implementation,
        environment=of_run.environment,
        pods=1,
        workers=2,
        limits=LIMITS,
        ramp=steps,
        knee=ramp.knee(steps, LIMITS),
        soak=played,
    )


def interrupted() -> LoadTest:
    """In the ramp's first step."""
    return test().model_copy(
        update={
            "outcome": "interrupted",
            "reason": "ended by a signal",
            "ramp": [],
            "knee": None,
            "soak": None,
        }
    )
