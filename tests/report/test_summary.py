import pytest

from harness.record.report import Report
from harness.report import summary
from tests.report import example

JOB_PAGE_BYTES = 1024 * 1024


def huge() -> Report:
    """One scenario with far too much of everything."""
    scenario = example.cold()
    failure = scenario.failures[0].model_copy(update={"detail": "no answer " * 1000})
    scenario.failures = [failure] * 20_000
    pods = [f"app-{number}" for number in range(50)]
    scenario.upgrades = [example.upgrade(1 + n, example.START + 200 * n, pods=pods) for n in range(60)]
    return example.report([scenario])


def test_summary_of_a_huge_run_says_what_was_cut() -> None:
    text = summary.markdown(huge())
    assert "50 of 20,000 failures are shown; all are in report.json." in text
    assert "400 of 9,000 phases are shown; all are in report.json." in text


@pytest.mark.parametrize("count", [1, 400])
def test_summary_fits_a_job_page_whatever_the_run(count: int) -> None:
    made = huge()
    scenario = made.scenarios[0]
    scenario.failures, scenario.upgrades = scenario.failures[:200], scenario.upgrades[:9]
    scenario.reason = scenario.allowance = scenario.description = "because of this and that " * 500
    scenario.classes = {f"class-{n}": scenario.classes["post"] for n in range(50)}
    made.reason = "all of it " * 100_000
    made.command = ["hotupgrade", "x" * 2_000_000]
    made.profile.core.failed = [f"case-{n}" for n in range(100_000)]
    made.scenarios = [scenario] * count
    text = summary.markdown(made)
    assert len(text.encode()) < JOB_PAGE_BYTES
    assert "## Reproduce" in text
    assert "# … cut; the whole command is in report.json" in text
    if count > 1:
        assert "did not fit here; all are in report.html." in text
        assert "200 of 400 scenarios are shown; all are in report.html." in text


def test_what_passed_is_folded_where_there_are_several_scenarios() -> None:
    text = summary.markdown(example.report([example.hot(1), example.cold()]))
    assert text.count("<details>") == text.count("</details>") == 1
    assert "## ❌ cold-upgrade" in text


def test_faults_are_on_the_time_line() -> None:
    assert "kill successor :milestone, 1767323047620, 1ms" in summary.markdown(example.small())


def test_text_from_outside_cannot_break_a_table() -> None:
    scenario = example.cold()
    scenario.failures[0].detail = "a | b\n# <script>alert(1)</script> [x](y)"
    scenario.failures = scenario.failures[:1]
    text = summary.markdown(example.report([scenario]))
    assert r"a \| b # \<script>alert(1)\</script> \[x](y) |" in text


def test_phase_that_was_not_seen_to_end_is_not_drawn() -> None:
    scenario = example.hot(upgrades=1)
    scenario.upgrades[0].pods[0].phases[2].end = None
    text = summary.markdown(example.report([scenario]))
    assert text.count("reset 1 :done") == 1


def test_command_with_a_fence_in_it_stays_in_its_block() -> None:
    made = example.small()
    made.command = ["hotupgrade", "run", "-f", "a```b"]
    assert "````sh" in summary.markdown(made)
