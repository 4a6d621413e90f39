from xml.etree import ElementTree

import pytest

from harness.record.report import Outcome
from harness.report import badge
from tests.report import example

SVG = "{http://www.w3.org/2000/svg}"


@pytest.mark.parametrize(
    ("outcome", "said", "colour"),
    [
        ("passed", "conformant core + extended", badge.COLOURS["passed"]),
        ("failed", "failed", badge.COLOURS["failed"]),
        ("inconclusive", "inconclusive", badge.UNDECIDED),
        ("interrupted", "interrupted", badge.UNDECIDED),
    ],
)
def test_badge_says_the_verdict_in_words_and_in_colour(outcome: Outcome, said: str, colour: str) -> None:
    root = ElementTree.fromstring(badge.svg(example.report([example.hot()], outcome)))
    assert [text.text for text in root.iter(f"{SVG}text")] == ["hot upgrade", said]
    assert [rect.get("fill") for rect in root.iter(f"{SVG}rect")] == [colour]
    assert root.get("aria-label") == f"hot upgrade: {said}"


def test_run_that_passed_without_all_of_core_is_not_green() -> None:
    made = example.report([example.hot()])
    made.profile.core.result = "inconclusive"
    text = badge.svg(made)
    assert ">inconclusive</text>" in text
    assert badge.COLOURS["passed"] not in text


def test_title_holds_the_claim_as_text_only() -> None:
    made = example.crashed()
    root = ElementTree.fromstring(badge.draw('a"<b', "c&d", "#000", "<e>"))
    assert root.get("aria-label") == 'a"<b: c&d'
    assert "No request was sent" in badge.svg(made)
