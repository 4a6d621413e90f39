"""What a user sees while a run goes on, and at its end."""

from __future__ import annotations

import io
import re
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from rich.console import Console

from harness.cli.display import Animated, Plain, display
from harness.cli.interrupt import Interrupted
from harness.cli.summary import print_summary
from tests.report.example import small

COMES_S = 10.0  # what does not come is a failure, not a hang
STAYS_S = 0.05  # what comes too early comes at once
SHOW_CURSOR = "\x1b[?25h"


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


class Slow(io.StringIO):
    """A pipe whose reader makes every write wait."""

    def __init__(self) -> None:
        super().__init__()
        self.writing, self.drained = threading.Event(), threading.Event()

    def write(self, text: str) -> int:
        self.writing.set()
        assert self.drained.wait(COMES_S)
        return super().write(text)


def test_plain_output_ends_after_the_line_that_another_thread_is_writing_and_before_the_next() -> None:
    stream, ended = Slow(), threading.Event()
    plain = Plain(stream)
    teller = threading.Thread(target=plain.note, args=["begun"])
    teller.start()
    assert stream.writing.wait(COMES_S)

    def end() -> None:
        with plain:
            pass
        ended.set()

    ender = threading.Thread(target=end)
    ender.start()
    assert not ended.wait(STAYS_S)
    stream.drained.set()
    assert ended.wait(COMES_S)
    plain.note("too late")

    teller.join()
    ender.join()
    assert "begun\n" in stream.getvalue()
    assert "too late" not in stream.getvalue()


def test_a_signal_while_the_table_starts_leaves_no_thread_that_draws_and_shows_the_cursor(
    signal_in_start: Callable[[type[BaseException]], None],
) -> None:
    stream = io.StringIO()
    animated = Animated(Console(file=stream, force_terminal=True))
    before = threading.enumerate()
    signal_in_start(Interrupted)

    with pytest.raises(Interrupted), animated:
        pass

    for thread in set(threading.enumerate()) - set(before):
        thread.join(COMES_S)
    assert threading.enumerate() == before
    assert SHOW_CURSOR in stream.getvalue()


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


def test_of_a_long_run_the_table_shows_the_last_upgrades_of_the_pods_that_are_there() -> None:
    stream = io.StringIO()
    animated = Animated(Console(file=stream, force_terminal=True, width=200))
    for lap, pod in enumerate(("pod-a", "pod-b")):
        animated.pods([pod])
        for upgrade in range(1 + 40 * lap, 41 + 40 * lap):
            animated.phase(upgrade, pod, "settled", 0.0)
    with animated:
        pass
    text = stream.getvalue()
    assert set(re.findall(r"upgrade (\d+)", text)) == {"76", "77", "78", "79", "80"}
    assert "pod-a" not in text


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


def test_brackets_in_a_log_line_reach_the_terminal_as_they_are(tmp_path: Path) -> None:
    stream = io.StringIO()
    report = small().model_copy(update={"reason": "log of proxy-1: [info] [/v1] up"})
    print_summary(Console(file=stream, width=100), report, tmp_path)
    assert "[info] [/v1] up" in stream.getvalue()
