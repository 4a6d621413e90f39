"""Options and helpers of the suite that a user runs against any cluster."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

MANIFEST = Path(__file__).parent / "manifests" / "hotupgrade-sidecarset.yaml"
REPORTS = Path(__file__).parents[1] / "reports"
RUN_WITHIN_S = {"embedded": 300, "kind": 1200, "current": 1200}
"""A run takes half a minute on the embedded cluster. A kind cluster has to be made, and its kubelet takes its time."""
INFRASTRUCTURE = 4  # the exit code of a run that could not be: nothing was found out about the sidecar


@dataclass(frozen=True)
class Ran:
    """A finished `hotupgrade run`: its exit code and its report, as anybody can read it."""

    code: int
    report: dict[str, Any]

    @property
    def scenario(self) -> dict[str, Any]:
        scenario: dict[str, Any] = self.report["scenarios"][0]
        return scenario


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--cluster", default="embedded", choices=list(RUN_WITHIN_S), help="where to run")


@pytest.fixture(scope="session")
def hotupgrade(request: pytest.FixtureRequest) -> Callable[..., Ran]:
    """Runs `hotupgrade run` with the sample manifest; its progress goes to the terminal."""
    kind = request.config.getoption("--cluster")

    def run(*options: str) -> Ran:
        command = [str(Path(sys.executable).with_name("hotupgrade")), "run", "-f", str(MANIFEST)]
        command += ["--cluster", str(kind), "--reports", str(REPORTS), *options]
        latest = REPORTS / "latest"
        before = latest.resolve() if latest.exists() else None
        done = subprocess.run(command, timeout=RUN_WITHIN_S[kind], check=False)
        if done.returncode == INFRASTRUCTURE:
            pytest.exit("the cluster could not be used; the line above says what helps", INFRASTRUCTURE)
        if not latest.exists() or latest.resolve() == before:
            pytest.fail(f"no report was written; exit code {done.returncode}", pytrace=False)
        return Ran(done.returncode, json.loads((latest / "report.json").read_text()))

    return run
