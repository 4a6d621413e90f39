import pytest

from harness.record.report import ClassResult, Outcome, ProfileName, Scenario
from harness.verdict.conformance import profile


def scenario(
    name: str, outcome: Outcome, of: ProfileName = "core", repetition: int = 1, **classes: Outcome
) -> Scenario:
    results = {kind.replace("_", "-"): ClassResult(outcome=outcome) for kind, outcome in classes.items()}
    return Scenario(name=name, outcome=outcome, profile=of, repetition=repetition, classes=results)


def test_a_core_scenario_counts_its_features_as_extended() -> None:
    made = profile([scenario("s", "failed", post="passed", stream="passed", h2="failed", websocket="passed")])
    assert (made.core.result, made.core.statistics["passed"]) == ("passed", 2)
    assert made.extended is not None
    assert (made.extended.result, made.extended.failed) == ("failed", ["s/h2"])
    assert made.resilience is None


@pytest.mark.parametrize("of", ["extended", "resilience"])
def test_another_scenario_counts_all_its_classes_as_its_own(of: ProfileName) -> None:
    made = profile([scenario("s", "passed", of, post="passed", h2="passed")])
    part = made.extended if of == "extended" else made.resilience
    assert part is not None
    assert part.statistics == {"passed": 2, "failed": 0, "skipped": 0}
    assert made.core.result == "skipped"


def test_what_was_not_decided_counts_as_skipped() -> None:
    core = profile([scenario("s", "failed", post="failed", stream="inconclusive", keep_alive="passed")]).core
    assert core.result == "failed"
    assert core.statistics == {"passed": 1, "failed": 1, "skipped": 1}
    assert (core.failed, core.skipped) == (["s/post"], ["s/stream"])


def test_a_skipped_core_case_is_not_conformant() -> None:
    skipped = scenario("t", "skipped")
    assert profile([scenario("s", "passed", post="passed"), skipped]).core.result == "inconclusive"
    assert profile([skipped]).core.result == "inconclusive"


def test_a_skipped_feature_is_listed_and_does_no_harm() -> None:
    made = profile([scenario("s", "passed", post="passed", h2="skipped", websocket="passed")])
    assert made.core.result == "passed"
    assert made.extended is not None
    assert (made.extended.result, made.extended.skipped) == ("passed", ["s/h2"])


def test_a_scenario_that_no_class_explains_is_a_case_itself() -> None:
    made = profile([scenario("s", "failed", post="passed", h2="passed"), scenario("t", "interrupted")])
    assert (made.core.failed, made.core.skipped) == (["s"], ["t"])
    assert made.core.result == "interrupted"
    assert made.extended is not None
    assert made.extended.result == "passed"


def test_each_repetition_has_its_own_cases() -> None:
    again = [scenario("s", "passed", repetition=number, post="passed") for number in (1, 2)]
    failed = scenario("s", "failed", repetition=3, post="failed")
    core = profile([*again, failed]).core
    assert (core.statistics["passed"], core.failed) == (2, ["s#3/post"])


def test_features_are_named_as_they_were_seen() -> None:
    made = profile([], supported=["h2"], unsupported={"websocket": "refused: status 426"})
    assert (made.supported, made.unsupported) == (["h2"], {"websocket": "refused: status 426"})
