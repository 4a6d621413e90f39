import pytest

from harness.report import words
from tests.report import example


def test_claim_is_one_sentence() -> None:
    made = example.report([example.hot()])
    made.claim.requests, made.claim.upper_bound_95 = 24_318, 1.2318e-4
    assert words.claim(made) == (
        "0 of 24,318 requests failed over 5 hot upgrades of 2 pods; "
        "failure rate below 1.3e-4 at 95 % confidence."
    )


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
