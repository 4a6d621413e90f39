from __future__ import annotations

from benchmarks.handover.results import Row, all_held, counted, markdown


def test_everything_has_to_hold() -> None:
    held = Row("a", "requests failed", "0", "0", True)
    assert all_held([held, Row("a", "for information", "7")])
    assert not all_held([held, Row("b", "requests failed", "1", "0", False)])


def test_a_table_that_bounds_nothing_proves_nothing() -> None:
    assert not all_held([])
    assert not all_held([Row("a", "for information", "7")])


def test_a_count_names_its_kinds_and_holds_at_its_bound() -> None:
    assert counted("a", "closed", {"told": 0}) == Row("a", "closed", "0", "0", True)
    row = counted("a", "closed", {"told": 2, "broken": 1, "forced": 0})
    assert (row.seen, row.held) == ("3 (broken 1, told 2)", False)
    assert counted("a", "lost", {"": 16}, 16) == Row("a", "lost", "16", "<= 16", True)
    assert not counted("a", "lost", {"": 17}, 16).held


def test_the_file_has_a_table_for_each_part_and_its_conditions() -> None:
    rows = [Row("one", "x|y", "1", "0", False), Row("two", "z", "2")]
    text = markdown(rows, ["on this machine"])
    assert "- on this machine\n" in text
    assert (
        "## one\n\n| measured | seen | bound | |\n|---|---|---|---|\n| x\\|y | 1 | 0 | NOT HELD |\n" in text
    )
    assert "| z | 2 |  |  |\n" in text
