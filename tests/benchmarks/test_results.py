"""Medians, ratios and verdicts from single runs."""

from __future__ import annotations

from benchmarks.results import Run, Runs, ratios, rows, table, verdicts

RUNS: Runs = {
    "direct": [Run(40000, 2.0, 0.0), Run(50000, 2.0, 0.0), Run(45000, 2.0, 0.0)],
    "sidecar": [Run(10000, 9.0, 1.0), Run(12000, 8.0, 1.0), Run(9000, 10.0, 0.9)],
    "Envoy": [Run(5000, 20.0, 1.0), Run(5000, 21.0, 1.0), Run(5000, 22.0, 1.0)],
    "HAProxy": [Run(20000, 5.0, 0.8), Run(16000, 5.0, 0.8), Run(10000, 5.0, 0.5)],
}


def test_a_row_has_the_medians_and_the_spread_of_its_runs() -> None:
    row = rows(RUNS)[1]
    assert row == ("sidecar", 10000, 0.3, 9.0, 1.0, 10000)


def test_a_core_that_was_half_used_could_do_twice_as_much() -> None:
    assert Run(10000, 1.0, 0.5).per_core_second == 20000


def test_ratios_are_taken_within_a_repetition() -> None:
    assert ratios(RUNS, "sidecar", "HAProxy") == [0.5, 0.75, 0.9]


def test_the_table_has_a_line_for_everyone_and_no_processor_time_for_the_application_alone() -> None:
    lines = table(RUNS).splitlines()
    assert lines[2] == "| direct | 45,000 | 22% | 2.00 | - | - | 0.24x |"
    assert lines[3] == "| sidecar | 10,000 | 30% | 9.00 | 100% | 10,000 | 1.00x |"
    assert len(lines) == 2 + len(RUNS)


def test_what_is_reached_and_what_is_missed_are_told_apart() -> None:
    assert [so for so, _ in verdicts(RUNS)] == [True, True, True]
    slow = {**RUNS, "sidecar": [Run(9000, 25.0, 1.0)] * 3}
    assert [so for so, _ in verdicts(slow)] == [False, False, False]
