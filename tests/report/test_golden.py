import pytest

from tests.report import example


@pytest.mark.parametrize("name", sorted(example.golden()))
def test_file_is_the_golden_one(name: str) -> None:
    """After a change that is meant: `python -m tests.report.example`, and look at the difference."""
    assert example.golden()[name] == (example.GOLDEN / name).read_text(encoding="utf-8")
