"""What a user sees while a run goes on, and at its end."""

from __future__ import annotations

import io
from pathlib import Path

from rich.console import Console

from harness.cli.display import Animated, Plain, display
from harness.cli.summary import print_summary
from tests.report.example import small


def test_plain_lines_tell_phases_and_every_new_failure() -> None:
    stream = io.StringIO()
    with Plain(stream) as plain:
        plain.traffic(10, 0)
        plain.traffic(11, 0)
        plain.traffic(12, 1)
        plain.phase(1, "pod-a", "migration", 0.0)
    lines = [line.split("s  ", 1)[1] for line in stream.getvalue().splitlines()]
    assert lines == [
        "requests  10 sent, 0 failed",
        "requests  12 sent, 1 failed",
        "upgrade 1  pod-a  migration",
    ]


def test_plain_lines_end_quietly_when_nobody_reads_any_more() -> None:
    stream = io.StringIO()
    plain = Plain(stream)
    stream.close()
    plain.note("nobody reads this")


def test_a_terminal_gets_the_animated_table_with_pods_and_phases() -> None:
    stream = io.StringIO()
    console = Console(file=stream, force_terminal=True, width=100)
    shown = display(console)
    assert isinstance(shown, Animated)
    with shown:
        shown.pods(["pod-a"])
        shown.phase(1, "pod-a", "migration", 0.0)
        shown.traffic(7, 0)
    text = stream.getvalue()
    assert "pod-a" in text
    assert "migration" in text
    assert "7 sent" in text


def test_a_pipe_gets_plain_lines() -> None:
    assert isinstance(display(Console(file=io.StringIO())), Plain)


def test_the_summary_names_outcome_classes_and_the_report(tmp_path: Path) -> None:
    stream = io.StringIO()
    print_summary(Console(file=stream, width=100), small(), tmp_path)
    text = stream.getvalue()
    assert str(tmp_path / "report.html") in text
    for scenario in small().scenarios:
        for name in scenario.classes:
            assert name in text
    assert small().outcome in text
