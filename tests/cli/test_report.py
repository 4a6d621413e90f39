"""`hotupgrade report`, called in this process: it starts nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from harness.cli.report import command
from harness.errors import InputError
from harness.record.report import Report
from harness.report import files
from tests.report import example


def call(*arguments: str | Path) -> Result:
    return CliRunner().invoke(command, [str(one) for one in arguments], standalone_mode=False)


@pytest.fixture
def folder(tmp_path: Path) -> Any:
    def written(name: str, report: Report) -> Path:
        files.write(report, tmp_path / name)
        return tmp_path / name

    return written


def test_everything_is_drawn_anew_beside_the_record(folder: Any) -> None:
    run = folder("run", example.small())
    (run / "report.html").write_text("spoiled")
    done = call("render", run)
    assert sorted(done.output.split()) == sorted(str(run / name) for name in files.DRAWINGS)
    assert "spoiled" not in (run / "report.html").read_text()


def test_drawings_go_where_they_are_wanted(folder: Any, tmp_path: Path) -> None:
    run = folder("run", example.crashed())
    assert call("render", run / files.RECORD, "--out", tmp_path / "a" / "site").exception is None
    assert {path.name for path in (tmp_path / "a" / "site").iterdir()} == set(files.DRAWINGS)


def test_folder_that_cannot_be_written_is_named(folder: Any, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    done = call("render", folder("run", example.small()), "--out", tmp_path / "file")
    assert isinstance(done.exception, InputError)
    assert str(tmp_path / "file") in str(done.exception)


def test_badge_is_printed(folder: Any) -> None:
    run = folder("run", example.small())
    assert call("badge", run).output == (run / "badge.svg").read_text()


@pytest.mark.parametrize(
    "arguments", [("render", "nowhere"), ("badge", "nowhere"), ("diff", "nowhere", "nowhere")]
)
def test_what_is_no_report_is_an_error_of_the_input(arguments: tuple[str, ...]) -> None:
    assert isinstance(call(*arguments).exception, InputError)


def test_no_regression_is_success(folder: Any) -> None:
    run = folder("run", example.several())
    done = call("diff", run, run)
    assert done.return_value == 0
    assert done.output.splitlines()[-1].startswith("no regression: 0 of ")


def test_a_regression_is_told_and_is_no_success(folder: Any) -> None:
    worse = example.hot(1)
    example.fail(worse, 30)
    old, new = folder("old", example.report([example.hot(1)])), folder("new", example.report([worse]))
    done = call("diff", old, new)
    assert done.return_value == 1
    assert "passed" in done.output
    assert done.output.splitlines()[-1].startswith("regression: ")
    assert call("diff", new, old).return_value == 0


def test_reports_of_different_scenarios_are_not_compared(folder: Any) -> None:
    done = call("diff", folder("old", example.report([example.hot(1)])), folder("new", example.crashed()))
    assert isinstance(done.exception, InputError)
    assert done.exception.exit_code == 2
