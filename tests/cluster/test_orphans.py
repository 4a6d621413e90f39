"""kind clusters and folders of killed runs."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Sequence
from pathlib import Path

import pytest

from harness.cluster.orphans import claim, folder_of, orphans


@pytest.fixture(autouse=True)
def temporary(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def test_the_cluster_that_a_killed_run_made_for_itself_goes_with_its_folder(temporary: Path) -> None:
    commands: list[Sequence[str]] = []

    def execute(command: Sequence[str]) -> str:
        commands.append(command)
        return ""

    claim(folder_of("1"), "lab")
    claim(folder_of("2"), None)
    found = orphans(alive=lambda owner: False)
    assert [one.remove(execute) for one in found] == ["kind cluster lab", f"folder {folder_of('2')}"]
    assert commands == [["kind", "delete", "cluster", "--name", "lab"]]
    assert list(temporary.iterdir()) == []


def test_a_run_that_goes_on_has_no_orphans() -> None:
    claim(folder_of("1"), "lab")
    assert orphans() == []
    assert orphans(alive=lambda owner: None) == []


def test_a_folder_without_an_owner_is_left(temporary: Path) -> None:
    folder_of("1").mkdir()
    assert orphans(alive=lambda owner: False) == []


def test_a_folder_that_another_user_planted_names_no_cluster(monkeypatch: pytest.MonkeyPatch) -> None:
    claim(folder_of("1"), "lab")
    monkeypatch.setattr(os, "getuid", lambda: folder_of("1").stat().st_uid + 1)
    assert orphans(alive=lambda owner: False) == []
