from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from benchmarks.handover import __main__ as command
from benchmarks.handover import loads
from benchmarks.handover.children import NotSeen
from benchmarks.handover.results import Row
from benchmarks.handover.scene import Tell


def test_a_program_that_is_missing_is_named_with_its_package_before_anything_starts(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    result = CliRunner().invoke(command.main, [])
    assert result.exit_code == 2
    assert result.stderr == (
        "bench-handover: not installed: wrk (Debian package wrk), h2load (Debian package nghttp2-client); "
        "apt-get install them\n"
    )


@pytest.mark.parametrize(("held", "code"), [(True, 0), (False, 1)])
def test_the_exit_code_says_whether_everything_held(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, held: bool, code: int
) -> None:
    async def measure(handovers: int, connections: int, tell: Tell) -> list[Row]:
        return [Row("Idle", "closed", "7", "0", held)]

    monkeypatch.setattr(command, "PARTS", {"idle": measure})
    monkeypatch.setattr(loads, "missing", list)
    path = tmp_path / "results.md"
    result = CliRunner().invoke(command.main, ["--results", str(path)])
    assert result.exit_code == code
    assert "| closed | 7 | 0 |" in path.read_text()


def test_a_part_that_does_not_come_to_its_end_has_not_held(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    async def measure(handovers: int, connections: int, tell: Tell) -> list[Row]:
        raise NotSeen("sidecar 2 did not say 'accepting'")

    monkeypatch.setattr(command, "PARTS", {"idle": measure})
    monkeypatch.setattr(loads, "missing", list)
    result = CliRunner().invoke(command.main, ["--results", str(tmp_path / "results.md")])
    assert result.exit_code == 1
    assert "sidecar 2 did not say" in result.stdout
