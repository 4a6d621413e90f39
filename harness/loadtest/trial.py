"""One load test: played, and its record and what is drawn of it put beside the run's report.

Knows nothing of how a run works, nor of how its figures come about.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial

from harness.act import Act
from harness.cluster.protocol import Cluster
from harness.loadtest import files, ramp, words
from harness.loadtest.plan import Plan
from harness.loadtest.soak import soak
from harness.progress import Progress
from harness.record.loadtest import Limits, LoadTest
from harness.run import Result, RunOptions, execute
from harness.scenarios.catalogue import Turn

LIMITS = Limits()


def play(
    plan: Plan,
    options: RunOptions,
    cluster: Cluster,
    progress: Progress,
    before_teardown: Callable[[], None],
) -> tuple[LoadTest, Result]:
    """All of it; the plan says what is played, whatever `options` say of that. InputError and results as of any run."""
    asked = replace(
        options,
        turns=[Turn(plan.ramp)],
        workers=plan.workers,
        then=partial(soak_after, plan, progress),
    )
    result = execute(asked, cluster, progress, before_teardown)
    test = record(plan, result)
    files.write(test, result.report, result.folder)
    return test, result


def soak_after(plan: Plan, progress: Progress, act: Act) -> Turn | None:
    """The second scenario, where the first one found a knee; it says so in a check of its own."""
    if act.error is not None or act.problems:
        return None
    steps = ramp.steps(act.loads, plan.factors, LIMITS)
    knee = ramp.knee(steps, LIMITS)
    said = words.knee(steps, knee)
    act.check("knee", words.limits(LIMITS), said, "passed" if knee else "inconclusive")
    progress.note(said)
    return Turn(plan.soak(knee)) if knee else None


def record(plan: Plan, result: Result) -> LoadTest:
    """Made of what was seen, complete or not; all else is as the run's report has it, which has no secrets."""
    report = result.report
    played = dict(zip(("ramp", "soak"), zip(result.acts, report.scenarios, strict=True), strict=False))
    steps = ramp.steps(played["ramp"][0].loads, plan.factors, LIMITS) if "ramp" in played else []
    knee = ramp.knee(steps, LIMITS)
    soaked = None
    if knee and "soak" in played:
        act, judged = played["soak"]
        factor = plan.soak_factor(knee)
        soaked = soak(judged, judged.upgrades, act.loads, act.clocks, factor, plan.workers)
    return LoadTest(
        outcome=report.outcome,
        reason=report.reason,
        started=report.started,
        finished=report.finished,
        command=report.command,
        version=report.version,
        cluster=report.cluster,
        implementation=report.implementation,
        environment=report.environment,
        pods=plan.pods,
        workers=plan.workers,
        limits=LIMITS,
        ramp=steps,
        knee=knee,
        soak=soaked,
    )
