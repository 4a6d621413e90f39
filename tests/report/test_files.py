import json
from pathlib import Path

import pytest

from harness.errors import InputError
from harness.record.report import Report
from harness.report import files
from tests.report import example

NAMES = ["badge.svg", "junit.xml", "report.html", "report.json", "summary.md"]


def test_all_files_are_written_and_nothing_else_is_left(tmp_path: Path) -> None:
    record = files.write(example.small(), tmp_path / "reports" / "run-1")
    assert record == tmp_path / "reports" / "run-1" / "report.json"
    assert sorted(path.name for path in record.parent.iterdir()) == NAMES
    assert sorted(path.name for path in (tmp_path / "reports").iterdir()) == ["latest", "run-1"]


def test_latest_points_at_the_newest(tmp_path: Path) -> None:
    files.write(example.small(), tmp_path / "run-1")
    files.write(example.interrupted(), tmp_path / "run-2")
    assert (tmp_path / "latest").readlink() == Path("run-2")
    assert files.read(tmp_path / "latest").outcome == "interrupted"


def test_drawings_are_made_anew_and_the_record_stays(tmp_path: Path) -> None:
    record = files.write(example.small(), tmp_path / "run")
    before = record.read_bytes()
    for name in files.DRAWINGS:
        (record.parent / name).unlink()
    drawn = files.draw(files.read(record), record.parent)
    assert sorted(path.name for path in drawn) == [name for name in NAMES if name != files.RECORD]
    assert record.read_bytes() == before


def test_folder_named_latest_is_not_touched(tmp_path: Path) -> None:
    (tmp_path / "latest").mkdir()
    with pytest.raises(InputError, match="latest: cannot be pointed at run-1; remove what is there"):
        files.write(example.small(), tmp_path / "run-1")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["latest", "run-1"]


@pytest.mark.parametrize("report", [example.small(), example.interrupted(), example.crashed()])
def test_what_was_written_is_read_again(tmp_path: Path, report: Report) -> None:
    read = files.read(files.write(report, tmp_path / "run"))
    assert read == report
    assert read.model_dump_json() == report.model_dump_json()


def test_times_are_rfc_3339(tmp_path: Path) -> None:
    record = files.write(example.small(), tmp_path / "run")
    assert (
        json.loads(record.read_text())["scenarios"][0]["upgrades"][0]["patched"]
        == "2026-01-02T03:04:07.000000Z"
    )


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"{", "not a report of this kit"),
        (b"[]", "not a report of this kit"),
        (b'{"schema": "hotupgrade.report/v9"}', "schema"),
        (b"\xff\xfe", "not UTF-8"),
    ],
)
def test_bad_file_is_named_with_the_reason(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "report.json"
    path.write_bytes(content)
    with pytest.raises(InputError, match=message) as caught:
        files.read(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_unknown_outcome_is_named(tmp_path: Path) -> None:
    record = files.write(example.small(), tmp_path / "run")
    record.write_text(record.read_text().replace('"outcome": "failed"', '"outcome": "nearly"', 1))
    with pytest.raises(InputError, match="outcome: Input should be 'passed'"):
        files.read(record)


def test_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"report\.json: No such file or directory"):
        files.read(tmp_path / "report.json")
