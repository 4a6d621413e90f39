"""The workflows: pinned, bounded, with no more rights than they need, and nothing that cannot be tried at home."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[2]
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
PINNED = re.compile(r"[\w.-]+/[\w.-]+@[0-9a-f]{40}")
MAKE = re.compile(r"make (?:-C kit )?([a-z0-9-]+)")
WIDE = {"write-all", "read-all"}


def read(path: Path) -> dict[str, Any]:
    document: dict[str, Any] = yaml.load(path.read_text(), yaml.BaseLoader)
    return document


def jobs() -> list[Any]:
    return [
        pytest.param(job, id=f"{path.stem}-{name}")
        for path in WORKFLOWS
        for name, job in read(path)["jobs"].items()
    ]


def test_the_three_workflows_are_there() -> None:
    assert [path.stem for path in WORKFLOWS] == ["ci", "conformance", "release"]


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_a_workflow_may_only_read_by_itself_and_runs_once_at_a_time(path: Path) -> None:
    workflow = read(path)
    assert workflow["permissions"] == {"contents": "read"}
    assert workflow["concurrency"]["group"]


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_the_version_of_a_pinned_action_is_told_beside_it(path: Path) -> None:
    uses = [line for line in path.read_text().splitlines() if "uses:" in line]
    assert uses
    assert all(re.search(r"@[0-9a-f]{40} # v\d+\.\d+\.\d+$", line) for line in uses), uses


@pytest.mark.parametrize("job", jobs())
def test_a_job_is_bounded_and_says_what_it_may(job: dict[str, Any]) -> None:
    assert 0 < int(job["timeout-minutes"]) <= 60
    assert isinstance(job["permissions"], dict)
    assert not WIDE & set(map(str, job["permissions"].values()))


@pytest.mark.parametrize("job", jobs())
def test_actions_are_pinned_by_commit_and_checkouts_keep_no_credentials(job: dict[str, Any]) -> None:
    for step in job["steps"]:
        if "uses" in step:
            assert PINNED.fullmatch(step["uses"]), step
        if step.get("uses", "").startswith("actions/checkout@"):
            assert step["with"]["persist-credentials"] == "false"


@pytest.mark.parametrize("job", jobs())
def test_steps_call_make_targets_that_there_are_and_nothing_else(job: dict[str, Any]) -> None:
    targets = set(re.findall(r"^([a-z0-9-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    for step in job["steps"]:
        if "run" in step:
            match = MAKE.fullmatch(step["run"])
            assert match, step
            assert match[1] in targets


def test_a_call_and_a_dispatch_have_the_same_inputs() -> None:
    on = read(ROOT / ".github" / "workflows" / "conformance.yml")["on"]
    assert set(on["workflow_call"]["inputs"]) == set(on["workflow_dispatch"]["inputs"])


def test_the_vendors_example_is_a_short_workflow_that_passes_only_what_there_is() -> None:
    text = (ROOT / "docs" / "vendors.md").read_text()
    example = text.partition("```yaml\n")[2].partition("```")[0]
    workflow = yaml.load(example, yaml.BaseLoader)
    (job,) = workflow["jobs"].values()
    inputs = read(ROOT / ".github" / "workflows" / "conformance.yml")["on"]["workflow_call"]["inputs"]
    assert len([line for line in example.splitlines() if line.strip()]) <= 15
    assert ".github/workflows/conformance.yml@" in job["uses"]
    assert set(job["with"]) <= set(inputs)
    assert {name for name, given in inputs.items() if given.get("required") == "true"} <= set(job["with"])


def test_actionlint_finds_nothing() -> None:
    program = shutil.which("actionlint")
    if program is None:
        pytest.skip("actionlint is not installed")
    done = subprocess.run(
        [program, *map(str, WORKFLOWS)], capture_output=True, text=True, check=False, cwd=ROOT
    )
    assert done.returncode == 0, done.stdout
