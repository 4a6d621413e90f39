"""The conformance part of a report, after the Gateway API's ConformanceReport. Knows nothing of evidence."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from harness.record.classes import FEATURES
from harness.record.report import Outcome, Profile, ProfileName, ProfileResult, Scenario
from harness.verdict.ranking import OUTRANKS, worst

NOT_RUN = ProfileResult(result="skipped", statistics={"passed": 0, "failed": 0, "skipped": 0})


@dataclass(frozen=True)
class Case:
    """What is counted: a class of a scenario, or a scenario whose outcome no class explains."""

    name: str
    part: ProfileName
    outcome: Outcome


def profile(
    scenarios: Sequence[Scenario],
    supported: Sequence[str] = (),
    unsupported: Mapping[str, str] | None = None,
) -> Profile:
    """Cases by part. What was skipped or not decided counts as skipped.

    A core part with a skipped case is not conformant; in the others, what an implementation lacks does no harm.
    """
    found = [case for scenario in scenarios for case in cases(scenario)]
    parts = {
        part: [case for case in found if case.part == part] for part in ("core", "extended", "resilience")
    }
    return Profile(
        name="core",
        core=_result(parts["core"], may_skip=False) or NOT_RUN,
        extended=_result(parts["extended"], may_skip=True),
        resilience=_result(parts["resilience"], may_skip=True),
        supported=list(supported),
        unsupported=dict(unsupported or {}),
    )


def cases(scenario: Scenario) -> list[Case]:
    """One for each class, and one for the scenario itself where its outcome is worse than all of theirs."""
    name = scenario.name if scenario.repetition == 1 else f"{scenario.name}#{scenario.repetition}"
    made = [
        Case(f"{name}/{of_class}", _part(scenario.profile, of_class), result.outcome)
        for of_class, result in scenario.classes.items()
    ]
    known = [case.outcome for case in made]
    if not made or OUTRANKS.index(scenario.outcome) < OUTRANKS.index(worst(known)):
        made.append(Case(name, scenario.profile, scenario.outcome))
    return made


def _part(of_scenario: ProfileName, traffic_class: str) -> ProfileName:
    return "extended" if of_scenario == "core" and traffic_class in FEATURES else of_scenario


def _result(found: Sequence[Case], *, may_skip: bool) -> ProfileResult | None:
    if not found:
        return None
    failed = [case.name for case in found if case.outcome == "failed"]
    skipped = [case.name for case in found if case.outcome not in ("failed", "passed")]
    result = worst([case.outcome for case in found])
    if result in ("passed", "skipped") and skipped and not may_skip:
        result = "inconclusive"
    return ProfileResult(
        result=result,
        statistics={
            "passed": len(found) - len(failed) - len(skipped),
            "failed": len(failed),
            "skipped": len(skipped),
        },
        skipped=skipped,
        failed=failed,
    )
