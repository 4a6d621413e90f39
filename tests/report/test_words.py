import pytest

from harness.record.report import Outcome, ProfileResult
from harness.report import words
from tests.report import example


def test_claim_is_one_sentence() -> None:
    made = example.report([example.hot()])
    made.claim.requests, made.claim.upper_bound_95 = 24_318, 1.2318e-4
    assert words.claim(made) == (
        "0 of 24,318 requests failed over 5 hot upgrades of 2 pods; "
        "failure rate below 1.3e-4 at 95 % confidence."
    )


def test_claim_over_many_scenarios_stays_one_short_sentence() -> None:
    made = example.report([example.hot(), example.hot(40), example.cold(0)])
    assert words.claim(made).startswith("0 of ")
    assert "over 45 hot upgrades and 1 cold upgrade of 2 pods in 3 scenarios;" in words.claim(made)


def test_claim_says_that_scenarios_with_an_allowance_are_left_out() -> None:
    scenario = example.scenario("crash", 1, allowance="what was in flight")
    assert words.claim(example.report([example.hot(), scenario])).endswith(
        "at 95 % confidence (1 scenario with an allowance left out)."
    )


def test_pods_of_scenarios_are_told_as_a_range() -> None:
    made = [example.scenario("one", 1, pods=["a"]), example.scenario("three", 2, pods=["a", "b", "c"])]
    assert words.over(made) == "3 hot upgrades of 1 to 3 pods in 2 scenarios"


@pytest.mark.parametrize(
    ("outcome", "core", "extended", "said"),
    [
        ("passed", "passed", None, "conformant core"),
        ("passed", "passed", "passed", "conformant core + extended"),
        ("passed", "passed", "inconclusive", "conformant core"),
        ("passed", "inconclusive", "passed", "inconclusive"),
        ("failed", "passed", "failed", "failed"),
        ("inconclusive", "passed", None, "inconclusive"),
        ("interrupted", "passed", None, "interrupted"),
    ],
)
def test_only_a_run_that_passed_with_all_of_core_is_conformant(
    outcome: Outcome, core: Outcome, extended: Outcome | None, said: str
) -> None:
    made = example.report([example.hot()], outcome)
    made.profile.core.result = core
    made.profile.extended = extended and ProfileResult(result=extended, statistics={})
    assert words.conformance(made) == said


def test_cold_upgrade_is_called_cold() -> None:
    assert words.upgrades(example.cold()) == "1 cold upgrade of 2 pods"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (1.2318e-4, "1.3e-4"),
        (3e-7, "3.0e-7"),
        (9.91e-5, "1.0e-4"),
        (0.00299, "0.3 %"),
        (0.0123, "1.3 %"),
        (0.153, "16 %"),
        (1.0, "100 %"),
    ],
)
def test_rate_is_never_rounded_towards_success(value: float, text: str) -> None:
    assert words.rate(value) == text


@pytest.mark.parametrize(("value", "text"), [(0.4213, "0.42 ms"), (3.14, "3.1 ms"), (1204.2, "1,204 ms")])
def test_milliseconds_keep_two_digits_at_least(value: float, text: str) -> None:
    assert words.milliseconds(value) == text


def test_command_can_be_pasted_into_a_shell() -> None:
    assert "'e2e/manifests/hotupgrade sidecarset.yaml'" in words.command(example.small())
