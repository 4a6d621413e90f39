import pytest

from harness.report import files
from tests.report import example


@pytest.mark.parametrize("name", sorted(example.golden()))
def test_file_is_the_golden_one(name: str) -> None:
    """After a change that is meant: `python -m tests.report.example`, and look at the difference."""
    assert example.golden()[name] == (example.GOLDEN / name).read_text(encoding="utf-8")


def test_golden_record_is_read_and_written_without_a_change() -> None:
    path = example.GOLDEN / files.RECORD
    assert files.read(path).model_dump_json(indent=1) + "\n" == path.read_text(encoding="utf-8")
