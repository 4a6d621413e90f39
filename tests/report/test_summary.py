from harness.report import summary
from tests.report import example
from tests.verdict import synthetic

JOB_PAGE_BYTES = 1024 * 1024


def test_summary_of_a_huge_run_fits_a_job_page_and_says_what_was_cut() -> None:
    scenario = example.cold()
    failure = scenario.failures[0].model_copy(update={"detail": "no answer " * 1000})
    scenario.failures = [failure] * 20_000
    pods = [f"app-{number}" for number in range(50)]
    scenario.upgrades = [synthetic.upgrade(1 + n, synthetic.START + 200 * n, pods=pods) for n in range(60)]
    text = summary.markdown(example.report([scenario]))
    assert len(text.encode()) < JOB_PAGE_BYTES / 4
    assert "50 of 20,000 failures are shown; all are in report.json." in text
    assert "400 of 9,000 phases are shown; all are in report.json." in text


def test_text_from_outside_cannot_break_a_table() -> None:
    scenario = example.cold()
    scenario.failures[0].detail = "a | b\n# <script>alert(1)</script> [x](y)"
    scenario.failures = scenario.failures[:1]
    text = summary.markdown(example.report([scenario]))
    assert r"a \| b # \<script>alert(1)\</script> \[x](y) |" in text


def test_phase_that_was_not_seen_to_end_is_not_drawn() -> None:
    scenario = example.hot(upgrades=1, per_slot=1)
    scenario.upgrades[0].pods[0].phases[2].end = None
    text = summary.markdown(example.report([scenario]))
    assert text.count("reset 1 :done") == 1


def test_command_with_a_fence_in_it_stays_in_its_block() -> None:
    made = example.small()
    made.command = ["hotupgrade", "run", "-f", "a```b"]
    assert "````sh" in summary.markdown(made)
