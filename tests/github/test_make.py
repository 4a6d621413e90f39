"""What a workflow passes to make is data: it reaches the command as it is, and is never run."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
RECORDER = "#!/bin/sh\nprintf '%s\\n' \"$@\" > arguments\n"
EVIL = 'x"; touch ran; "$(shell touch ran)`touch ran`$$(touch ran)'


@pytest.fixture
def kit(tmp_path: Path) -> Path:
    """A folder with our Makefile, an environment that is ready, and commands that record their arguments."""
    shutil.copy(ROOT / "Makefile", tmp_path)
    commands = tmp_path / ".venv" / "bin"
    commands.mkdir(parents=True)
    for name in ("pyproject.toml", "constraints.txt", ".venv/bin/python", ".venv/ready", ".venv/ready-kind"):
        (tmp_path / name).touch()
    for command in (commands / "hotupgrade", tmp_path / "gh"):
        command.write_text(RECORDER)
        command.chmod(0o755)
    return tmp_path


def make(kit: Path, target: str, **environment: str) -> list[str]:
    path = f"{kit}:{os.environ['PATH']}"
    subprocess.run(["make", "-s", target], cwd=kit, env={"PATH": path, **environment}, check=True)
    return (kit / "arguments").read_text().splitlines()


def test_a_conformance_run_takes_its_inputs_as_they_are_and_runs_none_of_them(kit: Path) -> None:
    arguments = make(
        kit, "conformance", CLUSTER="kind", MANIFEST=EVIL, TO="a:1 * `id`", UPGRADES=EVIL, PODS="3"
    )
    assert arguments[:5] == ["run", "--cluster", "kind", "--file", EVIL]
    assert arguments[5:11] == ["--to", "a:1", "--to", "*", "--to", "`id`"]
    assert arguments[11:15] == ["--upgrades", EVIL, "--pods", "3"]
    assert not (kit / "ran").exists()


def test_a_conformance_run_has_defaults_and_an_empty_version_header_means_that_there_is_none(
    kit: Path,
) -> None:
    plain = make(kit, "conformance", MANIFEST="s.yaml")
    assert plain[5:] == ["--upgrades", "5", "--pods", "2", "--version-header", "x-sidecar-version"]
    assert make(kit, "conformance", MANIFEST="s.yaml", VERSION_HEADER="")[-2:] == ["--version-header", ""]


def test_a_load_test_takes_its_inputs_as_they_are_and_has_defaults(kit: Path) -> None:
    arguments = make(kit, "load-test", CLUSTER="kind", MANIFEST=EVIL, TO="a:1 b:2", DURATION="1")
    assert arguments[:5] == ["load-test", "--cluster", "kind", "--file", EVIL]
    assert arguments[5:] == ["--to", "a:1", "--to", "b:2", "--duration", "1"]
    assert not (kit / "ran").exists()
    assert make(kit, "load-test")[-3:] == ["e2e/manifests/reference-sidecarset.yaml", "--duration", "5"]


def test_a_release_takes_the_tags_name_as_it_is(kit: Path) -> None:
    assert make(kit, "release", TAG=EVIL)[:3] == ["release", "create", EVIL]
    assert not (kit / "ran").exists()
